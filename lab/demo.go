package lab

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A Demo is what the demo measured, all in one run. Rates are in Mbit/s (10^6) of
// HTTP bodies.
type Demo struct {
	Links   []DemoLink `json:"links"`
	Down    Bundle     `json:"download"`
	Up      Bundle     `json:"upload"`
	First   FirstByte  `json:"first_byte"`
	Seen    DemoSeen   `json:"final_server"`
	Checks  []Check    `json:"checks"`
	Seconds float64    `json:"seconds"`
	Works   bool       `json:"works"` // every check is ok
}

// A DemoLink is what one link did.
type DemoLink struct {
	Name  string   `json:"name"`
	Shape Shape    `json:"-"`
	Down  LinkRate `json:"download"`
	Up    LinkRate `json:"upload"`
	Pull  Pull     `json:"pulled"`
}

// A LinkRate is one direction of a link.
type LinkRate struct {
	AloneMbit   float64 `json:"alone_mbit"`   // plain TCP to the final server, bound to this link
	BundleBytes uint64  `json:"bundle_bytes"` // carried for the bundle, by the kernel's subflow counters
}

// A Bundle is a transfer through gateway and relay over all links.
type Bundle struct {
	Mbit  float64 `json:"mbit"`
	Sum   float64 `json:"sum_mbit"`  // of the links alone
	Share float64 `json:"share"`     // Mbit / Sum
	Best  float64 `json:"best_mbit"` // of the links alone
	Error string  `json:"error,omitempty"`
}

// FirstByte is the time from asking to the first byte of the answer, the median
// of several requests.
type FirstByte struct {
	DirectMs  float64 `json:"direct_ms"`  // plain TCP by the default route
	GatewayMs float64 `json:"gateway_ms"` // a warm gateway
}

// A Pull is a download during which a link was pulled and put back.
type Pull struct {
	GapMs      float64 `json:"longest_gap_ms"`
	GapAtMs    float64 `json:"gap_at_ms"` // since the first byte; the link went after 2.5 s
	Complete   bool    `json:"complete"`  // with the right checksum
	BytesAfter uint64  `json:"bytes_after"`
	Mbit       float64 `json:"mbit"`
	Error      string  `json:"error,omitempty"`
}

// DemoSeen is what the final server saw of the bundle's transfers.
type DemoSeen struct {
	Connections int      `json:"connections"`
	Multipath   int      `json:"multipath"` // of them, with MPTCP
	From        []string `json:"from"`      // addresses
	Relay       string   `json:"relay"`     // the relay's address
}

// Print writes tables and a verdict for a person.
func (d *Demo) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tdownload\tcarried\tupload\tcarried\t\n")
	for _, l := range d.Links {
		fmt.Fprintf(t, "%s alone, plain TCP\t%.1f Mbit/s\t\t%.1f Mbit/s\t\t\n", l.Name, l.Down.AloneMbit, l.Up.AloneMbit)
	}
	fmt.Fprintf(t, "sum of the links\t%.1f Mbit/s\t\t%.1f Mbit/s\t\t\n", d.Down.Sum, d.Up.Sum)
	fmt.Fprintf(t, "one connection, bundled\t%.1f Mbit/s\t\t%.1f Mbit/s\t\t\n", d.Down.Mbit, d.Up.Mbit)
	for _, l := range d.Links {
		fmt.Fprintf(t, "of it over %s\t\t%.1f MB\t\t%.1f MB\t\n", l.Name, mega(l.Down.BundleBytes), mega(l.Up.BundleBytes))
	}
	fmt.Fprintf(t, "share of the sum\t%.0f %%\t\t%.0f %%\t\t\n", 100*d.Down.Share, 100*d.Up.Share)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "first byte\t%.0f ms through the gateway, %.0f ms with direct TCP\n", d.First.GatewayMs, d.First.DirectMs)
	for _, l := range d.Links {
		fmt.Fprintf(t, "%s pulled and put back\tlongest gap in a download %.2f s; %s; %.1f MB over %s afterwards\n", l.Name,
			l.Pull.GapMs/1000, map[bool]string{true: "checksum right", false: "DOWNLOAD BROKE"}[l.Pull.Complete], mega(l.Pull.BytesAfter), l.Name)
	}
	kind := "plain TCP only"
	if d.Seen.Multipath > 0 {
		kind = fmt.Sprintf("MULTIPATH TCP on %d", d.Seen.Multipath)
	}
	fmt.Fprintf(t, "the final server saw\t%s, %d connections, from %s (the relay is %s)\n", kind, d.Seen.Connections, strings.Join(d.Seen.From, " "), d.Seen.Relay)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := printChecks(w, d.Checks); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s\n", d.verdict())
	return nil
}

func (d *Demo) verdict() string {
	if !d.Works {
		var failed []string
		for _, c := range d.Checks {
			if !c.OK {
				failed = append(failed, c.Name)
			}
		}
		return "It does not work here: missed were: " + strings.Join(failed, "; ") + "."
	}
	gap := 0.0
	for _, l := range d.Links {
		gap = max(gap, l.Pull.GapMs/1000)
	}
	return fmt.Sprintf("It works: one download ran at %.0f %% of the sum of the links, %.1f times the best of them,\n"+
		"went on when a link was pulled (%.1f s at most without data), and its server saw plain TCP.",
		100*d.Down.Share, d.Down.Mbit/d.Down.Best, gap)
}

func mega(bytes uint64) float64 { return float64(bytes) / 1e6 }
