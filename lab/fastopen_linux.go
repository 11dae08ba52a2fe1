package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	portTLS = 443

	// The bits of net.ipv4.tcp_fastopen: ask and send; and accept, at any listener.
	fastOpenAsk    = "1"
	fastOpenServer = "1027"

	fastOpenCount = 15
	referenceP    = 20 // ms
	fastOpenMost  = 68 // ms: R + P, and the work of two programs
)

// fastOpen measures TLS sessions with a final server that takes data in the SYN,
// with the relay's host allowing that and not. The first session asks for a cookie.
func fastOpen(ctx context.Context, t *trial) error {
	server := t.Network.Host("server")
	if err := server.Sysctl("net.ipv4.tcp_fastopen", fastOpenServer); err != nil {
		return err
	}
	cert, _, err := newCertificate([]string{ServerName})
	if err != nil {
		return err
	}
	l, err := server.Listen(ctx, "tcp", fmt.Sprintf(":%d", portTLS))
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer l.Close()
	serving.Go(func() { serveTLS(l, &tls.Config{Certificates: []tls.Certificate{cert}}) })
	if err := t.begin(ctx); err != nil {
		return err
	}
	medians := map[string]float64{}
	for _, bits := range []string{"0", fastOpenAsk} {
		if err := t.Network.Host("relay").Sysctl("net.ipv4.tcp_fastopen", bits); err != nil {
			return err
		}
		t.step(1500*time.Millisecond, "TLS sessions, with net.ipv4.tcp_fastopen = %s on the relay's host", bits)
		var all []float64
		for i := range fastOpenCount + 1 {
			if err := t.Warm(ctx); err != nil {
				return err
			}
			d, err := t.serverHello(ctx)
			if err != nil {
				return err
			}
			if i > 0 {
				all = append(all, ms(d))
			}
		}
		medians[bits] = median(all)
	}
	without, with := medians["0"], medians[fastOpenAsk]
	t.figure("first byte of TLS, warm, without Fast Open", without, "ms", nil)
	t.figure("first byte of TLS, warm, second session with Fast Open", with, "ms", atMost(fastOpenMost))
	t.check("a round trip to the server is saved", without-with > referenceP/2, "%.1f ms of %d", without-with, referenceP)
	return nil
}

// serveTLS greets everybody, one after the other, until the listener is closed.
func serveTLS(l net.Listener, config *tls.Config) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		tls.Server(c, config).Handshake()
		c.Close()
	}
}

// serverHello returns the time from a client's SYN to the first byte of the final
// server. Its hello fits into a SYN; one with post-quantum key shares would not.
func (t *trial) serverHello(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	begun := time.Now()
	c, err := t.ask(ctx, askSOCKS5, ServerName, portTLS)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	f := &firstRead{Conn: c}
	config := &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}}
	if err := tls.Client(f, config).HandshakeContext(ctx); err != nil {
		return 0, err
	}
	return f.at.Sub(begun), nil
}

// A firstRead notes when the first bytes came.
type firstRead struct {
	net.Conn
	at time.Time
}

func (f *firstRead) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if f.at.IsZero() {
		f.at = time.Now()
	}
	return n, err
}
