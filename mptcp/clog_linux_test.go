package mptcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"tributary/mptcp/pm"
)

// TestClogged has a subflow lose bytes while many small packets behind them fill the
// receive buffer. Linux 6.18 then leaves what was lost, when it comes again over another
// subflow, where it is, for ever.
func TestClogged(t *testing.T) {
	home, far := newNamespace(t), newNamespace(t)
	link(t, "dsl", home, "10.0.1.1/24", far, "10.0.1.2/24")
	link(t, "lte", home, "10.0.2.1/24", far, "10.0.2.2/24")
	var path *pm.Client
	home.must(t, func() (err error) {
		if path, err = pm.New(); err != nil {
			return err
		}
		lte, err := net.InterfaceByName("lte")
		if err != nil {
			return err
		}
		return path.Add(pm.Endpoint{Addr: netip.MustParseAddr("10.0.2.1"), Flags: pm.Subflow, IfIndex: lte.Index})
	})
	defer path.Close()
	client, server := pair(t, home, Dialer{Multipath: true, Local: netip.MustParseAddr("10.0.1.1")}, far.listen(t, ":0", true), "10.0.1.2")
	eventually(t, "two subflows", func() bool {
		full := mustFull(t, client)
		return len(full.Subflows) == 2 && full.Subflows[1].State == Established
	})
	far.must(t, func() error { // what it sends there is lost
		l, err := netlink.LinkByName("lte")
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(l)
	})
	const size = 1 << 20
	go func() {
		piece := make([]byte, 50)
		for n := 0; n < size; n += len(piece) {
			server.Write(piece[:min(len(piece), size-n)])
		}
	}()
	got := 0
	read := func(wait time.Duration) error {
		client.SetReadDeadline(time.Now().Add(wait))
		n, err := io.CopyN(io.Discard, client, int64(size-got))
		got += int(n)
		return err
	}
	for n := -1; n != got; {
		n = got
		if err := read(2 * time.Second); err == nil {
			t.Log("this kernel does better")
			return
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%v after %d bytes", err, got)
		}
	}
	t.Logf("stuck after %d bytes", got)
	done := make(chan error, 1)
	go func() { done <- read(20 * time.Second) }()
	time.Sleep(100 * time.Millisecond) // it waits by now
	if is, err := clogged(client); !is || err != nil {
		t.Fatalf("clogged: %v, %v", is, err)
	}
	var trimmer Trimmer
	trimmer.Add(client)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running.Go(func() { trimmer.Run(ctx) })
	if err := <-done; err != nil {
		t.Errorf("%v after %d bytes", err, got)
	}
}
