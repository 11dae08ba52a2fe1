package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"syscall"

	"tributary/config"
	"tributary/gateway"
	"tributary/measure/throughput"
	"tributary/measure/transfer"
	"tributary/proto/join"
)

// gatewayStatus asks a gateway for its status, without its sessions.
func gatewayStatus(ctx context.Context, client *apiClient) (*gateway.Status, error) {
	body, err := client.status(ctx, false, 0)
	if err != nil {
		return nil, err
	}
	return client.parse(body)
}

// linkStatus is what a measurement of throughput asks it.
func linkStatus(client *apiClient) func(context.Context) (map[string]throughput.Now, error) {
	return func(ctx context.Context) (map[string]throughput.Now, error) {
		s, err := gatewayStatus(ctx, client)
		if err != nil {
			return nil, err
		}
		now := make(map[string]throughput.Now)
		for _, l := range s.Links {
			now[l.Name] = throughput.Now{Up: l.BytesUp, Down: l.BytesDown, Role: l.Role, RoleWhy: l.RoleWhy}
		}
		return now, nil
	}
}

// A linkFinder finds the ways over single links.
type linkFinder struct {
	relay   join.Link
	noJoin  error // why there is no relay
	addrs   []netip.Addr
	only    []string // names; nil is all
	metered bool     // measure these, too
}

// newLinkFinder reads the join link, given or remembered, and resolves the relay's
// name. Without it links cannot be measured alone, which is for the report to say.
func newLinkFinder(ctx context.Context, c config.Config, given string, stdin io.Reader) (*linkFinder, error) {
	f := &linkFinder{relay: c.Gateway.Relay}
	if given != "" || f.relay == (join.Link{}) {
		dir, err := stateDir(c.Links.StateDir)
		if err == nil {
			f.relay, err = joinLink(dir, given, stdin)
		}
		if err != nil && given != "" {
			return nil, err
		}
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("the join link in %s is for the gateway's user alone: run this as that user, or give --join -", filepath.Join(dir, joinFile))
		}
		if err != nil {
			f.noJoin = err
			return f, nil
		}
	}
	if a, err := netip.ParseAddr(f.relay.Host); err == nil {
		f.addrs = []netip.Addr{a.Unmap()}
		return f, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", f.relay.Host)
	for _, a := range addrs {
		f.addrs = append(f.addrs, a.Unmap())
	}
	f.noJoin = err
	return f, nil
}

// ofGateway returns the links of a gateway, and why the bundle is to be left alone.
func (f *linkFinder) ofGateway(s *gateway.Status) (links []throughput.Link, bundle string) {
	for _, l := range s.Links {
		m := throughput.Link{Name: l.Name, Mode: l.Mode, Metered: l.Metered, RTTms: l.RTTms}
		from, to := f.pair(l.Addresses)
		switch {
		case f.only != nil && !slices.Contains(f.only, l.Name):
			continue
		case l.Mode == "off":
			m.LeftOut = "its mode is off"
		case l.State != "up":
			m.LeftOut = "it is " + l.State
		case l.Metered && !f.metered:
			m.LeftOut = "it is metered; --metered measures it too"
		case f.noJoin != nil:
			m.LeftOut = "it cannot be measured alone without the join link: " + f.noJoin.Error()
		case !from.IsValid():
			m.LeftOut = "it has no address of a family that the relay has"
		default:
			m.Way = transfer.Over(f.relay, to, transfer.Line{From: from})
		}
		links = append(links, m)
	}
	for _, l := range s.Links {
		if l.Metered && !f.metered && l.State == "up" && (l.Mode == "on" || l.Mode == "overflow") {
			bundle = "the bundle is left out: it would use " + l.Name + ", which is metered; --metered measures both"
		}
	}
	return links, bundle
}

// pair returns an address of a link, and one of the relay's of the same family.
func (f *linkFinder) pair(own []string) (from netip.Addr, to netip.AddrPort) {
	for _, relay := range f.addrs {
		for _, text := range own {
			if a, err := netip.ParseAddr(text); err == nil && a.Is4() == relay.Is4() {
				return a, netip.AddrPortFrom(relay, f.relay.Port)
			}
		}
	}
	return from, to
}

// withoutGateway returns what can be measured where none runs: the line that the
// routing table chooses, or the devices that were named.
func (f *linkFinder) withoutGateway() ([]throughput.Link, error) {
	if f.noJoin != nil {
		return nil, f.noJoin
	}
	to := netip.AddrPortFrom(f.addrs[0], f.relay.Port)
	if f.only == nil {
		return []throughput.Link{{Name: "default-route", Way: transfer.Over(f.relay, to, transfer.Line{})}}, nil
	}
	var links []throughput.Link
	for _, dev := range f.only {
		links = append(links, throughput.Link{Name: dev, Way: transfer.Over(f.relay, to, transfer.Line{Device: dev})})
	}
	return links, nil
}

// noGateway reports whether an error says that none runs there.
func noGateway(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
