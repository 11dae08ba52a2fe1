package lab

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// An asker is a way to ask the gateway for a stream.
type asker string

const (
	askSOCKS5  asker = "SOCKS5"
	askSOCKS4a asker = "SOCKS4a"
	askHTTP    asker = "HTTP"
)

// A refusedCode is the code with which a request was refused: the reply of SOCKS
// or the status of HTTP.
type refusedCode int

func (c refusedCode) Error() string { return fmt.Sprintf("refused with code %d", int(c)) }

// ask asks the gateway for a stream to a name or address and a port. What refuses it is a
// [refusedCode].
func (t *trial) ask(ctx context.Context, by asker, name string, port int) (net.Conn, error) {
	c, err := t.Network.Host("home").DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ProxyPort)))
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.SetDeadline(deadline)
	}
	if err := by.open(c, name, port); err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

func (a asker) open(c net.Conn, name string, port int) error {
	switch a {
	case askSOCKS5:
		return openSOCKS5(c, name, port)
	case askSOCKS4a:
		return openSOCKS4a(c, name, port)
	}
	return openHTTP(c, name, port)
}

// openSOCKS5 is RFC 1928, without a password.
func openSOCKS5(c net.Conn, name string, port int) error {
	if _, err := c.Write([]byte{5, 1, 0}); err != nil {
		return err
	}
	var head [5]byte
	if _, err := io.ReadFull(c, head[:2]); err != nil {
		return err
	}
	if head[1] != 0 {
		return errors.New("the gateway wants a password")
	}
	req := append([]byte{5, 1, 0, 3, byte(len(name))}, name...)
	if a, err := netip.ParseAddr(name); err == nil {
		kind := byte(1)
		if a.Is6() {
			kind = 4
		}
		req = append([]byte{5, 1, 0, kind}, a.AsSlice()...)
	}
	if _, err := c.Write(binary.BigEndian.AppendUint16(req, uint16(port))); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	if head[1] != 0 {
		return refusedCode(head[1])
	}
	rest := map[byte]int{1: 3 + 2, 3: int(head[4]) + 2, 4: 15 + 2}[head[3]]
	_, err := io.ReadFull(c, make([]byte, rest))
	return err
}

func openSOCKS4a(c net.Conn, name string, port int) error {
	req := binary.BigEndian.AppendUint16([]byte{4, 1}, uint16(port))
	req = append(append(append(req, 0, 0, 0, 1, 0), name...), 0)
	if _, err := c.Write(req); err != nil {
		return err
	}
	var reply [8]byte
	if _, err := io.ReadFull(c, reply[:]); err != nil {
		return err
	}
	if reply[1] != 90 {
		return refusedCode(reply[1])
	}
	return nil
}

// openHTTP reads byte by byte past the head: what follows is the stream's.
func openHTTP(c net.Conn, name string, port int) error {
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", net.JoinHostPort(name, strconv.Itoa(port))); err != nil {
		return err
	}
	r := bufio.NewReaderSize(io.LimitReader(oneByte{c}, 64<<10), 16)
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	var version string
	var code int
	if _, err := fmt.Sscan(line, &version, &code); err != nil {
		return fmt.Errorf("answer %q: %w", line, err)
	}
	for l := line; l != "\r\n"; {
		if l, err = r.ReadString('\n'); err != nil {
			return err
		}
	}
	if code != 200 {
		return refusedCode(code)
	}
	return nil
}

type oneByte struct{ io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.Reader.Read(p[:1]) }

// echo asks for the final server's echo and uses it once.
func (t *trial) echo(ctx context.Context, by asker) (net.Conn, error) {
	c, err := t.ask(ctx, by, ServerName, PortEcho)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	if _, err = c.Write([]byte("x")); err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return c, nil
}
