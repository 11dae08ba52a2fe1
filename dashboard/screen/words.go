package screen

import (
	"fmt"
	"strings"
	"time"

	"tributary/gateway"
)

// bytesText writes a count with three digits that matter and a decimal unit.
func bytesText(n uint64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.5 {
		f, i = f/1000, i+1
	}
	return fmt.Sprintf("%.3g %cB", f, units[i])
}

// mbit writes a rate in Mbit/s, as fine as it matters.
func mbit(bits float64) string {
	switch m := bits / 1e6; {
	case m <= 0:
		return "0"
	case m < 0.995:
		return fmt.Sprintf("%.2f", m)
	case m < 99.95:
		return fmt.Sprintf("%.1f", m)
	default:
		return fmt.Sprintf("%.0f", m)
	}
}

// number writes a measured value as fine as it matters, and "-" for one that is not
// known.
func number(v float64, known bool) string {
	switch {
	case !known:
		return "-"
	case v <= 0:
		return "0"
	case v < 9.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// counted writes how many there are of something.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// span writes how long something lasts, in its largest unit.
func span(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// since writes how long ago a moment of the gateway's was, by its clock; "-" for one
// that is not told.
func since(stamp string, now time.Time) string {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return "-"
	}
	return span(now.Sub(t))
}

// roundTrip is that of probes, which has the queues of now in it, or else the last that
// a subflow has seen.
func roundTrip(l *gateway.LinkStatus) string {
	rtt := l.ProbeRTTms
	if rtt <= 0 || l.State != "up" {
		rtt = l.RTTms
	}
	return number(rtt, rtt > 0)
}

// clock returns the gateway's time, or fallback where it does not tell: an older one.
func clock(s *gateway.Status, fallback time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, s.Now); err == nil {
		return t
	}
	return fallback
}

// standing says in a word how a link is, and since when that is. What the kernel
// knows goes first: a link without an address is in no state of health.
func standing(l *gateway.LinkStatus) (word string, style Style, at string) {
	switch l.State {
	case "off":
		return "off", Dim, l.Since
	case "silent":
		return "dead", Bad, firstOf(l.HealthSince, l.Since)
	case "up":
	default:
		return strings.ReplaceAll(clean(l.State), "-", " "), Bad, l.Since
	}
	switch l.Health {
	case "alive":
		return l.Health, Good, l.HealthSince
	case "doubtful":
		return l.Health, Warning, l.HealthSince
	case "dead":
		return l.Health, Bad, l.HealthSince
	}
	return "up", Plain, l.Since
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// role is the part that a link plays; a gateway that does not tell goes by its mode.
func role(l *gateway.LinkStatus) string {
	switch {
	case l.Role != "":
		return clean(l.Role)
	case l.Mode == "on":
		return "full"
	case l.Mode == "off":
		return "out"
	}
	return "backup"
}

// multipath is a link's verdict on MPTCP with how it looks.
func multipath(l *gateway.LinkStatus) (string, Style) {
	switch l.MPTCP {
	case "ok", "":
		return l.MPTCP, Plain
	case "unknown":
		return "?", Dim
	}
	return clean(l.MPTCP), Warning
}

// decided says in a line what was decided, without the time.
func decided(d *gateway.Decision) string {
	text := d.To
	if d.By == "passage" {
		text = "MPTCP " + text
	}
	if d.From != d.To && d.From != "" {
		text += ", was " + d.From
	}
	if d.Reason != "" && d.Reason != d.To && d.By != "passage" {
		text += " (" + d.Reason + ")"
	}
	if d.Port != 0 {
		text += fmt.Sprintf(", at port %d", d.Port)
	}
	if d.Count > 1 {
		text += fmt.Sprintf(", %d times", d.Count)
		if row := between(d.First, d.At); row < 1<<62 {
			text += " in " + span(row)
		}
	}
	if d.Why != "" && (d.By != "bundle" || d.Reason != "dead") { // which health has just said
		text += ": " + d.Why
	}
	return clean(text)
}
