package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// FileName is the name of the account file in the state directory.
const FileName = "accounts.json"

// version is the format written and the only one read. A newer one is refused,
// not guessed at: writing it back would lose what we do not know.
const version = 1

type fileForm struct {
	Version  int           `json:"version"`
	Accounts []accountForm `json:"accounts"`
}

type accountForm struct {
	Name    string `json:"name"`
	Secret  string `json:"secret"`
	Created string `json:"created"`
}

// readFile reads the accounts of a file, sorted by name, and what Stat says of
// the very file that was read. The FileInfo is there also when the content is
// bad.
func readFile(path string) ([]Account, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read accounts: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read accounts: %w", err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, info, fmt.Errorf("read accounts: %w", err)
	}
	accounts, err := parse(text)
	if err != nil {
		return nil, info, fmt.Errorf("account file %s: %w", path, err)
	}
	return accounts, info, nil
}

// parse reads the file's text. Its errors name places and fields, never values:
// a value may be a secret.
func parse(text []byte) ([]Account, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, plain(err)
	}
	if head.Version != version {
		return nil, fmt.Errorf("version %d, this program knows version %d", head.Version, version)
	}
	var form fileForm
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&form); err != nil {
		return nil, plain(err)
	}
	if form.Accounts == nil {
		return nil, errors.New("no list of accounts")
	}
	accounts := make([]Account, 0, len(form.Accounts))
	for i, raw := range form.Accounts {
		a, err := raw.account()
		if err != nil {
			return nil, fmt.Errorf("account %d: %w", i+1, err)
		}
		accounts = append(accounts, a)
	}
	slices.SortFunc(accounts, byName)
	for i := 1; i < len(accounts); i++ {
		if accounts[i].Name == accounts[i-1].Name {
			return nil, fmt.Errorf("account %q is there twice", accounts[i].Name)
		}
	}
	return accounts, nil
}

func (f accountForm) account() (Account, error) {
	if err := CheckName(f.Name); err != nil {
		return Account{}, errors.New("name is not 1 to 64 of a-z, 0-9, '.', '_' and '-'")
	}
	secret, err := parseSecret(f.Secret)
	if err != nil {
		return Account{}, fmt.Errorf("%q: %w", f.Name, err)
	}
	created, err := time.Parse(time.RFC3339, f.Created)
	if err != nil {
		return Account{}, fmt.Errorf("%q: created is not a time like 2006-01-02T15:04:05Z", f.Name)
	}
	return Account{Name: f.Name, Secret: secret, Created: created.UTC()}, nil
}

// plain says what encoding/json found, without the value at which it stopped.
func plain(err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("no valid JSON, byte %d", syntax.Offset)
	case errors.As(err, &wrong):
		return fmt.Errorf("field %q has the wrong type, byte %d", wrong.Field, wrong.Offset)
	}
	return errors.New("a field that this program does not know")
}

func byName(a, b Account) int { return strings.Compare(a.Name, b.Name) }

// writeFile puts the accounts in place of the file in one step: a reader, or the
// next start after a power cut, sees the old accounts or the new ones. The
// caller holds the lock, which makes one temporary name enough and a left-over
// one safe to remove.
func writeFile(path string, accounts []Account) (err error) {
	form := fileForm{Version: version, Accounts: make([]accountForm, 0, len(accounts))}
	for _, a := range accounts {
		form.Accounts = append(form.Accounts, accountForm{a.Name, a.Secret.Text(), a.Created.Format(time.RFC3339)})
	}
	text, err := json.MarshalIndent(form, "", "  ")
	if err != nil {
		return fmt.Errorf("write accounts: %w", err)
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write accounts: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
			err = fmt.Errorf("write accounts: %w", err)
		}
	}()
	if err := writeNew(tmp, append(text, '\n'), ownerLike(path)); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// ownerLike returns whose file it shall be: that of path, else that of its
// directory. An administrator who adds an account must not take the file away
// from the relay's user.
func ownerLike(path string) os.FileInfo {
	info, err := os.Stat(path)
	if err != nil {
		info, _ = os.Stat(filepath.Dir(path))
	}
	return info
}

func writeNew(path string, text []byte, owner os.FileInfo) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = giveTo(f, owner)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename survive a power cut. Windows cannot sync a directory.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
