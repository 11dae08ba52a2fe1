package relay

import "sync"

// limits counts connections, those that wait for a request included: each holds
// a descriptor.
type limits struct {
	total, perAccount int

	mu        sync.Mutex
	now       int // all of them
	known     int // those of accounts among them
	byAccount map[string]int
}

// strangerShare is the part of all connections, one in so many, that those who
// have not logged in may hold: people with accounts must get in whoever knocks.
const strangerShare = 4

// enter admits a connection, or says that there are too many.
func (l *limits) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now >= l.total || l.now-l.known >= max(1, l.total/strangerShare) {
		return false
	}
	l.now++
	return true
}

func (l *limits) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
}

// enterAccount admits one more connection of an account.
func (l *limits) enterAccount(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAccount[name] >= l.perAccount {
		return false
	}
	if l.byAccount == nil {
		l.byAccount = make(map[string]int)
	}
	l.byAccount[name]++
	l.known++
	return true
}

func (l *limits) leaveAccount(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known--
	if l.byAccount[name]--; l.byAccount[name] == 0 {
		delete(l.byAccount, name)
	}
}
