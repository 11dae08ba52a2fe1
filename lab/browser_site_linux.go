package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"tributary/lab/page"
)

// A pageServer serves a site on the addresses of [Config.Sites], by HTTP/1.1 in the
// clear and, over TLS, by HTTP/2, as pages are served. It speaks plain TCP.
type pageServer struct {
	clear, secure http.Server // two, for one that does both may lack HTTP/2
	loops         sync.WaitGroup
	accepted      atomic.Int64 // connections
}

// serveSite starts the servers. It returns the hash of their public key, by which
// a browser may know them (RFC 7469 section 2.4).
func (n *Network) serveSite(ctx context.Context, site *page.Site) (s *pageServer, key string, err error) {
	cert, key, err := newCertificate(n.config.Sites)
	if err != nil {
		return nil, "", err
	}
	s = &pageServer{}
	for _, server := range []*http.Server{&s.clear, &s.secure} {
		server.Handler = site
		server.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.accepted.Add(1)
			}
		}
		server.ErrorLog = slog.NewLogLogger(n.config.Log.Handler(), slog.LevelDebug)
	}
	s.secure.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	for i := range n.config.Sites {
		for _, port := range []int{80, 443} {
			l, err := n.Host("server").Listen(ctx, "tcp4", hostPort(siteAddr(i).Addr(), port))
			if err != nil {
				return nil, "", errors.Join(fmt.Errorf("serve the page: %w", err), s.close())
			}
			s.loops.Go(func() {
				if port == 443 {
					s.secure.ServeTLS(l, "", "")
				} else {
					s.clear.Serve(l)
				}
			})
		}
	}
	return s, key, nil
}

func (s *pageServer) close() error {
	err := errors.Join(s.clear.Close(), s.secure.Close())
	s.loops.Wait()
	return err
}

// newCertificate makes a certificate for names that lasts a day, and the hash of
// its key.
func newCertificate(names []string) (cert tls.Certificate, keyHash string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, "", fmt.Errorf("make a key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return cert, "", fmt.Errorf("make a certificate: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return cert, "", fmt.Errorf("hash a key: %w", err)
	}
	sum := sha256.Sum256(spki)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, base64.StdEncoding.EncodeToString(sum[:]), nil
}
