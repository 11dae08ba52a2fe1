package egress

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
)

// fastDialer returns a Dialer whose attempts with Fast Open end as result says,
// after the time that the host takes, and the addresses of those attempts.
func (n *fakeNet) fastDialer(result fast) (d *Dialer, tries *[]string) {
	d, tries = n.dialer(Config{}), new([]string)
	d.fast = func(ctx context.Context, to netip.AddrPort, early []byte) fast {
		*tries = append(*tries, to.Addr().String())
		f := result
		c, err := n.dial(ctx, to)
		if f.conn = c; f.err == nil {
			f.err = err
		}
		if f.err != nil && c != nil {
			c.Close()
			f.conn = nil
		}
		if fc, ok := f.conn.(*fakeConn); ok && f.sent {
			fc.Write(early)
		}
		f.sent = f.sent && f.err == nil
		return f
	}
	return d, tries
}

// Early data is written once, whoever does it.
func TestFastOpenOnce(t *testing.T) {
	small, large := hello(t, false), hello(t, true)
	taken := fast{data: true, sent: true, accepted: true}
	for _, tt := range []struct {
		name  string
		early []byte
		fast  fast
		tries int
	}{
		{"in the SYN", small, taken, 1},
		{"no cookie", small, fast{}, 1},
		{"too large", large, taken, 0},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), taken, 0},
		{"nothing", nil, taken, 0},
	} {
		for _, name := range []string{"", "www.example.com"} {
			synctest.Test(t, func(t *testing.T) {
				n := &fakeNet{dns: map[string]fakeAnswer{"ip4": {addrs: []string{four}}}, hosts: map[string]fakeHost{four: {}}}
				d, tries := n.fastDialer(tt.fast)
				to := proxy.IPAddr(netip.MustParseAddrPort("8.8.8.8:443"))
				if name != "" {
					to, _ = proxy.NameAddr(name, 443)
				}
				c, err := d.DialStream(t.Context(), to, tt.early)
				if err != nil {
					t.Fatal(err)
				}
				if wrote := c.(*fakeConn).wrote; !slices.Equal(wrote, tt.early) {
					t.Errorf("%s: wrote %d bytes, want %d", tt.name, len(wrote), len(tt.early))
				}
				if len(*tries) != tt.tries {
					t.Errorf("%s: tried at %q", tt.name, *tries)
				}
			})
		}
	}
}

// Only the first attempt of a race has anything in its SYN. When nobody answers
// there, the second begins after 250 ms as ever, and the next race is without.
func TestFastOpenRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNet{dns: map[string]fakeAnswer{"ip4": {addrs: []string{four, "8.8.9.9"}}}, hosts: map[string]fakeHost{"8.8.9.9": {after: 20 * time.Millisecond}}}
		d, tries := n.fastDialer(fast{data: true, sent: true})
		early := hello(t, false)
		dial := func() {
			t.Helper()
			n.begun = time.Now()
			to, _ := proxy.NameAddr("www.example.com", 443)
			c, err := d.DialStream(t.Context(), to, early)
			if err != nil {
				t.Fatal(err)
			}
			if fc := c.(*fakeConn); fc.ip.String() != "8.8.9.9" || !slices.Equal(fc.wrote, early) {
				t.Errorf("got %v with %d bytes", fc.ip, len(fc.wrote))
			}
			c.Close()
		}
		dial()
		if took := time.Since(n.begun); took != 270*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if !slices.Equal(*tries, []string{four}) {
			t.Errorf("Fast Open to %q", *tries)
		}
		if d.syns.may(ip(four)) || !d.syns.may(ip("8.8.9.9")) {
			t.Error("silence was not remembered, or of the wrong address")
		}
		if n.open != 0 {
			t.Errorf("%d connections left open", n.open)
		}
	})
}

// A reset of data in a SYN is not believed; a reset of the option alone is.
func TestFastOpenReset(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for _, tt := range []struct {
		name   string
		result fast
		host   fakeHost
		tries  int
		reason proxy.Reason // 0 is none
		may    bool
	}{
		{"by a middlebox", fast{data: true, err: refused}, fakeHost{}, 2, 0, false},
		{"by the server", fast{data: true, err: refused}, fakeHost{err: syscall.ECONNREFUSED}, 2, proxy.Refused, true},
		{"of the option", fast{err: refused}, fakeHost{}, 1, proxy.Refused, false},
		{"no route", fast{data: true, err: syscall.EHOSTUNREACH}, fakeHost{}, 1, proxy.HostUnreachable, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &fakeNet{hosts: map[string]fakeHost{four: tt.host}}
			d, _ := n.fastDialer(tt.result)
			early := hello(t, false)
			c, err := d.DialStream(t.Context(), proxy.IPAddr(netip.MustParseAddrPort("8.8.8.8:443")), early)
			if tt.reason != 0 {
				checkError(t, err, tt.reason, "")
			} else if err != nil {
				t.Fatal(err)
			} else if wrote := c.(*fakeConn).wrote; !slices.Equal(wrote, early) {
				t.Errorf("%s: wrote %d bytes", tt.name, len(wrote))
			}
			if len(n.tries) != tt.tries || d.syns.may(ip(four)) != tt.may {
				t.Errorf("%s: tried %q, may %v", tt.name, n.tries, d.syns.may(ip(four)))
			}
		})
	}
}
