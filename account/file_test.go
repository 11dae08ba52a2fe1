package account

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const goodSecret = "AAECAwQFBgcICQoLDA0ODw"

func one(secret string) string {
	return `{"version":1,"accounts":[{"name":"anna","secret":"` + secret + `","created":"2026-01-02T03:04:05Z"}]}`
}

func TestBadFile(t *testing.T) {
	good := one(goodSecret)
	for name, text := range map[string]string{
		"empty":           "",
		"half":            good[:len(good)/2],
		"not JSON":        goodSecret,
		"list":            `[]`,
		"more":            good + good,
		"null":            `null`,
		"no version":      strings.Replace(good, `"version":1,`, "", 1),
		"newer":           strings.Replace(good, `:1,`, `:2,"x":3,`, 1),
		"no accounts":     `{"version":1}`,
		"unknown field":   strings.Replace(good, `"created"`, `"quota":"`+goodSecret+`","created"`, 1),
		"secret as field": strings.Replace(good, `"created"`, `"`+goodSecret+`":1,"created"`, 1),
		"number":          strings.Replace(good, `"`+goodSecret+`"`, "123456789", 1),
		"bad name":        strings.Replace(good, "anna", goodSecret, 1),
		"secret for time": strings.Replace(good, "2026-01-02T03:04:05Z", goodSecret, 1),
		"short secret":    one(goodSecret[:20]),
		"long secret":     one(goodSecret + "AAAA"),
		"padded secret":   one(goodSecret + "=="),
		"not base64url":   one(goodSecret[:20] + "+/"),
		"loose base64":    one(goodSecret[:21] + "x"),
		"twice":           strings.Replace(good, "]", `,{"name":"anna","secret":"`+goodSecret+`","created":"2026-01-02T03:04:05Z"}]`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir)
			if err == nil {
				t.Fatal("opened")
			}
			t.Log(strings.ReplaceAll(err.Error(), dir, ""))
			if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), goodSecret[:20]) || strings.Contains(err.Error(), "123456789") {
				t.Errorf("error does not name the file or shows a secret: %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != text {
				t.Error("the bad file was written over")
			}
		})
	}
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, FileName), []byte(good), 0o600)
	if _, ok := open(t, dir).Verify("anna", goodSecret); !ok {
		t.Error("the good file does not work")
	}
}

// A file that goes bad while the relay runs leaves the accounts as they were,
// is reported once, never written over, and taken up again when it is good.
func TestFileGoesBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, FileName)
		s := open(t, dir)
		var log bytes.Buffer
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
		a, _ := s.Get(Default)
		works := func(when string) {
			t.Helper()
			for range 3 {
				time.Sleep(checkEvery)
				if _, ok := s.Verify(Default, a.Secret.Text()); !ok {
					t.Errorf("%s, the account does not verify", when)
				}
				s.Verify("nobody", "x")
			}
		}
		os.WriteFile(path, []byte("{"), 0o600)
		works("with a bad file")
		if _, err := s.Add("anna"); err == nil {
			t.Error("Add works on a bad file")
		}
		if b, _ := os.ReadFile(path); string(b) != "{" {
			t.Errorf("the bad file became %q", b)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), path) {
			t.Errorf("logged %d lines, want 1 that names the file:\n%s", n, log.String())
		}
		os.Remove(path)
		works("without a file")
		if _, err := s.Add("anna"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Add without a file: %v", err)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("logged %d lines, want 2:\n%s", n, log.String())
		}
		os.WriteFile(path, []byte(one(goodSecret)), 0o600)
		if _, ok := s.Verify("anna", goodSecret); !ok {
			t.Error("the good file is not taken up")
		}
		time.Sleep(checkEvery)
		if _, ok := s.Verify(Default, a.Secret.Text()); ok {
			t.Error("an account that is gone from the file verifies")
		}
	})
}

func TestLeftOver(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	os.WriteFile(filepath.Join(dir, FileName+".new"), []byte("half"), 0o644)
	if _, err := s.Add("anna"); err != nil {
		t.Fatal(err)
	}
	if got := names(open(t, dir)); got != "anna default" {
		t.Errorf("accounts %q", got)
	}
}

func TestStateDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open of a file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(one(goodSecret)))
	f.Add([]byte(`{"version":1,"accounts":[]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		accounts, err := parse(text)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), FileName)
		if err := writeFile(path, accounts); err != nil {
			t.Fatal(err)
		}
		again, _, err := readFile(path)
		if err != nil || len(again) != len(accounts) {
			t.Fatalf("%v: %v became %v", err, accounts, again)
		}
		for i := range again {
			if again[i].Name != accounts[i].Name || again[i].Secret.Text() != accounts[i].Secret.Text() {
				t.Errorf("%v became %v", accounts[i], again[i])
			}
		}
	})
}
