package pm

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/genetlink/genltest"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const testFamily = 0x21

// encoded builds attributes as the kernel would.
func encoded(fn func(*netlink.AttributeEncoder)) []byte {
	ae := netlink.NewAttributeEncoder()
	fn(ae)
	b, err := ae.Encode()
	if err != nil {
		panic(err)
	}
	return b
}

func endpointMessage(fn func(*netlink.AttributeEncoder)) []byte { return encoded(nest(fn)) }

// talk returns a Client whose kernel is answer.
func talk(t *testing.T, cmd uint8, flags netlink.HeaderFlags, answer genltest.Func) *Client {
	conn := genltest.Dial(genltest.CheckRequest(testFamily, cmd, netlink.Request|flags, answer))
	c := &Client{&client{c: conn, family: testFamily}}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestRequests holds the bytes of every command against what ip-mptcp(8) of
// iproute2 sends for the same.
func TestRequests(t *testing.T) {
	addr4, addr6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	tests := []struct {
		name  string
		cmd   uint8
		call  func(*Client) error
		bytes []byte
	}{
		{"add", cmdAddAddr, func(c *Client) error {
			return c.Add(Endpoint{ID: 5, Addr: addr4, Flags: Subflow | Fullmesh, IfIndex: 3})
		}, endpointMessage(func(ae *netlink.AttributeEncoder) {
			ae.Uint16(1, unix.AF_INET)
			ae.Bytes(3, []byte{192, 0, 2, 1})
			ae.Uint8(2, 5)
			ae.Uint32(6, 0x0a)
			ae.Int32(7, 3)
		})},
		{"add, mapped, with port", cmdAddAddr, func(c *Client) error {
			return c.Add(Endpoint{Addr: netip.MustParseAddr("::ffff:192.0.2.1"), Flags: Signal, Port: 8443})
		}, endpointMessage(func(ae *netlink.AttributeEncoder) {
			ae.Uint16(1, unix.AF_INET)
			ae.Bytes(3, []byte{192, 0, 2, 1})
			ae.Uint16(5, 8443)
			ae.Uint32(6, 1)
		})},
		{"delete", cmdDelAddr, func(c *Client) error { return c.Delete(7) },
			endpointMessage(func(ae *netlink.AttributeEncoder) { ae.Uint8(2, 7) })},
		{"remove initial", cmdDelAddr, func(c *Client) error { return c.RemoveInitial(addr6) },
			endpointMessage(func(ae *netlink.AttributeEncoder) {
				ae.Uint16(1, unix.AF_INET6)
				ae.Bytes(4, addr6.AsSlice())
			})},
		{"set flags", cmdSetFlags, func(c *Client) error { return c.SetFlags(addr4, Backup) },
			endpointMessage(func(ae *netlink.AttributeEncoder) {
				ae.Uint16(1, unix.AF_INET)
				ae.Bytes(3, []byte{192, 0, 2, 1})
				ae.Uint32(6, 4)
			})},
		{"set limits", cmdSetLimits, func(c *Client) error { return c.SetLimits(Limits{Subflows: 8, AddAddrAccepted: 2}) },
			encoded(func(ae *netlink.AttributeEncoder) {
				ae.Uint32(2, 2)
				ae.Uint32(3, 8)
			})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := talk(t, tt.cmd, netlink.Acknowledge, func(m genetlink.Message, _ netlink.Message) ([]genetlink.Message, error) {
				if m.Header.Version != 1 || !bytes.Equal(m.Data, tt.bytes) {
					t.Errorf("version %d,\n got % x\nwant % x", m.Header.Version, m.Data, tt.bytes)
				}
				return []genetlink.Message{{}}, nil
			})
			if err := tt.call(c); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEndpointsSorted(t *testing.T) {
	answer := func(id uint8, addr []byte) genetlink.Message {
		return genetlink.Message{Data: endpointMessage(func(ae *netlink.AttributeEncoder) {
			ae.Uint16(1, unix.AF_INET)
			ae.Uint16(5, 0)
			ae.Uint8(2, id)
			ae.Uint32(6, 0x40|2)
			ae.Bytes(99, []byte("of a newer kernel"))
			ae.Bytes(3, addr)
		})}
	}
	c := talk(t, cmdGetAddr, netlink.Dump, func(genetlink.Message, netlink.Message) ([]genetlink.Message, error) {
		return []genetlink.Message{answer(2, []byte{10, 0, 0, 2}), answer(1, []byte{10, 0, 0, 1})}, nil
	})
	wantEndpoints(t, c,
		Endpoint{ID: 1, Addr: netip.MustParseAddr("10.0.0.1"), Flags: Subflow | 0x40},
		Endpoint{ID: 2, Addr: netip.MustParseAddr("10.0.0.2"), Flags: Subflow | 0x40})
}

func TestErrorNumbers(t *testing.T) {
	for number, want := range map[syscall.Errno]error{unix.EEXIST: os.ErrExist, unix.EPERM: os.ErrPermission, unix.ERANGE: unix.ERANGE} {
		c := talk(t, cmdAddAddr, netlink.Acknowledge, func(genetlink.Message, netlink.Message) ([]genetlink.Message, error) {
			return nil, genltest.Error(int(number))
		})
		err := c.Add(Endpoint{Addr: netip.MustParseAddr("10.0.0.1")})
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "add MPTCP endpoint 10.0.0.1: ") {
			t.Errorf("%v: %v, want %v", number, err, want)
		}
	}
}

func TestNoFamily(t *testing.T) {
	conn := genltest.Dial(func(genetlink.Message, netlink.Message) ([]genetlink.Message, error) {
		return nil, genltest.Error(int(unix.ENOENT))
	})
	defer conn.Close()
	if _, err := lookup(conn); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
}

func TestFlagsString(t *testing.T) {
	for flags, want := range map[Flags]string{
		0:                                "",
		Subflow | Backup:                 "subflow,backup",
		Signal | Fullmesh | Laminar:      "signal,fullmesh,laminar",
		Implicit | 1<<31 | 1<<6:          "implicit,0x80000040",
		Signal | Subflow | Backup | 0x40: "signal,subflow,backup,0x40",
	} {
		if got := flags.String(); got != want {
			t.Errorf("%#x is %q, want %q", uint32(flags), got, want)
		}
	}
}

func joinEvent(ae *netlink.AttributeEncoder) {
	ae.Uint32(1, 0xdecafbad)
	ae.Uint16(2, unix.AF_INET6)
	ae.Uint8(3, 1)
	ae.Uint8(4, 0)
	ae.Bytes(6, netip.MustParseAddr("::ffff:10.0.0.1").AsSlice())
	ae.Bytes(8, netip.MustParseAddr("2001:db8::2").AsSlice())
	ae.Bytes(9, []byte{0x12, 0x34})
	ae.Bytes(10, []byte{0x20, 0xfb})
	ae.Uint8(11, 1)
	ae.Uint8(12, uint8(unix.ECONNRESET))
	ae.Int32(15, 4)
	ae.Uint32(16, 3)
	ae.Uint32(17, 0)
	ae.Bytes(77, []byte("of a newer kernel"))
}

func TestDecodeEvent(t *testing.T) {
	whole := encoded(joinEvent)
	got, err := decodeEvent(SubflowClosed, whole)
	want := Event{
		Kind: SubflowClosed, Token: 0xdecafbad, LocalID: 1, Backup: true, IfIndex: 4,
		Local: netip.MustParseAddrPort("10.0.0.1:4660"), Remote: netip.MustParseAddrPort("[2001:db8::2]:8443"),
		Error: unix.ECONNRESET, ResetReason: 3, HasReset: true,
	}
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	for _, set := range []func(*netlink.AttributeEncoder){
		func(ae *netlink.AttributeEncoder) { ae.Uint8(18, 1); ae.Uint16(13, 1) },
		func(ae *netlink.AttributeEncoder) { ae.Uint16(13, 3); ae.Uint8(18, 0) },
	} {
		got, err := decodeEvent(Created, encoded(set))
		if want := (Event{Kind: Created, ServerSide: true, DenyJoinID0: true}); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	for _, bad := range []func(*netlink.AttributeEncoder){
		func(ae *netlink.AttributeEncoder) { ae.Bytes(5, []byte{1, 2, 3}) },
		func(ae *netlink.AttributeEncoder) { ae.Bytes(9, []byte{1}) },
		func(ae *netlink.AttributeEncoder) { ae.Uint16(1, 1) },
	} {
		if got, err := decodeEvent(Created, encoded(bad)); err == nil || got != (Event{}) {
			t.Errorf("% x decoded to %+v", encoded(bad), got)
		}
	}
}

func TestKindString(t *testing.T) {
	seen := map[string]bool{}
	for k := range Kind(20) {
		s := k.String()
		if seen[s] {
			t.Errorf("%q names two kinds", s)
		}
		seen[s] = true
	}
	if !seen["subflow established"] || !seen["event 12"] {
		t.Error(seen)
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add(byte(SubflowClosed), encoded(joinEvent))
	f.Add(byte(0), []byte{4, 0, 1, 0})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		ev, err := decodeEvent(Kind(kind), b)
		if err != nil {
			if ev != (Event{}) {
				t.Errorf("%+v with error %v", ev, err)
			}
			return
		}
		for _, ap := range []netip.AddrPort{ev.Local, ev.Remote} {
			if ap != (netip.AddrPort{}) && !ap.IsValid() || ap.Addr().Is4In6() {
				t.Errorf("address %v", ap)
			}
		}
	})
}

func FuzzDecodeEndpoint(f *testing.F) {
	f.Add(endpointMessage(func(ae *netlink.AttributeEncoder) {
		ae.Uint8(2, 1)
		ae.Bytes(3, []byte{10, 0, 0, 1})
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decodeEndpoint(b); err == nil && (!e.Addr.IsValid() || e.Addr.Is4In6()) {
			t.Errorf("endpoint %+v", e)
		}
		_, _ = decodeLimits(b)
	})
}
