package screen

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tributary/gateway"
)

// noon is the time of all tests, by the gateway's clock and ours.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) string { return noon.Add(-d).Format(time.RFC3339Nano) }

// busy is a gateway during a download, with a link of every kind.
func busy() *gateway.Status {
	return &gateway.Status{
		Ready: true, Now: before(0), LinkCare: "on", Multipath: gateway.MultipathStatus{OK: true},
		Relay: gateway.RelayStatus{Address: "relay.example:8443", State: "up", RTTms: 40.12, Since: before(2 * time.Hour)},
		Links: []gateway.LinkStatus{
			{
				Name: "dsl", Mode: "on", State: "up", RTTms: 63.4, Loss: 0.004, BytesUp: 12_345_678, BytesDown: 2_345_678_901, MPTCP: "ok",
				Since: before(3 * time.Hour), Health: "alive", HealthWhy: "probes are answered, round trip 40ms", HealthSince: before(2 * time.Hour),
				RateUp: 612_000, RateDown: 27_900_000, Share: 0.74, Role: "full", RoleReason: "wanted", RoleSince: before(2 * time.Hour),
			},
			{
				Name: "wwan0", Mode: "overflow", State: "up", RTTms: 60, ProbeRTTms: 480, LeastRTTms: 58, Loss: 0.08, BytesUp: 1_234_567, BytesDown: 45_678_901, MPTCP: "stripped",
				Since: before(3 * time.Hour), Health: "doubtful", HealthWhy: "12 of the last 100 probes lost", HealthSince: before(42 * time.Second),
				RateUp: 4000, RateDown: 9_930_000, Share: 0.26, ProbeLoss: 12, Metered: true, Role: "backup", RoleReason: "harmful",
				RoleWhy:   "the bundle carried 21.3 Mbit/s with it and 27.9 Mbit/s without it",
				RoleSince: before(30 * time.Second),
				Usage: &gateway.UsageStatus{Bytes: 8_200_000_000, Allowance: 10_000_000_000, Thrift: "spare", Reason: "ahead",
					Words: "8.2 of 10 GB used on day 23 of 30; at this pace 10.7 GB, used up on 2026-11-28"},
				MPTCPWays: []gateway.WayStatus{
					{Address: "198.51.100.2", Port: 8443, InUse: true, MPTCP: "stripped", Since: before(12 * time.Minute), Next: before(-8 * time.Second)},
					{Address: "198.51.100.2", Port: 443, MPTCP: "blocked", Since: before(3 * time.Hour), Next: before(-40 * time.Second)},
				},
				MPTCPWhy: "something on the way removes MPTCP options: used as plain TCP, and only if there is no other link",
				Note:     "metered, and warm connections took 1.4 of 2.0 MB in 24 h: bursts get no more of them than other requests",
			},
			{
				Name: "cable", Mode: "on", State: "silent", RTTms: 21, MPTCP: "unknown", Since: before(5 * time.Second),
				Health: "dead", HealthWhy: "3 probes in a row missed in 152ms, last heard 171ms ago; dead for the next 1s at least",
				HealthSince: before(5 * time.Second), Role: "out", RoleReason: "dead",
				Note: "3 probes in a row missed in 152ms, last heard 171ms ago; dead for the next 1s at least", BytesUp: 77,
			},
			{Name: "usb0", Mode: "backup", State: "absent", MPTCP: "unknown", Since: before(50 * time.Hour), Health: "unknown", Role: "out"},
			{Name: "sat", Mode: "off", State: "off", MPTCP: "unknown", Health: "unknown", Role: "out"},
		},
		Pool: gateway.PoolStatus{Warm: 8, Hits: 120, Misses: 3, Recycled: 80, Raced: 4, Won: 1, Upkeep: "saving"},
		Sessions: gateway.SessionStatus{Open: 4, Total: 311, LeftOut: 1, List: []gateway.Session{
			{
				ID: 307, Client: "192.168.1.20:50312", To: "download.example.org:443", Inbound: "socks5", State: "open", AgeS: 92.4,
				BytesUp: 123_000, BytesDown: 431_000_000, RateUp: 402_000, RateDown: 37_200_000, MPTCP: "ok",
				Subflows: []gateway.Subflow{
					{Link: "dsl", Local: "192.0.2.2:40001", Remote: "203.0.113.1:8443", State: "established", RTTms: 63.4, BytesUp: 100_000, BytesDown: 330_000_000},
					{Link: "wwan0", Local: "198.51.100.2:40002", Remote: "203.0.113.1:8443", State: "established", Backup: true, RTTms: 480, BytesUp: 23_000, BytesDown: 101_000_000, Retransmits: 31},
					{Link: "cable", Local: "10.0.0.2:40003", Remote: "203.0.113.1:443", State: "established", RTTms: 21, Timeouts: 3},
				},
			},
			{
				ID: 311, Client: "[2001:db8:1:2:3:4:5:6]:50312", To: "a-rather-long-name-of-a-host-in-some-datacenter.region-1.cloud.example:443",
				Inbound: "http", State: "open", AgeS: 7300, BytesUp: 1000, BytesDown: 5_200_000, RateDown: 21_000, MPTCP: "fallback",
				Subflows: []gateway.Subflow{{Local: "192.0.2.2:40009", Remote: "[2001:db8::1]:8443", State: "established", RTTms: 63.4, BytesUp: 1500, BytesDown: 5_300_000}},
			},
			{ID: 309, Client: "127.0.0.1:40404", To: "192.0.2.80:22", Inbound: "socks4", State: "opening", AgeS: 0.2, MPTCP: "none"},
		}},
		Decisions: []gateway.Decision{
			{At: before(3 * time.Hour), By: "health", Link: "dsl", From: "unknown", To: "alive", Reason: "answers", Why: "long gone"},
			{At: before(2 * time.Hour), By: "health", Link: "dsl", From: "unknown", To: "alive", Reason: "answers", Why: "probes are answered, round trip 40ms"},
			{At: before(42 * time.Second), By: "health", Link: "wwan0", From: "alive", To: "doubtful", Reason: "lossy", Why: "12 of the last 100 probes lost"},
			{At: before(35 * time.Second), By: "passage", Link: "wwan0", Port: 8443, From: "ok", To: "stripped", Reason: "does not pass", Count: 3, First: before(8 * time.Minute)},
			{At: before(30 * time.Second), By: "bundle", Link: "wwan0", From: "full", To: "backup", Reason: "harmful", Why: "the bundle carried 21.3 Mbit/s with it and 27.9 Mbit/s without it"},
			{At: before(5 * time.Second), By: "health", Link: "cable", From: "alive", To: "dead", Reason: "silent", Why: "3 probes in a row missed in 152ms, last heard 171ms ago; dead for the next 1s at least"},
			{At: before(5 * time.Second), By: "bundle", Link: "cable", From: "full", To: "out", Reason: "dead"},
		},
	}
}

