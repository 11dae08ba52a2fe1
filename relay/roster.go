package relay

import (
	"sync"
	"time"

	"tributary/account"
)

// rosterRefresh is how long a roster is good for: so long that strangers' guesses
// cost no walk through all accounts each.
const rosterRefresh = time.Second

// A roster finds accounts by what their holders show instead of the name: a value
// that is made of the secret.
type roster[K comparable] struct {
	accounts *account.Store
	key      func(secret [account.SecretSize]byte) K

	mu    sync.Mutex
	names map[K]string
	made  time.Time
}

// find returns the account of a key. One that was removed or made anew is not found.
func (r *roster[K]) find(key K) (account.Account, bool) {
	r.mu.Lock()
	name, ok := r.names[key]
	if !ok && time.Since(r.made) >= rosterRefresh {
		r.names, r.made = make(map[K]string), time.Now()
		for _, a := range r.accounts.List() {
			r.names[r.key(a.Secret.Key())] = a.Name
		}
		name, ok = r.names[key]
	}
	r.mu.Unlock()
	if !ok {
		return account.Account{}, false
	}
	a, ok := r.accounts.Get(name)
	return a, ok && r.key(a.Secret.Key()) == key
}
