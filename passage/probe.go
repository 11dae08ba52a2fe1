package passage

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Chosen by us.
const (
	// lookPace is how often Links is looked at when nothing happens.
	lookPace = 5 * time.Second

	// controlAfter is how long a probe may go unanswered until plain TCP is tried
	// beside it.
	controlAfter = 400 * time.Millisecond

	// synTime is what a probe gets once plain TCP was answered, besides three of its
	// round trips: the kernel sends a second SYN after one second.
	synTime = 1200 * time.Millisecond

	// probeTime is what a probe may take in any case.
	probeTime = 4 * time.Second
)

// hello is what a probe sends: a TLS record with a handshake message that no client
// may send. A TLS server answers with an alert and ends. So data has flowed both ways,
// which some middleboxes treat otherwise than SYNs, at 16 bytes. An end without an alert
// is an answer too.
var hello = [...]byte{0x16, 3, 1, 0, 4, 0, 0, 0, 0}

// Run probes until ctx ends. It is to be called once.
func (m *Monitor) Run(ctx context.Context) {
	var probes sync.WaitGroup
	defer probes.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begin := func(w way, to netip.AddrPort, link string) {
		probes.Go(func() {
			e := m.ask(ctx, w.local, to, link)
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.asking, w)
			if ctx.Err() == nil {
				m.hear(w, e)
				signal(m.wake)
			}
		})
	}
	timer := time.NewTimer(m.pass(begin))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
		timer.Reset(m.pass(begin))
	}
}

// pass begins the probes that are due and returns when to look again.
func (m *Monitor) pass(begin func(way, netip.AddrPort, string)) time.Duration {
	links, relay := m.config.Links(), m.config.Relay()
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	next := now + lookPace
	trouble := m.trouble(links)
	present := make(map[way]bool)
	for _, l := range links {
		for _, local := range l.Addrs {
			for i, port := range m.config.Ports {
				w := way{local, port}
				present[w] = true
				m.forget(w, l.Via)
				to, ok := reach(relay, local, port)
				if !ok {
					continue
				}
				r := m.records[w]
				if r == nil {
					r = &record{asked: -1, via: l.Via}
					m.records[w] = r
				}
				m.update(w, r, r.expire(now))
				at := r.due(l.Metered, m.wants(i, port, trouble))
				if m.asking[w] {
					continue
				}
				if at <= now {
					r.asked, m.asking[w] = now, true
					begin(w, to, l.Name)
					continue
				}
				next = min(next, at)
			}
		}
	}
	for w, r := range m.records {
		if !present[w] && !m.asking[w] {
			delete(m.records, w) // another network may have the address when it comes back
			if r.verdict.Bad() {
				signal(m.changed)
			}
		}
	}
	m.choosePort()
	return next - now
}

// forget forgets a way that leads elsewhere now.
func (m *Monitor) forget(w way, via [2]netip.Addr) {
	switch r := m.records[w]; {
	case r == nil || r.via == via:
	case r.via == [2]netip.Addr{}: // it was heard of before it was looked at
		r.via = via
	case !m.asking[w]:
		delete(m.records, w)
		if r.verdict.Bad() {
			signal(m.changed)
		}
	}
}

// trouble reports whether a link does not pass at the preferred port: then the others
// are worth a look.
func (m *Monitor) trouble(links []Link) bool {
	for _, l := range links {
		for _, a := range l.Addrs {
			if m.verdict(way{a, m.config.Ports[0]}).Bad() {
				return true
			}
		}
	}
	return false
}

// reach returns the relay's address of the family of a local one.
func reach(relay []netip.Addr, local netip.Addr, port uint16) (netip.AddrPort, bool) {
	for _, a := range relay {
		if a.Is4() == local.Is4() {
			return netip.AddrPortFrom(a, port), true
		}
	}
	return netip.AddrPort{}, false
}

// ask probes one way.
func (m *Monitor) ask(ctx context.Context, local netip.Addr, to netip.AddrPort, link string) Evidence {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	began := time.Now()
	answer := make(chan Evidence, 1)
	go func() { answer <- m.byMultipath(ctx, local, to) }() // ends with its context, and is waited for
	select {
	case e := <-answer:
		if e != nothing {
			return e
		}
		answer <- e // refused, or no route: the control tells
	case <-time.After(controlAfter):
	}
	works, took := m.byTCP(ctx, local, to)
	if works {
		end := time.AfterFunc(synTime+3*took-time.Since(began), cancel)
		defer end.Stop()
	} else {
		cancel()
	}
	e := <-answer
	switch {
	case e != nothing:
		return e
	case works:
		return lost
	case m.config.Alive(link):
		return shut
	}
	return nothing
}

// byMultipath connects by MPTCP and has data flow both ways. It returns passed,
// stripped or nothing.
func (m *Monitor) byMultipath(ctx context.Context, local netip.Addr, to netip.AddrPort) Evidence {
	c, err := m.config.Dial(ctx, local, to, true)
	if err != nil {
		return nothing
	}
	defer c.Close()
	if !m.config.Multipath(c) {
		return stripped
	}
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(hello[:]); err != nil {
		return nothing
	}
	_, err = c.Read(make([]byte, 64))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nothing
	case err == nil && !m.config.Multipath(c):
		return stripped
	}
	return passed
}

// byTCP reports whether plain TCP is answered, and after how long.
func (m *Monitor) byTCP(ctx context.Context, local netip.Addr, to netip.AddrPort) (bool, time.Duration) {
	began := time.Now()
	c, err := m.config.Dial(ctx, local, to, false)
	if err != nil {
		return false, 0
	}
	c.Close()
	return true, time.Since(began)
}
