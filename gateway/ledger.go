package gateway

import (
	"log/slog"
	"net/netip"
	"time"

	"tributary/link"
	"tributary/upkeep"
)

// What cannot be read from a connection, for there is none any more: SYNs that
// nobody answered, and a whole opening that ended with a refusal. Bytes on each
// link, an estimate from above.
const (
	failedTry  = 300
	refusedTry = 5000
)

// A ledger charges the links with what the pool's connections cost them. The
// pool's lock guards it.
//
// What a connection moves while it waits is charged as it goes, from the kernel's
// counts. Making it is charged only when it ends without having served: one that
// serves a request has cost that request, which would have needed some connection.
type ledger struct {
	books *upkeep.Books
	links func() []link.Link                     // nil where nobody cares for links
	cost  func(*relayConn) map[netip.Addr]uint64 // on each local address so far
	log   *slog.Logger
	owner map[netip.Addr]string // whose address it is, or was
	level upkeep.Thrift         // of the metered link that has the least left
}

func newLedger(log *slog.Logger) *ledger {
	books, _ := upkeep.Open("")
	return &ledger{
		books: books, log: log, owner: map[netip.Addr]string{},
		links: func() []link.Link { return nil },
		cost:  func(*relayConn) map[netip.Addr]uint64 { return nil },
	}
}

// open begins an account for a connection that has just come into the pool.
func (l *ledger) open(w *warmConn) {
	w.paid = l.cost(w.relayConn)
	if !w.used {
		w.made = w.paid
	}
}

// charge charges what a connection has cost since it was last charged.
func (l *ledger) charge(w *warmConn) {
	now := l.cost(w.relayConn)
	for addr, n := range now {
		l.spend(addr, n-min(n, w.paid[addr]))
	}
	if now != nil {
		w.paid = now
	}
}

// settle charges a connection that ends in the pool.
func (l *ledger) settle(w *warmConn) {
	l.charge(w)
	for addr, n := range w.made {
		l.spend(addr, n)
	}
	for addr := range w.paid {
		l.spend(addr, farewell)
	}
}

// failed charges a try that came to nothing.
func (l *ledger) failed(refused bool) {
	bytes := uint64(failedTry)
	if refused {
		bytes = refusedTry
	}
	for _, k := range l.links() {
		if k.Usable() {
			l.books.Spend(k.Name, bytes, time.Now())
		}
	}
}

func (l *ledger) spend(addr netip.Addr, bytes uint64) {
	if name := l.owner[addr]; name != "" {
		l.books.Spend(name, bytes, time.Now())
	}
}

// look finds out whose the addresses are, and how sparing the pool has to be.
func (l *ledger) look() {
	now := time.Now()
	level, most, spent := upkeep.Plenty, "", uint64(0)
	if len(l.owner) > 1000 { // addresses come and go
		clear(l.owner)
	}
	for _, k := range l.links() {
		for _, a := range k.Addrs {
			l.owner[a] = k.Name
		}
		if !k.Metered || !k.Usable() {
			continue
		}
		n := l.books.Spent(k.Name, now)
		if t := upkeep.Of(n, upkeep.Budget); most == "" || t > level {
			level, most, spent = t, k.Name, n
		}
	}
	if level != l.level {
		l.level = level
		l.log.Info("upkeep of warm connections", "link", most, "upkeep", level.String(), "bytes", spent)
	}
}

// save keeps the books for the next start. It writes to a disk, and needs no lock.
func (l *ledger) save(last bool) {
	if err := l.books.Save(time.Now(), last); err != nil {
		l.log.Warn("upkeep is not remembered", "err", err)
	}
}
