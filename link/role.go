package link

import (
	"errors"
	"fmt"
	"maps"
)

// A Role is the part that a link plays in the bundle.
type Role uint8

// The roles.
const (
	Full    Role = iota // carries traffic
	Standby             // carries traffic only while no Full link works: the backup flag of RFC 8684 section 3.3.8
	Out                 // carries none: no endpoint, but rules and routes, so that it can be probed
	numRoles
)

var roleText = [numRoles]string{"full", "backup", "out"}

// String returns the role in one word, as status shows it.
func (r Role) String() string {
	if r < numRoles {
		return roleText[r]
	}
	return "unknown"
}

// MarshalText writes the role as String does, for JSON.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Role) UnmarshalText(text []byte) error {
	for role, name := range roleText {
		if name == string(text) {
			*r = Role(role)
			return nil
		}
	}
	return fmt.Errorf("role %q: want full, backup or out", text)
}

// Role returns the part that a link of this mode plays while nobody who watches it
// knows better.
func (m Mode) Role() Role {
	switch m {
	case On:
		return Full
	case Off:
		return Out
	}
	return Standby
}

// A Part is what somebody who watches a link wants it to do.
type Part struct {
	Role Role
	// Lost says that nothing comes through: the link is [Silent] rather than up. It
	// goes with Out.
	Lost bool
	Why  string // for people, shown as the link's note; may be ""
}

// Steer says what part each link is to play, by name; those that are not named play
// what their mode says. It applies at once what differs, and nothing else. Between
// Full and Standby a link's traffic moves without a gap, in both directions: the
// kernel tells the other side of each subflow (MP_PRIO). A link that is Out loses its
// endpoint, which ends its subflows at both ends and sends again over the others what
// was under way.
//
// A link that is not up, or whose mode is Off, plays no part whatever is said here.
func (m *Manager) Steer(parts map[string]Part) error {
	m.work.Lock()
	same := maps.Equal(m.planner.parts, parts)
	m.planner.parts = maps.Clone(parts)
	m.work.Unlock()
	switch {
	case m.kernel == nil:
		return nil
	case same:
		return m.remind()
	}
	return errors.Join(m.follows(), m.remind())
}

// play takes over what a link is to do, if it is up.
func (c *candidate) play(parts map[string]Part) {
	c.Role = c.Mode.Role()
	p, ok := parts[c.Name]
	switch {
	case c.State != Up:
		c.Role = Out
		return
	case !ok:
		return
	}
	if c.Role = p.Role; p.Lost {
		c.State, c.Role = Silent, Out
	}
	if p.Why != "" {
		c.note(p.Why)
	}
}
