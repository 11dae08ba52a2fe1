package pm

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// ErrUnsupported is returned where there is no path manager to talk to: on
// another system than Linux, or on a kernel without CONFIG_MPTCP.
var ErrUnsupported = errors.New("no MPTCP path manager in this kernel")

// MaxEndpoints is how many endpoints one network namespace holds, and the upper
// bound of both [Limits] (MPTCP_PM_ADDR_MAX in net/mptcp/protocol.h).
const MaxEndpoints = 8

// Flags say what the kernel does with an [Endpoint] (MPTCP_PM_ADDR_FLAG_* in
// linux/mptcp.h).
type Flags uint32

const (
	// Signal announces the address to the peer (ADD_ADDR), which may then join to
	// it. The kernel refuses Signal together with Fullmesh.
	Signal Flags = 1 << iota
	// Subflow opens a subflow from the address on every connection that this host
	// has dialled.
	Subflow
	// Backup keeps subflows of this address idle while any other one lives. It is
	// told to the peer (MP_PRIO), so it stops both directions.
	Backup
	// Fullmesh opens a subflow from this address to every address of the peer.
	Fullmesh
	// Implicit marks an endpoint that the kernel made by itself. It is read only:
	// adding it fails.
	Implicit
	// Laminar uses the address once, for one address that the peer announces, so
	// that addresses pair one to one. Kernels before 6.18 drop it without a word:
	// ask [Client.ProbeLaminar].
	Laminar
)

// flagNames are in bit order, and are the words of ip-mptcp(8).
const flagNames = "signal subflow backup fullmesh implicit laminar"

// String returns the flags' names as ip-mptcp(8) has them, joined by commas:
// "subflow,backup". Unknown bits come last, in hexadecimal; no flags are "".
func (f Flags) String() string {
	var set []string
	for i, name := range strings.Fields(flagNames) {
		if bit := Flags(1) << i; f&bit != 0 {
			set = append(set, name)
			f &^= bit
		}
	}
	if f != 0 {
		set = append(set, "0x"+strconv.FormatUint(uint64(f), 16))
	}
	return strings.Join(set, ",")
}

// An Endpoint is one address entry of the path manager.
type Endpoint struct {
	// ID is the address identifier of MPTCP (RFC 8684 section 3.4.1), 1 to 255.
	// Zero lets the kernel choose the lowest free one.
	ID uint8
	// Addr is the local address. A namespace has at most one endpoint of an address.
	Addr netip.Addr
	// Port, if not zero, makes the kernel listen there for joins; for Signal only.
	Port uint16
	// Flags say what the address is for.
	Flags Flags
	// IfIndex binds the subflows to an interface. Zero leaves the choice to
	// routing, which then may well take another link than the address belongs to.
	IfIndex int
}

// Limits bound what the path manager does per connection. Each is 0 to
// [MaxEndpoints]; a new namespace has {2, 0}. A subflow that failed still counts.
type Limits struct {
	Subflows        int // subflows beyond the first
	AddAddrAccepted int // announced addresses of the peer that are used
}

// A Client changes and reads the path manager of one network namespace. Its
// methods may be called from several goroutines.
//
// Failed calls keep the kernel's error number for errors.Is and, where the
// kernel gives one, its text of explanation.
type Client struct{ c *client }

// New returns a Client of the network namespace that the calling thread is in;
// it stays with that namespace wherever it is used. A caller that has switched
// its thread to another namespace has locked the goroutine to it, and this
// opens the socket on that thread. It fails with [ErrUnsupported] if the kernel
// has no MPTCP.
func New() (*Client, error) {
	c, err := newClient()
	if err != nil {
		return nil, err
	}
	return &Client{c}, nil
}

// Close releases the netlink socket. What was set in the kernel stays.
func (c *Client) Close() error { return c.c.close() }

// Endpoints returns all endpoints of the namespace, others' included, in the
// order of their IDs.
func (c *Client) Endpoints() ([]Endpoint, error) { return c.c.endpoints() }

// Add adds an endpoint; connections that are open use it within a second. The
// error is os.ErrExist if the address is an endpoint already, and ERANGE if the
// namespace has [MaxEndpoints]. The kernel does not check that the address
// exists: one that does not fails silently at each join.
func (c *Client) Add(e Endpoint) error { return c.c.add(e) }

// Delete removes the endpoint with the given ID, closes its subflows and tells
// peers that the address is gone, over a subflow that still works. Connections
// that began at the address keep that first subflow: see [Client.RemoveInitial].
// The error is os.ErrNotExist if there is none.
func (c *Client) Delete(id uint8) error { return c.c.delete(id) }

// RemoveInitial closes the subflow that began each connection, where it began
// at addr: the kernel knows that one by ID 0, not by the endpoint's. It touches
// no endpoint, and succeeds if no connection matches.
func (c *Client) RemoveInitial(addr netip.Addr) error { return c.c.removeInitial(addr) }

// SetFlags gives the endpoint of addr the Backup and Fullmesh bits of f, on open
// connections too; the kernel ignores the others. The error is os.ErrNotExist if
// the address is no endpoint.
func (c *Client) SetFlags(addr netip.Addr, f Flags) error { return c.c.setFlags(addr, f) }

// Limits returns the limits of the namespace.
func (c *Client) Limits() (Limits, error) { return c.c.limits() }

// SetLimits sets both limits. It refuses numbers outside 0 to [MaxEndpoints].
func (c *Client) SetLimits(l Limits) error { return c.c.setLimits(l) }

// ProbeLaminar reports whether the kernel knows [Laminar]. Since kernels that do
// not still accept it, the probe adds an endpoint with an address that is kept
// for documentation (RFC 5737), reads it back and deletes it. It needs one free
// place among [MaxEndpoints].
func (c *Client) ProbeLaminar() (bool, error) { return c.c.probeLaminar() }
