package relay

import "sync"

// limits counts connections, those that wait for a request included: each holds
// a descriptor.
type limits struct {
	total, perAccount int

	mu        sync.Mutex
	now       int
	byAccount map[string]int
}

// enter admits a connection, or says that there are too many.
func (l *limits) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now >= l.total {
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
	return true
}

func (l *limits) leaveAccount(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAccount[name]--; l.byAccount[name] == 0 {
		delete(l.byAccount, name)
	}
}
