package account

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// checkEvery is how long a Store trusts what it has read before it looks at the
// file again: a removed account is refused after this time at the latest.
const checkEvery = time.Second

// A Store holds the accounts of one state directory. Its methods may be called
// from many goroutines, and from several processes on one directory.
type Store struct {
	// Log hears of a changed file that could not be read; then the accounts
	// read before stay valid. Set it before the first use; nil is silent.
	Log *slog.Logger

	dir, path string
	dummy     [sha256.Size]byte // compared with where there is no account

	mu       sync.Mutex
	accounts []entry     // sorted by name
	seen     os.FileInfo // of the file last read, well or badly
	checked  time.Time
	trouble  string // the last warning, so that each is given once
}

// An entry is an account with the hash of its secret's text. Hashes have one
// length, so comparing them takes one time.
type entry struct {
	Account
	sum [sha256.Size]byte
}

// Open opens the accounts of a state directory. Where there is no account file
// it makes one, and the directory, with the account [Default]. A file that
// cannot be read or understood is an error that names it, and stays as it is.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, path: filepath.Join(dir, FileName), dummy: sha256.Sum256([]byte(newSecret().Text()))}
	accounts, info, err := readFile(s.path)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make state directory: %w", err)
		}
		accounts, info, err = s.first()
	}
	if err != nil {
		return nil, err
	}
	s.hold(accounts, info)
	return s, nil
}

// first makes the account file, unless another process was faster.
func (s *Store) first() ([]Account, os.FileInfo, error) {
	unlock, err := lock(s.dir)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	accounts, info, err := readFile(s.path)
	if !errors.Is(err, os.ErrNotExist) {
		return accounts, info, err
	}
	if err := writeFile(s.path, []Account{newAccount(Default)}); err != nil {
		return nil, nil, err
	}
	return readFile(s.path)
}

func newAccount(name string) Account {
	return Account{Name: name, Secret: newSecret(), Created: time.Now().UTC().Truncate(time.Second)}
}

// Add makes an account with a new random secret. It fails on a bad name
// ([CheckName]) and on one that is taken ([ErrExists]).
func (s *Store) Add(name string) (Account, error) {
	if err := CheckName(name); err != nil {
		return Account{}, err
	}
	made := newAccount(name)
	err := s.change(func(accounts []Account) ([]Account, error) {
		i, found := slices.BinarySearchFunc(accounts, made, byName)
		if found {
			return nil, ErrExists
		}
		return slices.Insert(accounts, i, made), nil
	})
	if err != nil {
		return Account{}, fmt.Errorf("add account %q: %w", name, err)
	}
	return made, nil
}

// Remove ends an account. Other processes refuse it within a second; what they
// already serve for it is theirs to end. It fails with [ErrUnknown] where there
// is no such account.
func (s *Store) Remove(name string) error {
	err := s.change(func(accounts []Account) ([]Account, error) {
		i, found := slices.BinarySearchFunc(accounts, Account{Name: name}, byName)
		if !found {
			return nil, ErrUnknown
		}
		return slices.Delete(accounts, i, i+1), nil
	})
	if err != nil {
		return fmt.Errorf("remove account %q: %w", name, err)
	}
	return nil
}

// change applies f to what the file holds now, not to what this Store has read.
func (s *Store) change(f func([]Account) ([]Account, error)) error {
	unlock, err := lock(s.dir)
	if err != nil {
		return err
	}
	defer unlock()
	accounts, _, err := readFile(s.path)
	if err != nil {
		return err
	}
	if accounts, err = f(accounts); err != nil {
		return err
	}
	if err := writeFile(s.path, accounts); err != nil {
		return err
	}
	accounts, info, err := readFile(s.path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold(accounts, info)
	return nil
}

// Get returns the account of that name.
func (s *Store) Get(name string) (Account, bool) {
	e, ok := s.find(name, false)
	if !ok {
		e, ok = s.find(name, true)
	}
	return e.Account, ok
}

// List returns all accounts, sorted by name.
func (s *Store) List() []Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh(true)
	all := make([]Account, 0, len(s.accounts))
	for _, e := range s.accounts {
		all = append(all, e.Account)
	}
	return all
}

// Verify reports whether password is the text of the secret of the account of
// that name, and returns the account if so. Its time tells neither how much of
// the password was right nor, beyond the search in a short list, whether the
// name exists.
func (s *Store) Verify(name, password string) (Account, bool) {
	sum := sha256.Sum256([]byte(password))
	e, ok := s.verify(name, sum, false)
	if !ok {
		e, ok = s.verify(name, sum, true) // it may be new, or made anew
	}
	if !ok {
		return Account{}, false
	}
	return e.Account, true
}

func (s *Store) verify(name string, sum [sha256.Size]byte, now bool) (entry, bool) {
	e, found := s.find(name, now)
	if !found {
		e.sum = s.dummy
	}
	same := subtle.ConstantTimeCompare(sum[:], e.sum[:]) == 1
	return e, found && same
}

func (s *Store) find(name string, now bool) (entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh(now)
	i, found := slices.BinarySearchFunc(s.accounts, name, func(e entry, name string) int {
		return byName(e.Account, Account{Name: name})
	})
	if !found {
		return entry{}, false
	}
	return s.accounts[i], true
}

// refresh reads the file again if it is another one than the one last read. It
// looks at most once in checkEvery, or now.
func (s *Store) refresh(now bool) {
	if !now && time.Since(s.checked) < checkEvery {
		return
	}
	s.checked = time.Now()
	info, err := os.Stat(s.path)
	if err != nil {
		s.warn(fmt.Errorf("look at accounts: %w", err))
		return
	}
	if os.SameFile(info, s.seen) && info.Size() == s.seen.Size() && info.ModTime().Equal(s.seen.ModTime()) {
		return
	}
	accounts, read, err := readFile(s.path)
	if err != nil {
		if read != nil {
			s.seen = read // what it says is bad until it changes
		}
		s.warn(err)
		return
	}
	s.hold(accounts, read)
}

// hold takes over what was read.
func (s *Store) hold(accounts []Account, info os.FileInfo) {
	s.accounts = make([]entry, 0, len(accounts))
	for _, a := range accounts {
		s.accounts = append(s.accounts, entry{a, sha256.Sum256([]byte(a.Secret.Text()))})
	}
	s.seen, s.checked, s.trouble = info, time.Now(), ""
}

func (s *Store) warn(err error) {
	if s.Log != nil && err.Error() != s.trouble {
		s.trouble = err.Error()
		s.Log.Warn("account file not taken over, the accounts read before stay valid", "err", err)
	}
}
