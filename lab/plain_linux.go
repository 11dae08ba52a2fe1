package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// plainTable is the routing table of the first link in a plain pair.
const plainTable = 101

// beside returns a trial with a network of its own, shaped like t's, for a plain
// pair: the same programs, but without the right to change what their kernels know,
// so that nobody looks after the links. Endpoints, rules, routes and limits are made
// by hand, as ip-mptcp(8) and ip-rule(8) would have them made, and all other settings
// stay as the kernel has them. It is ready for begin. What it measures is for t's
// report, and it ends with t.
func (t *trial) beside(ctx context.Context) (*trial, error) {
	p, err := newTrial(ctx, t.Network.config, Options{Binary: t.options.Binary, Log: t.options.Log})
	if err != nil {
		return nil, fmt.Errorf("build the plain pair's network: %w", err)
	}
	p.Report, p.takes, p.length, p.times, p.Unprivileged = t.Report, t.takes, t.length, t.times, true
	theirs, ours := p.close, t.close
	t.close = func() error { return errors.Join(theirs(), ours()) }
	return p, p.Network.byHand()
}

// both does the same with t and, at the same time, with its plain pair. What do
// enters into the report it has to enter afterwards.
func (t *trial) both(plain *trial, do func(*trial) error) error {
	var theirs error
	var running sync.WaitGroup
	running.Go(func() {
		if theirs = do(plain); theirs != nil {
			theirs = fmt.Errorf("plain pair: %w", theirs)
		}
	})
	ours := do(t)
	running.Wait()
	return errors.Join(ours, theirs)
}

// compare does the same with t and with its plain pair, and returns what each of them
// came to.
func compare[T any](t, plain *trial, do func(*trial) (T, error)) (ours, theirs T, err error) {
	err = t.both(plain, func(p *trial) (err error) {
		to := &ours
		if p == plain {
			to = &theirs
		}
		*to, err = do(p)
		return err
	})
	return ours, theirs, err
}

// byHand tells the kernels at home and at the relay of the access links:
//
//	ip route add NETWORK dev LINK table N        ip mptcp endpoint add ADDRESS dev LINK subflow
//	ip route add default via ROUTER table N      ip mptcp limits set subflows 8 add_addr_accepted 8
//	ip rule add from ADDRESS lookup N priority N
//
// and at the relay only the last of them. What is there already stays.
func (n *Network) byHand() error {
	for _, name := range []string{"home", "relay"} {
		err := n.hosts[name].withPathManager(func(c *pm.Client) error {
			if err := c.SetLimits(pm.Limits{Subflows: pm.MaxEndpoints, AddAddrAccepted: pm.MaxEndpoints}); err != nil || name != "home" {
				return err
			}
			for i, l := range n.Links() {
				if err := n.links[l].plug.byHand(c, plainTable+i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("make endpoints and rules by hand: %w", err)
		}
	}
	return nil
}

func (h *Host) withPathManager(do func(*pm.Client) error) error {
	return h.Do(func() error {
		c, err := pm.New()
		if err != nil {
			return err
		}
		return errors.Join(do(c), c.Close())
	})
}

// byHand makes a link's rule, routes and endpoint of each family.
func (i *iface) byHand(c *pm.Client, table int) error {
	nl, dev, err := i.find()
	if err != nil {
		return err
	}
	for _, a := range i.addrs {
		rule := netlink.NewRule()
		// Without a priority the kernel would make another one each time.
		rule.Family, rule.Table, rule.Priority = unix.AF_INET, table, table
		if a.Addr().Is6() {
			rule.Family = unix.AF_INET6
		}
		rule.Src = ipNet(netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
		if err := nl.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("rule from %s: %w", a.Addr(), err)
		}
		if err := nl.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Dst: ipNet(a.Masked()), Table: table, Scope: netlink.SCOPE_LINK}); err != nil {
			return fmt.Errorf("route to %s: %w", a.Masked(), err)
		}
		if err := c.Add(pm.Endpoint{Addr: a.Addr(), Flags: pm.Subflow, IfIndex: dev.Attrs().Index}); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, r := range i.routes {
		if err := nl.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Dst: ipNet(r.to), Gw: r.via.AsSlice(), Table: table}); err != nil {
			return fmt.Errorf("route %s via %s: %w", r.to, r.via, err)
		}
	}
	return nil
}