// calm is one with nothing to tell.
func calm() *gateway.Status {
	s := busy()
	s.Links = s.Links[:1]
	s.Links[0].RateUp, s.Links[0].RateDown, s.Links[0].Share = 0, 0, 0
	s.Sessions = gateway.SessionStatus{Total: 311}
	s.Decisions = nil
	s.Pool.Raced = 0
	return s
}

// old is a gateway from before rates, roles, health, decisions and sessions were told.
func old(t *testing.T) *gateway.Status {
	return parse(t, `{"ready": true,
		"relay": {"address": "192.0.2.7:8443", "state": "up", "rtt_ms": 40.1}, "multipath": {"ok": true}, "link_care": "on",
		"links": [{"name": "eth1", "mode": "on", "state": "up", "rtt_ms": 40.2, "loss": 0.0, "bytes_up": 1, "bytes_down": 2, "mptcp": "ok"},
			{"name": "lte", "mode": "backup", "state": "no-address", "mptcp": "unknown"}],
		"pool": {"warm": 4, "hits": 10, "misses": 0},
		"sessions": {"open": 1, "total": 11}}`)
}

// young is one that tells more than we know, in words that we do not know.
func young(t *testing.T) *gateway.Status {
	return parse(t, `{"ready": true, "now": "2026-11-23T12:00:00.000Z", "weather": {"rain": [1, 2]},
		"relay": {"address": "192.0.2.7:8443", "state": "resting", "rtt_ms": 40.1, "mood": "good"}, "multipath": {"ok": true}, "link_care": "on",
		"links": [{"name": "eth1", "mode": "sometimes", "state": "hibernating", "health": "splendid", "role": "understudy", "mptcp": "v2"},
			{"name": "eth2", "mode": "on", "state": "up", "health": "splendid", "role": "full", "mptcp": "ok"}],
		"pool": {"warm": 4}, "sessions": {"open": 1, "total": 11, "list": [{"id": 1, "to": "x:1", "state": "parked", "mptcp": "v2",
			"subflows": [{"link": "eth2", "state": "dreaming"}]}]},
		"decisions": [{"at": "soon", "by": "oracle", "link": "eth1", "to": "hibernating"}]}`)
}

func parse(t *testing.T, text string) *gateway.Status {
	t.Helper()
	var s gateway.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// golden compares a picture with testdata/NAME.txt, a space for each that ends a line
// aside, and sees that no line is wider than it may be. With TRIBUTARY_GOLDEN=write it
// is written instead.
func golden(t *testing.T, name string, k Look, lines []Line, width int) {
	t.Helper()
	var b strings.Builder
	for i, l := range lines {
		if n := l.width(); n > width {
			t.Errorf("%s: line %d has %d columns of %d: %q", name, i+1, n, width, k.Text(l))
		}
		b.WriteString(k.Text(l) + "\n")
	}
	path := filepath.Join("testdata", name+".txt")
	if os.Getenv("TRIBUTARY_GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}
