package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// maxCached is how many answers are remembered, chosen by us: with the longest
// names and sixteen addresses each that is some 7 MB, usually 2 MB. Accounts
// cannot make it more; they can only push each other's answers out.
const maxCached = 10_000

// A Resolver remembers answers for as long as their TTL says, and joins those who
// ask the same at the same time. It may be used by many goroutines. An answer with TTL 0 is for those alone who were
// waiting for it (RFC 1035 section 3.2.1). No answer is given past its time.
//
// Answers are in two generations: once the young one is half of what may be
// remembered, it becomes the old one, and the old one is forgotten. What is used
// moves to the young one. So room is made without searching.
type Resolver struct {
	ask   func(context.Context, question) found
	files *files // nil is none

	mu         sync.Mutex
	young, old map[question]cached
	flights    map[question]*flight
	version    int // of the name servers that the answers are from
}

type cached struct {
	found
	until time.Time
}

// A flight is a question under way. It lasts as long as somebody waits for it.
type flight struct {
	done    chan struct{} // closed once found is set
	found   found
	waiting int
	cancel  context.CancelFunc
}

func over(ask func(context.Context, question) found, f *files) *Resolver {
	return &Resolver{ask: ask, files: f, young: map[question]cached{}, flights: map[question]*flight{}}
}

// New returns a Resolver over the name servers of this host, or over the standard
// library where the system keeps them in no file.
func New() *Resolver {
	if f := systemFiles(); f != nil {
		var d net.Dialer
		d.SetMultipathTCP(false)
		a := &asker{servers: f.nameservers, dial: d.DialContext}
		return over(a.ask, f)
	}
	return over(askSystem, nil)
}

// untoldFor is how long an answer is remembered whose TTL nobody tells: short
// enough that a name that moves is followed as most TTLs would have it.
const untoldFor = 5 * time.Second

// askSystem asks the standard library, with the final dot that keeps search
// lists away.
func askSystem(ctx context.Context, q question) found {
	network := "ip4"
	if q.v6 {
		network = "ip6"
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, q.name+".")
	var dns *net.DNSError
	errors.As(err, &dns)
	switch {
	case err == nil:
		return found{addrs[:min(len(addrs), maxAddrs)], nil, untoldFor}
	case dns != nil && dns.IsNotFound:
		return found{nil, err, untoldFor}
	}
	return found{err: err}
}

// LookupNetIP returns the addresses of a name, sixteen at most: IPv6 ones if
// network is "ip6", else IPv4 ones. They are not to be changed. The name is taken
// as absolute: the search list of this host is for its own users. Errors are
// *net.DNSError; one that says IsNotFound means that there is no such name or that
// it has no such address.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	q := question{v6: network == "ip6"}
	var ok bool
	if q.name, ok = canonical(host); !ok {
		q.name = host
		return nil, notThere(q)
	}
	f, ok := r.local(q)
	if !ok {
		f = r.lookup(ctx, q)
	}
	return f.addrs, f.err
}

// local answers what no name server is to be asked for: names of the hosts file,
// and this host by its standing name (RFC 6761 section 6.3).
func (r *Resolver) local(q question) (f found, ok bool) {
	var all []netip.Addr
	if r.files != nil {
		all = r.files.hosts()[q.name]
	}
	if len(all) == 0 && (q.name == "localhost" || strings.HasSuffix(q.name, ".localhost")) {
		all = []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	if len(all) == 0 {
		return found{}, false
	}
	for _, ip := range all {
		if ip.Is6() == q.v6 {
			f.addrs = append(f.addrs, ip)
		}
	}
	if len(f.addrs) == 0 {
		f.err = notThere(q)
	}
	return f, true
}

func (r *Resolver) lookup(ctx context.Context, q question) found {
	version := 0
	if r.files != nil {
		version = r.files.serversVersion()
	}
	r.mu.Lock()
	if version != r.version {
		// Other name servers may know other answers.
		r.version, r.young, r.old = version, map[question]cached{}, nil
	}
	if f, ok := r.get(q); ok {
		r.mu.Unlock()
		return f
	}
	fl := r.flights[q]
	if fl == nil {
		fl = &flight{done: make(chan struct{})}
		var flightCtx context.Context
		flightCtx, fl.cancel = context.WithCancel(context.WithoutCancel(ctx))
		q.name = strings.Clone(q.name) // not the client's whole message
		r.flights[q] = fl
		go r.fly(flightCtx, q, fl, version)
	}
	fl.waiting++
	r.mu.Unlock()
	select {
	case <-fl.done:
	case <-ctx.Done():
		return r.leave(ctx, q, fl)
	}
	return fl.found
}

// fly asks, and remembers the answer unless the name servers have changed since.
func (r *Resolver) fly(ctx context.Context, q question, fl *flight, version int) {
	defer close(fl.done)
	defer fl.cancel()
	fl.found = r.ask(ctx, q)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flights[q] == fl {
		delete(r.flights, q)
	}
	if fl.found.ttl > 0 && version == r.version {
		r.put(q, cached{fl.found, time.Now().Add(fl.found.ttl)})
	}
}

// leave gives up waiting. The last to leave ends the flight and waits for that,
// so that nothing goes on behind the back of those who asked.
func (r *Resolver) leave(ctx context.Context, q question, fl *flight) found {
	r.mu.Lock()
	fl.waiting--
	last := fl.waiting == 0
	if last && r.flights[q] == fl {
		delete(r.flights, q)
	}
	r.mu.Unlock()
	if last {
		fl.cancel()
		<-fl.done
	}
	err := ctx.Err()
	return found{err: &net.DNSError{Err: err.Error(), UnwrapErr: err, Name: q.name, IsTimeout: errors.Is(err, context.DeadlineExceeded)}}
}

func (r *Resolver) get(q question) (found, bool) {
	e, young := r.young[q]
	if !young {
		e = r.old[q]
		delete(r.old, q)
	}
	switch {
	case !time.Now().Before(e.until): // or never there
		delete(r.young, q)
		return found{}, false
	case !young:
		r.put(q, e)
	}
	return e.found, true
}

func (r *Resolver) put(q question, e cached) {
	if len(r.young) >= maxCached/2 {
		r.young, r.old = make(map[question]cached), r.young
	}
	r.young[q] = e
}
