package relay

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tributary/account"
)

func TestKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := loadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%s has mode %v", path, info.Mode())
	}
	again, err := loadIdentity(dir)
	if err != nil || again.pin != first.pin {
		t.Errorf("the second start has pin %x, %v; the first had %x", again.pin, err, first.pin)
	}
	// The pin is that of the certificate that gateways see.
	made, err := (&certifier{key: again.key}).certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(made.Certificate[0])
	if err != nil || sha256.Sum256(cert.RawSubjectPublicKeyInfo) != first.pin {
		t.Errorf("the certificate (%v) has another key than the pin", err)
	}
	if other, err := loadIdentity(t.TempDir()); err != nil || other.pin == first.pin {
		t.Errorf("another relay has pin %x, %v", other.pin, err)
	}
}

func TestBadKeyFileIsNamed(t *testing.T) {
	_, edKey, _ := ed25519.GenerateKey(nil)
	der, err := x509.MarshalPKCS8PrivateKey(edKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty":          {},
		"garbage":        []byte("not a key\n"),
		"no key inside":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("no key")}),
		"another kind":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"cut in the end": []byte("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG"),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, keyFile)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadIdentity(dir)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error that names %s", name, err, path)
		}
		if after, _ := os.ReadFile(path); string(after) != string(content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	dir := filepath.Join(t.TempDir(), "missing")
	if _, err := loadIdentity(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("no directory: %v", err)
	}
}

func TestJoinLink(t *testing.T) {
	dir := t.TempDir()
	accounts, err := account.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := JoinLink(accounts, account.Default, dir, "relay.example", 8443)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := loadIdentity(dir)
	a, _ := accounts.Get(account.Default)
	if l.Account != "default" || l.Host != "relay.example" || l.Port != 8443 || l.Pin != id.pin || l.Secret.Text() != a.Secret.Text() {
		t.Errorf("join link %v", l)
	}
	if _, err := JoinLink(accounts, "nobody", dir, "relay.example", 8443); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("unknown account: %v", err)
	}
}

// What can be advertised, best last.
func TestReach(t *testing.T) {
	last := 0
	for _, rank := range [][]string{
		{"127.0.0.1", "::1", "169.254.1.1", "fe80::1", "224.0.0.1", "0.0.0.0"},
		{"fd00::1"}, {"192.168.1.1", "10.0.0.1"}, {"2001:4860::1"}, {"11.1.0.2", "8.8.8.8"},
	} {
		for _, a := range rank {
			got := reach(netip.MustParseAddr(a))
			if got != last {
				t.Errorf("%s has rank %d, want %d", a, got, last)
			}
		}
		last++
	}
}

// A certificate tells the time of the handshake.
func TestCertificateTellsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id, err := loadIdentity(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c := &certifier{key: id.key}
		for range 3 {
			made, err := c.certificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			again, _ := c.certificate(nil)
			cert, err := x509.ParseCertificate(made.Certificate[0])
			if err != nil || made != again {
				t.Fatalf("%v, or two certificates in one second", err)
			}
			if age := time.Since(cert.NotBefore); age < 0 || age >= time.Second {
				t.Errorf("the certificate is %v old", age)
			}
			time.Sleep(1500 * time.Millisecond)
		}
	})
}
