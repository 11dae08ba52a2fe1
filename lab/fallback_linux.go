package lab

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
)

const mptcpEnabled = "net.mptcp.enabled"

func noMPTCP(ctx context.Context, t *trial) error {
	for _, host := range []string{"home", "relay"} {
		t.step(7*time.Second, "MPTCP off on %s", host)
		if err := t.Network.Host(host).Sysctl(mptcpEnabled, "0"); err != nil {
			return err
		}
		if err := t.Start(ctx); err != nil {
			return err
		}
		if err := t.Warm(ctx); err != nil {
			return err
		}
		r, _ := t.fetch(ctx, "off on "+host+": a download works on one path", 10e6)
		t.figure("off on "+host, r.Mbit(), "Mbit/s", nil)
		st, err := t.Status(ctx)
		if err != nil {
			return err
		}
		if host == "home" {
			t.check("off on home: status says why", !st.Multipath.OK && st.Multipath.Why != "", "%s", st.Multipath.Why)
		}
		t.check("off on "+host+": status says it of every link in use", mptcpWords(st)["ok"] == 0, "%s", linkWords(st))
		if err := t.System.Close(); err != nil {
			return err
		}
		if err := t.Network.Host(host).Sysctl(mptcpEnabled, "1"); err != nil {
			return err
		}
	}
	return nil
}

func strippedOptions(ctx context.Context, t *trial) error {
	if err := t.StartRelay(ctx); err != nil {
		return err
	}
	cases := append(t.Network.Links(), strings.Join(t.Network.Links(), "+"))
	for _, bad := range cases {
		t.step(5*time.Second, "MPTCP options stripped on %s", bad)
		for _, name := range t.Network.Links() {
			t.Network.Link(name).StripMPTCP(strings.Contains(bad, name))
		}
		if err := t.StartGateway(ctx); err != nil {
			return err
		}
		if err := t.Warm(ctx); err != nil {
			return err
		}
		r, _ := t.fetch(ctx, "stripped on "+bad+": a download works", 10e6)
		t.figure("stripped on "+bad, r.Mbit(), "Mbit/s", nil)
		st, err := t.Status(ctx)
		if err != nil {
			return err
		}
		stripped, wrong := 0, 0
		for _, l := range st.Links {
			switch is := strings.Contains(bad, l.Name); {
			case is && (l.MPTCP == "stripped" || l.MPTCP == "blocked"):
				stripped++
			case is && l.MPTCP == "ok", !is && l.MPTCP == "stripped":
				wrong++
			}
		}
		t.check("stripped on "+bad+": status says so", stripped > 0 && wrong == 0, "%s", linkWords(st))
		if err := t.StopGateway(syscall.SIGTERM); err != nil {
			return err
		}
	}
	return nil
}

// mptcpWords counts what the status says of MPTCP on the links.
func mptcpWords(st Status) map[string]int {
	words := make(map[string]int)
	for _, l := range st.Links {
		words[l.MPTCP]++
	}
	return words
}

func linkWords(st Status) string {
	var words []string
	for _, l := range st.Links {
		words = append(words, fmt.Sprintf("%s %s", l.Name, l.MPTCP))
	}
	return strings.Join(words, ", ")
}
