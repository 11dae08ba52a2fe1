package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// keyFile holds the relay's private key: what gateways pin is its public half.
const keyFile = "relay-key.pem"

// An identity is how a relay proves that it is the one in the join link.
type identity struct {
	cert tls.Certificate
	pin  [sha256.Size]byte // of the DER SubjectPublicKeyInfo
}

// loadIdentity reads the key in dir, or makes one at the first start.
func loadIdentity(dir string) (identity, error) {
	path := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = makeKey(path); err != nil {
			return identity{}, fmt.Errorf("make the relay's key: %w", err)
		}
	} else if err != nil {
		return identity{}, fmt.Errorf("read the relay's key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return identity{}, fmt.Errorf("%s: not a PEM file", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return identity{}, fmt.Errorf("%s: not a private key", path)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return identity{}, fmt.Errorf("%s: not an ECDSA key", path)
	}
	return certify(key)
}

// makeKey writes a fresh key. The file appears whole or not at all, and must not
// exist: two relays that start at once in one directory must not end up with two
// keys.
func makeKey(path string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	f, err := os.CreateTemp(filepath.Dir(path), keyFile+".*") // of mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return text, os.Link(f.Name(), path)
}

// certify wraps the key in a certificate of its own. Nobody checks more of it
// than the key, so it is made anew at each start and carries no name.
func certify(key *ecdsa.PrivateKey) (identity, error) {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "relay"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return identity{}, fmt.Errorf("make a certificate: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return identity{}, fmt.Errorf("encode the public key: %w", err)
	}
	return identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, sha256.Sum256(spki)}, nil
}
