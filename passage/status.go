package passage

import (
	"net/netip"
	"time"
)

// A Way is what is known of the way from a local address to one port of the relay.
type Way struct {
	Link    string
	Local   netip.Addr
	Port    uint16
	Verdict Verdict
	Since   time.Time // of the verdict; zero if there never was another one
	Expires time.Time // when it is Unknown again unless something new is seen; zero for all but OK
	Next    time.Time // when it is probed next; zero if nothing asks for that
}

// A Decision is a change of the verdict on a way, from or to one that keeps the link out
// of the bundle.
type Decision struct {
	At       time.Time
	Link     string
	Port     uint16
	From, To Verdict
}

// Status returns the ways of the links that are up, link by link, and of each address the
// preferred port first. Ports of which nothing is known and that are not in use are left
// out.
func (m *Monitor) Status() (all []Way) {
	links, relay := m.config.Links(), m.config.Relay()
	m.mu.Lock()
	defer m.mu.Unlock()
	trouble := m.trouble(links)
	for _, l := range links {
		for _, local := range l.Addrs {
			for i, port := range m.config.Ports {
				r := m.records[way{local, port}]
				if _, ok := reach(relay, local, port); !ok || port != m.port && (r == nil || r.asked < 0 && r.verdict == Unknown) {
					continue
				}
				w := Way{Link: l.Name, Local: local, Port: port}
				if r != nil {
					m.describe(&w, *r, l.Metered, m.wants(i, port, trouble))
				}
				all = append(all, w)
			}
		}
	}
	return all
}

// describe fills in what a record says.
func (m *Monitor) describe(w *Way, r record, metered, wanted bool) {
	w.Verdict = r.verdict
	if r.since > 0 {
		w.Since = m.start.Add(r.since)
	}
	if r.verdict == OK {
		w.Expires = m.start.Add(r.proved + expiry)
	}
	if at := r.due(metered, wanted); at < never {
		w.Next = m.start.Add(at)
	}
}

// wants reports whether a port is to be probed for: the first, the one in use, and all
// while a link does not pass at the first.
func (m *Monitor) wants(i int, port uint16, trouble bool) bool {
	return i == 0 || trouble || port == m.port
}
