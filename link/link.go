package link

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A Mode says how a link is to be used.
type Mode uint8

// The modes. For Overflow somebody has to measure, and to say so with
// [Manager.Steer]; until then it is as Backup.
const (
	On       Mode = iota // carries traffic whenever it is up
	Backup               // carries traffic only while no On link is usable
	Overflow             // carries traffic while the links before it are full
	Off                  // is not used: no rule, no route, no endpoint
	numModes
)

var modeText = [numModes]string{"on", "backup", "overflow", "off"}

// String returns the mode as it is written after "DEV=".
func (m Mode) String() string {
	if m < numModes {
		return modeText[m]
	}
	return "unknown"
}

// ParseMode reads "on", "backup", "overflow" or "off".
func ParseMode(s string) (Mode, error) {
	for m, text := range modeText {
		if s == text {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("link mode %q: want on, backup, overflow or off", s)
}

// MarshalText writes a mode as String does.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads a mode as [ParseMode] does.
func (m *Mode) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMode(string(text))
	return err
}

// A Wanted names an interface that is to be used as a link. It need not exist
// yet: a modem that is not plugged in is waited for.
type Wanted struct {
	Name   string
	Mode   Mode
	Charge Charge
}

// A Charge says whether a link costs by the byte, so that programs spare it.
type Charge uint8

// The charges. By name, a link is metered if its name begins with "ww": so the
// kernel and systemd name modems of mobile networks (systemd.net-naming-scheme(7)).
// A telephone on a USB cable has the name of any other network card.
const (
	ByName Charge = iota
	Metered
	Flat
)

func (c Charge) metered(name string) bool {
	return c == Metered || c == ByName && strings.HasPrefix(name, "ww")
}

// maxName is the longest interface name, in bytes: IFNAMSIZ of linux/if.h
// without the final zero.
const maxName = 15

// ParseWanted reads "DEV" or "DEV=MODE", such as "wwan0=backup". It refuses
// names that no interface can have.
func ParseWanted(s string) (Wanted, error) {
	name, mode, found := strings.Cut(s, "=")
	w := Wanted{Name: name}
	if found {
		m, err := ParseMode(mode)
		if err != nil {
			return Wanted{}, fmt.Errorf("link %q: %w", s, err)
		}
		w.Mode = m
	}
	if err := w.check(); err != nil {
		return Wanted{}, err
	}
	return w, nil
}

func (w Wanted) check() error {
	switch {
	case w.Name == "":
		return fmt.Errorf("link %q: no interface name", w.Name)
	case len(w.Name) > maxName:
		return fmt.Errorf("link %q: an interface name has at most %d bytes", w.Name, maxName)
	case w.Name == "." || w.Name == ".." || strings.ContainsAny(w.Name, "/: \t\r\n\v\f"):
		return fmt.Errorf("link %q: not an interface name", w.Name)
	case w.Name == "all" || w.Name == "default" || w.Name == "lo":
		return fmt.Errorf("link %q: cannot be an access link", w.Name)
	case w.Mode >= numModes:
		return fmt.Errorf("link %q: unknown mode %d", w.Name, w.Mode)
	}
	return nil
}

// A State says whether a link can carry traffic, and if not, the first thing
// that is missing.
type State uint8

// The states, from usable to missing.
const (
	Up        State = iota // has carrier, an address and a way out
	Silent                 // the same, but nothing comes through
	NoRoute                // has an address but no default route
	NoAddress              // has carrier but no address that reaches the Internet
	Down                   // switched off, or without carrier
	Absent                 // no interface of this name
	Disabled               // exists, but its mode is off
	numStates
)

var stateText = [numStates]string{"up", "silent", "no-route", "no-address", "down", "absent", "off"}

// String returns the state in one word, as status shows it.
func (s State) String() string {
	if s < numStates {
		return stateText[s]
	}
	return "unknown"
}

// A Link is one access line as it is now.
type Link struct {
	Name  string
	Index int // the interface's number, 0 while it is absent
	Mode  Mode
	State State
	// Metered is whether it costs by the byte.
	Metered bool
	// Order is its place among the links, the one to be preferred having 0: as they
	// were named, or as the main table prefers them.
	Order int
	// Role is the part it plays now; Out where it is not up.
	Role Role
	// Addrs are the addresses from which this link sends, at most one of each
	// family, IPv4 first. A socket bound to one of them leaves by this link.
	Addrs []netip.Addr
	// Joins are those of Addrs from which the kernel is to join connections: it has 8
	// endpoints at most, and some addresses are barred or others' endpoints.
	Joins []netip.Addr
	// Gateway4 and Gateway6 are the next hops; not valid on a point-to-point
	// link, which has none, and for a family without a default route. Gateway4
	// may be an IPv6 address (RFC 5549).
	Gateway4, Gateway6 netip.Addr
	Since              time.Time // when State last changed
	Note               string    // what a person should know about it, or ""
	Table              int       // number of its routing table, 0 if it has none now
}

// Usable reports whether new connections can leave by this link.
func (l Link) Usable() bool { return l.State == Up && l.Role != Out }
