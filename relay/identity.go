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
	"sync"
	"time"
)

// keyFile holds the relay's private key: what gateways pin is its public half.
const keyFile = "relay-key.pem"

// An identity is how a relay proves that it is the one in the join link.
type identity struct {
	key *ecdsa.PrivateKey
	pin [sha256.Size]byte // of the DER SubjectPublicKeyInfo
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
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return identity{}, fmt.Errorf("encode the public key: %w", err)
	}
	return identity{key, sha256.Sum256(spki)}, nil
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

// A certifier wraps the key in certificates of its own. Nobody checks more of them
// than the key, so they carry no name; but they tell the time: each is valid from
// the second in which it was made, which is at most one before the handshake. That
// is how gateways learn the relay's clock, which Shadowsocks needs, without a
// byte or a round trip of its own. And they tell which run of the relay this is.
type certifier struct {
	key      *ecdsa.PrivateKey
	instance uint64 // goes along as the serial number

	mu   sync.Mutex
	made time.Time
	cert *tls.Certificate
}

// certificate is a tls.Config's GetCertificate.
func (c *certifier) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().Truncate(time.Second)
	if c.cert != nil && now.Equal(c.made) {
		return c.cert, nil
	}
	tmpl := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(c.instance),
		Subject:      pkix.Name{CommonName: "relay"},
		NotBefore:    now,
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &c.key.PublicKey, c.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	c.made, c.cert = now, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.key}
	return c.cert, nil
}
