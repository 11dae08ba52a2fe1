// Package account says who may use the relay.
//
// Accounts live in one file of the state directory, accounts.json, which only
// its owner may read. The relay reads it while `tributary account` may change
// it in another process: every change is made under a lock and put in place in
// one step, and a [Store] notices it by itself. A Store never writes over a file
// that it could not read.
package account

import (
	"errors"
	"fmt"
	"time"
)

// Default is the account that the first start makes.
const Default = "default"

// MaxName is the longest account name in bytes. It must fit the one length byte
// of RFC 1929 section 2; 64 is our choice, so that names fit tables and logs.
const MaxName = 64

// ErrExists is in the chain of the error of [Store.Add] when the name is taken.
var ErrExists = errors.New("account exists already")

// ErrUnknown is in the chain of the error of [Store.Remove] when there is no
// account of that name.
var ErrUnknown = errors.New("no such account")

// An Account is somebody who may use the relay. Printing or logging it does not
// show the secret.
type Account struct {
	Name    string
	Secret  Secret
	Created time.Time // UTC, whole seconds
}

// CheckName says what is wrong with an account name, or returns nil: names are 1
// to [MaxName] bytes of a-z, 0-9, '.', '_' and '-', which need no escaping in a
// join link, a URL path or a metric label.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("account name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("account name of %d bytes, at most %d are allowed", len(name), MaxName)
	}
	for i, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-' {
			return fmt.Errorf("account name %q: %q at byte %d, allowed are a-z, 0-9, '.', '_' and '-'", name, r, i)
		}
	}
	return nil
}
