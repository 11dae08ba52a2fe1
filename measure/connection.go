package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"tributary/mptcp"
	"tributary/proto/httpconnect"
	"tributary/proto/socks"
)

// A connection is one on which the clock runs.
type connection struct {
	*net.TCPConn
	began, last time.Time
	firstByte   time.Time // of what is read behind the handshake
	sample      Sample
}

// step enters the time since the step before.
func (c *connection) step(name string) {
	now := time.Now()
	c.sample.Steps = append(c.sample.Steps, Step{name, ms(now.Sub(c.last))})
	c.last = now
}

// Read sees the first byte of the answer.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 && c.firstByte.IsZero() {
		c.firstByte = time.Now()
	}
	return n, err
}

// connection makes one connection and fetches. The sample holds the error, too.
func (s Setup) connection(ctx context.Context, to netip.AddrPort, size int64) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, connectionTime)
	defer cancel()
	c := &connection{began: time.Now()}
	c.last = c.began
	err := s.fetch(ctx, c, to, size)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("not within %v: %w", connectionTime, err)
		}
		c.sample.Error = err.Error()
	}
	return c.sample, err
}

func (s Setup) fetch(ctx context.Context, c *connection, to netip.AddrPort, size int64) error {
	dialer := mptcp.Dialer{Multipath: s.Multipath}
	conn, err := dialer.Dial(ctx, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if s.Reset {
		defer conn.SetLinger(0) // is run first
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.TCPConn = conn
	c.step("connect")
	request := s.Target.request(size)
	switch {
	case s.Pipelined:
		err = s.pipelined(c, request)
	case s.Via.Protocol == "socks5":
		err = s.socks5(c)
	case s.Via.Protocol == "http":
		err = s.http(c)
	}
	if err != nil {
		return err
	}
	if !s.Pipelined {
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("send the request: %w", err)
		}
	}
	return s.answer(c, size)
}

// socks5 is the handshake as most clients do it, each message after the answer to
// the one before.
func (s Setup) socks5(c *connection) error {
	method := byte(socks.NoAuth)
	if s.Via.User != "" {
		method = socks.UserPass
	}
	if _, err := c.TCPConn.Write(socks.AppendGreeting(nil, method)); err != nil {
		return fmt.Errorf("send the greeting: %w", err)
	}
	chosen, err := socks.ReadSelection(c.TCPConn)
	if err != nil {
		return err
	}
	c.step("greeting")
	if chosen != method {
		return fmt.Errorf("socks5: server chooses method %d, which was not offered", chosen)
	}
	if method == socks.UserPass {
		b, err := socks.AppendAuth(nil, s.Via.User, s.Via.Password)
		if err != nil {
			return err
		}
		if _, err := c.TCPConn.Write(b); err != nil {
			return fmt.Errorf("send the password: %w", err)
		}
		if err := socks.ReadAuthReply(c.TCPConn); err != nil {
			return err
		}
		c.step("password")
	}
	if _, err := c.TCPConn.Write(socks.AppendConnect(nil, s.Target.To, nil)); err != nil {
		return fmt.Errorf("send the address: %w", err)
	}
	if _, err := socks.ReadReply(c.TCPConn); err != nil {
		return err
	}
	c.step("open")
	return nil
}

func (s Setup) pipelined(c *connection, request []byte) error {
	b, err := socks.AppendOpening(nil, s.Via.User, s.Via.Password, s.Target.To, request)
	if err != nil {
		return err
	}
	if _, err := c.TCPConn.Write(b); err != nil {
		return fmt.Errorf("send the opening: %w", err)
	}
	if err := socks.ReadLogin(c.TCPConn, s.Via.User); err != nil {
		return err
	}
	c.step("login")
	if _, err := socks.ReadReply(c.TCPConn); err != nil {
		return err
	}
	c.step("open")
	return nil
}

func (s Setup) http(c *connection) error {
	if _, err := c.TCPConn.Write(httpconnect.AppendConnect(nil, s.Target.To, s.Via.User, s.Via.Password)); err != nil {
		return fmt.Errorf("send the address: %w", err)
	}
	if err := httpconnect.ReadReply(c.TCPConn); err != nil {
		return err
	}
	c.step("open")
	return nil
}

// answer reads the server's answer to its end.
func (s Setup) answer(c *connection, size int64) error {
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 64<<10), nil)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	defer resp.Body.Close()
	c.sample.FirstByteMs = ms(c.firstByte.Sub(c.began))
	c.sample.Steps = append(c.sample.Steps, Step{"first byte", ms(c.firstByte.Sub(c.last))})
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	if c.sample.Bytes, err = io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	now := time.Now()
	c.sample.LastByteMs = ms(now.Sub(c.began))
	c.sample.Steps = append(c.sample.Steps, Step{"last byte", ms(now.Sub(c.firstByte))})
	if size >= 0 && c.sample.Bytes != size {
		return fmt.Errorf("the answer has %d bytes, want %d", c.sample.Bytes, size)
	}
	c.sample.Multipath = s.Multipath && mptcp.IsMultipath(c.TCPConn)
	return nil
}
