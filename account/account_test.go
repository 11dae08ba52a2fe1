package account

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func names(s *Store) string {
	var all []string
	for _, a := range s.List() {
		all = append(all, a.Name)
	}
	return strings.Join(all, " ")
}

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	s := open(t, dir)
	a, ok := s.Get(Default)
	if !ok || names(s) != Default || len(a.Secret.Text()) != 22 || time.Since(a.Created) > time.Minute {
		t.Fatalf("first start made %v, want one account %q", s.List(), Default)
	}
	if b, _ := open(t, dir).Get(Default); b.Secret.Text() != a.Secret.Text() || !b.Created.Equal(a.Created) {
		t.Error("the second start has another secret or time")
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(filepath.Join(dir, FileName))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("account file has mode %v, %v, want 0600", info.Mode(), err)
		}
	}
	if err := s.Remove(Default); err != nil {
		t.Fatal(err)
	}
	if got := names(open(t, dir)); got != "" {
		t.Errorf("after removing the last account, a start has %q", got)
	}
}

func TestAddRemoveVerify(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	a, err := s.Add("anna")
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Add("bob.2_x-y")
	if err != nil {
		t.Fatal(err)
	}
	if a.Secret.Text() == b.Secret.Text() {
		t.Error("two accounts have one secret")
	}
	if got := names(s); got != "anna bob.2_x-y default" {
		t.Errorf("List is %q", got)
	}
	for _, tt := range []struct {
		name, password string
		want           bool
	}{
		{"anna", a.Secret.Text(), true},
		{"bob.2_x-y", b.Secret.Text(), true},
		{"anna", b.Secret.Text(), false},
		{"anna", "", false},
		{"anna", a.Secret.Text() + "=", false},
		{"anna", a.Secret.Text()[:21], false},
		{"Anna", a.Secret.Text(), false},
		{"", "", false},
		{"nobody", "", false},
		{"nobody", a.Secret.Text(), false},
	} {
		got, ok := s.Verify(tt.name, tt.password)
		if ok != tt.want || ok && got.Name != tt.name || !ok && got != (Account{}) {
			t.Errorf("Verify(%q, …) = %v, %v, want %v", tt.name, got, ok, tt.want)
		}
	}
	if _, err := s.Add("anna"); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), `"anna"`) {
		t.Errorf("second Add: %v", err)
	}
	if err := s.Remove("carl"); !errors.Is(err, ErrUnknown) {
		t.Errorf("Remove of nobody: %v", err)
	}
	if err := s.Remove("anna"); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Verify("anna", a.Secret.Text()); ok {
		t.Error("a removed account verifies")
	}
	if _, ok := s.Get("anna"); ok {
		t.Error("a removed account is there")
	}
}

// The secret that unknown names are compared with opens nothing, and there is
// no text of the zero Secret.
func TestVerifyDummy(t *testing.T) {
	s := open(t, t.TempDir())
	text := newSecret().Text()
	s.dummy = sha256.Sum256([]byte(text))
	if _, ok := s.Verify("nobody", text); ok {
		t.Error("the dummy's secret verifies")
	}
	if z := (Secret{}); z.Text() != "" || z.Key() != [SecretSize]byte{} {
		t.Error("the zero Secret has a text")
	}
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "default", "0.9_-", strings.Repeat("x", MaxName)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	s := open(t, t.TempDir())
	for _, bad := range []string{"", "Anna", "a b", "a:b", "a/b", "ä", "a\n", "a@b", strings.Repeat("x", MaxName+1)} {
		if err := CheckName(bad); err == nil {
			t.Errorf("%q is allowed", bad)
		}
		if _, err := s.Add(bad); err == nil {
			t.Errorf("Add(%q) works", bad)
		}
	}
}

func TestSecretHides(t *testing.T) {
	s := newSecret()
	key := s.Key()
	a := Account{Name: "anna", Secret: s}
	inner := struct {
		a Account
		s Secret
	}{a, s}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "secret", s, "account", a, "pointer", &a, "inner", inner)
	}
	j, err := json.Marshal(map[string]any{"a": a, "s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	out := log.String() + string(j)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%X"} {
		out += fmt.Sprintf(verb+verb+verb+verb+verb, s, &s, a, &a, inner)
	}
	out += fmt.Sprint(s, a) + s.String()
	for _, leak := range []string{s.Text(), fmt.Sprintf("%x", key), fmt.Sprintf("%X", key), fmt.Sprint(key), fmt.Sprintf("%#v", key)[12:]} {
		if strings.Contains(out, strings.Trim(leak, "[]{}")) {
			t.Errorf("%q shows in:\n%s", leak, out)
		}
	}
	if !strings.Contains(string(j), `"s":"…"`) {
		t.Errorf("JSON is %s", j)
	}
}

func TestOtherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		relay, command := open(t, dir), open(t, dir)
		a, err := command.Add("anna") // new accounts work at once
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := relay.Verify("anna", a.Secret.Text()); !ok {
			t.Fatal("an account that another process made does not verify")
		}
		if err := command.Remove("anna"); err != nil {
			t.Fatal(err)
		}
		if _, ok := relay.Verify("anna", a.Secret.Text()); !ok {
			t.Error("the file is looked at more than once a second")
		}
		time.Sleep(checkEvery)
		if _, ok := relay.Verify("anna", a.Secret.Text()); ok {
			t.Error("an account that another process removed verifies after a second")
		}
		b, err := command.Add("anna") // made anew: the new secret works at once
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := relay.Verify("anna", b.Secret.Text()); !ok {
			t.Error("the new secret does not verify")
		}
		if _, err := relay.Add("bob"); err != nil { // does not lose what it has not read
			t.Fatal(err)
		}
		if got := names(command); got != "anna bob default" {
			t.Errorf("both processes' accounts: %q", got)
		}
	})
}

func TestConcurrentWriters(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for p := range 4 {
		s := open(t, dir)
		for i := range 5 {
			wg.Go(func() {
				if _, err := s.Add(fmt.Sprintf("p%d.%d", p, i)); err != nil {
					t.Error(err)
				}
				s.Verify("p0.0", "x")
			})
		}
	}
	wg.Wait()
	if got := len(open(t, dir).List()); got != 21 {
		t.Errorf("%d accounts, want 21", got)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range left {
		if b := filepath.Base(f); b != FileName && b != lockName {
			t.Errorf("left over: %s", b)
		}
	}
}
