package screen

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tributary/gateway"
)

func TestStatusPictures(t *testing.T) {
	long := busy()
	long.Links[0].Name = "enxfifteenchars"
	down := calm()
	down.Relay.State, down.Relay.Error = "down", "dial relay relay.example:8443: over dsl: connection refused\nover lte: no route to host"
	down.Multipath = gateway.MultipathStatus{Why: "kernel refuses MPTCP sockets", Hint: "sysctl -w net.mptcp.enabled=1"}
	down.LinkCare = "no CAP_NET_ADMIN: links are used as the routing table has them"
	down.Links = nil
	for _, c := range []struct {
		name  string
		s     *gateway.Status
		width int
	}{
		{"status-80", busy(), 80},
		{"status-60", busy(), 60},
		{"status-130", busy(), 130},
		{"status-long-name", long, 80},
		{"status-calm", calm(), 80},
		{"status-down", down, 80},
		{"status-old", old(t), 80},
		{"status-young", young(t), 80},
	} {
		golden(t, c.name, Look{}, Status(c.s, noon, time.UTC, c.width), c.width)
	}
	golden(t, "status-colors", Look{Color: true}, Status(busy(), noon, time.UTC, 80), 80)
	golden(t, "status-ascii", Look{ASCII: true}, Status(busy(), noon, time.UTC, 80), 80)
}

// What clients and servers chose does not steer the terminal.
func TestForeignTextIsHarmless(t *testing.T) {
	const evil = "a\x1b[2Jb\x9bc\rd\ne\u202ef\x00g\xffh"
	s := busy()
	s.Relay.Address, s.Relay.State, s.Relay.Error = evil, evil, evil
	s.LinkCare = evil
	s.Multipath = gateway.MultipathStatus{Why: evil, Hint: evil}
	for i := range s.Links {
		l := &s.Links[i]
		l.Name, l.Mode, l.State, l.MPTCP, l.Note, l.Health, l.HealthWhy = evil, evil, evil, evil, evil, evil, evil
		l.Role, l.RoleWhy, l.RoleReason = evil, evil, evil
	}
	for i := range s.Sessions.List {
		c := &s.Sessions.List[i]
		c.Client, c.To, c.State, c.MPTCP = evil, evil, evil, evil
		for j := range c.Subflows {
			f := &c.Subflows[j]
			f.Link, f.Local, f.Remote, f.State = evil, evil, evil, evil
		}
	}
	for i := range s.Decisions {
		d := &s.Decisions[i]
		d.At, d.By, d.Link, d.From, d.To, d.Reason, d.Why = evil, evil, evil, evil+"x", evil, evil, evil
	}
	top := &Top{Address: "127.0.0.1:8081"}
	top.Press('e')
	top.Answer(s, noon)
	top.Fail(evil, noon)
	for _, lines := range [][]Line{Status(s, noon, time.UTC, 80), top.Frame(120, 50, noon)} {
		for _, l := range lines {
			text := Look{}.Text(l)
			for _, r := range text {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\ufffd' {
					t.Fatalf("%q", text)
				}
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[float64]string{
		0: "0", -1: "0", 1: "0.00", 20_000: "0.02", 994_000: "0.99", 996_000: "1.0", 28_140_000: "28.1", 99_940_000: "99.9", 99_960_000: "100", 9.4e9: "9400",
	} {
		if got := mbit(in); got != want {
			t.Errorf("mbit(%v) is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", time.Hour: "1 h", 47 * time.Hour: "47 h", 48 * time.Hour: "2 d",
	} {
		if got := span(in); got != want {
			t.Errorf("span(%v) is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 999_499: "999 kB", 999_500: "1 MB", 12_340_000_000: "12.3 GB"} {
		if got := bytesText(in); got != want {
			t.Errorf("bytesText(%v) is %q, want %q", in, got, want)
		}
	}
}

// The order in which a table gives way: columns that are nice to have, the gaps, columns,
// and at last its cells.
func TestTableGivesWay(t *testing.T) {
	columns := func() []*column {
		var all []*column
		for i, drop := range []int{0, 2, keepGap, 0, 1} {
			c := &column{head: strings.Repeat(string(rune('A'+i)), 6), drop: drop}
			if i == 0 {
				c.least = 3
			}
			c.add(Plain, "-")
			all = append(all, c)
		}
		return all
	}
	for width, want := range map[int]string{
		40: "AAAAAA  BBBBBB  CCCCCC  DDDDDD  EEEEEE",
		37: "AAAAAA  BBBBBB  DDDDDD  EEEEEE",
		29: "AAAAAA BBBBBB DDDDDD EEEEEE",
		26: "AAAAAA DDDDDD EEEEEE",
		19: "AAAAAA DDDDDD",
		12: "AAAA… DDDDDD",
		5:  "AA… DDDDDD",
	} {
		if got := (Look{}).Text(table(columns(), width)[0]); got != want {
			t.Errorf("%d: %q, want %q", width, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	l := Line{{"abc", Bold}, {"def", Dim}}
	for width, want := range map[int]string{0: "", 1: "…", 3: "ab…", 4: "abc…", 5: "abcd…", 6: "abcdef", 9: "abcdef"} {
		if got := (Look{}).Text(l.clip(width)); got != want {
			t.Errorf("%d: %q, want %q", width, got, want)
		}
	}
	if got := fmt.Sprint(wrap("one two  three", 7, 2)); got != "[one two   three]" {
		t.Error(got)
	}
}

// Doubts that passed, and beginnings as they were meant, are no news.
func TestNews(t *testing.T) {
	var all []gateway.Decision
	var want string
	add := func(at int, by, link, from, to, reason string, isNews bool) {
		all = append(all, gateway.Decision{At: before(time.Hour - time.Duration(at)*time.Second), By: by, Link: link, From: from, To: to, Reason: reason})
		if isNews {
			want += fmt.Sprint(at, link, to, " ")
		}
	}
	add(0, "bundle", "a", "full", "full", "wanted", false)
	add(1, "bundle", "b", "full", "full", "needed", true)
	add(2, "health", "a", "unknown", "alive", "answers", true)
	add(3, "health", "a", "alive", "doubtful", "missed", false) // passes
	add(4, "health", "b", "alive", "doubtful", "missed", false) // comes true
	add(5, "health", "a", "doubtful", "doubtful", "slow", false)
	add(6, "health", "b", "doubtful", "dead", "silent", true)
	add(7, "bundle", "b", "full", "out", "dead", true)
	add(8, "health", "a", "doubtful", "alive", "answers", false)
	add(9, "health", "a", "alive", "doubtful", "lossy", true) // too long
	add(24, "health", "a", "doubtful", "alive", "answers", true)
	add(26, "health", "b", "alive", "doubtful", "missed", true) // passes, but comes often
	all[len(all)-1].Count = often
	add(27, "health", "b", "doubtful", "alive", "answers", false)
	add(30, "health", "a", "alive", "doubtful", "missed", true) // lasts
	got := ""
	for _, d := range news(all, 100) {
		at := between(before(time.Hour), d.At)
		got += fmt.Sprint(int(at.Seconds()), d.Link, d.To, " ")
	}
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := news(all, 2); len(got) != 2 || got[1].Reason != "missed" {
		t.Errorf("the last two: %v", got)
	}
	if got := news(all, -1); len(got) != 0 {
		t.Errorf("none: %v", got)
	}
}
