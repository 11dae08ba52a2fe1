package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"tributary/allowance"
	"tributary/gateway"
	"tributary/link"
	"tributary/proto/join"
	"tributary/relay"
)

// A checker turns the raw form into Configs and collects what is wrong.
type checker struct {
	name   string
	places places
	bad    []*problem
}

func (c *checker) refuse(at place, text string) {
	c.bad = append(c.bad, &problem{c.name, at, errors.New(text)})
}

// err returns all that was wrong, in the order of the file.
func (c *checker) err() error {
	slices.SortStableFunc(c.bad, func(a, b *problem) int { return a.at.line - b.at.line })
	var all []error
	for _, p := range c.bad {
		all = append(all, p)
	}
	return errors.Join(all...)
}

func (c *checker) config(raw rawFile) Config {
	out := Default()
	c.relay(&out.Relay, raw.Relay)
	c.gateway(&out, raw.Gateway)
	return out
}

func (c *checker) relay(out *relay.Config, raw rawRelay) {
	at := func(key string) place { return c.places.nearest("relay", key) }
	c.state(&out.StateDir, raw.State, at("state"))
	c.address(&out.Listen, raw.Listen, at("listen"))
	if raw.Also != nil {
		out.Also = []uint16{}
		for i, n := range *raw.Also {
			if n < 1 || n > 65535 || i == join.MaxAlso {
				c.refuse(at("also"), fmt.Sprintf("want at most %d ports, each from 1 to 65535", join.MaxAlso))
				break
			}
			out.Also = append(out.Also, uint16(n))
		}
	}
	if raw.Shadowsocks != nil {
		a, err := ParseShadowsocks(*raw.Shadowsocks)
		if err != nil {
			c.refuse(at("shadowsocks"), err.Error())
		}
		out.Shadowsocks = a
	}
	if raw.Advertise != nil {
		out.Advertise = *raw.Advertise
		if !isHost(*raw.Advertise) {
			c.refuse(at("advertise"), "want a host name or an IP address, without port and brackets")
		}
	}
	if raw.AllowPrivate != nil {
		out.AllowPrivate = *raw.AllowPrivate
	}
	if raw.Speed != nil {
		out.Speed = *raw.Speed
	}
	if raw.TrustClear != nil {
		out.TrustClear = []netip.Prefix{}
		for i, text := range *raw.TrustClear {
			p, err := netip.ParsePrefix(text)
			if err != nil || p != p.Masked() {
				c.refuse(at("trust_clear"), fmt.Sprintf("entry %d: want a network, such as 10.0.0.0/8", i+1))
				continue
			}
			out.TrustClear = append(out.TrustClear, p)
		}
	}
	if raw.PerAccount != nil {
		if *raw.PerAccount < 1 || *raw.PerAccount > math.MaxInt32 {
			c.refuse(at("per_account"), "want a number above 0")
		} else {
			out.PerAccount = int(*raw.PerAccount)
		}
	}
}

// isHost is about slips such as a port or a URL; what a name may be in detail is
// the resolver's to say.
func isHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	return s != "" && len(s) <= 253 && !strings.ContainsAny(s, ":/[]@?#% \t\r\n\x00")
}

func (c *checker) gateway(out *Config, raw rawGateway) {
	at := func(key string) place { return c.places.nearest("gateway", key) }
	c.state(&out.Links.StateDir, raw.State, at("state"))
	c.address(&out.Gateway.SOCKS, raw.SOCKS, at("socks"))
	c.address(&out.API, raw.API, at("api"))
	if raw.Join != nil {
		l, err := join.Parse(*raw.Join)
		if err != nil {
			c.refuse(at("join"), strings.TrimPrefix(err.Error(), "join link: "))
		}
		out.Gateway.Relay = l
	}
	if raw.Open != nil {
		switch *raw.Open {
		case "auto":
			out.Gateway.Opening = gateway.Auto
		case "honest":
			out.Gateway.Opening = gateway.Honest
		case "eager":
			out.Gateway.Opening = gateway.Eager
		default:
			c.refuse(at("open"), "want auto, honest or eager")
		}
	}
	if raw.Link != nil {
		out.Links.Wanted, out.Gateway.Plans = c.links(*raw.Link)
	}
}

func (c *checker) links(raw []rawLink) (out []link.Wanted, plans map[string]allowance.Plan) {
	for i, l := range raw {
		at := func(key string) place { return c.places.entry(i+1, "gateway", "link", key) }
		if l.Name == nil {
			c.refuse(at("name"), "is missing")
			continue
		}
		w, err := link.ParseWanted(*l.Name)
		if err != nil || w.Name != *l.Name {
			c.refuse(at("name"), "want the name of an access link's interface, such as eth1")
			continue
		}
		if slices.ContainsFunc(out, func(o link.Wanted) bool { return o.Name == w.Name }) {
			c.refuse(at("name"), "an entry before this one has the same name")
		}
		if l.Mode != nil {
			if w.Mode, err = link.ParseMode(*l.Mode); err != nil {
				where := at("mode")
				where.name = w.Name
				c.refuse(where, "want on, backup, overflow or off")
			}
		}
		p := c.plan(l, func(key string) place {
			where := at(key)
			where.name = w.Name
			return where
		})
		if p != (allowance.Plan{}) {
			if plans == nil {
				plans = map[string]allowance.Plan{}
			}
			plans[w.Name] = p
		}
		switch {
		case l.Metered != nil && !*l.Metered:
			w.Charge = link.Flat
		case l.Metered != nil || p.Bytes > 0 || p.PricePerGB > 0:
			w.Charge = link.Metered
		}
		out = append(out, w)
	}
	return out, plans
}

// mostGB bounds allowances and prices: what is beyond is a slip.
const mostGB = 1_000_000

// plan returns what a link costs.
func (c *checker) plan(l rawLink, at func(key string) place) (p allowance.Plan) {
	if l.AllowanceGB != nil {
		if n := *l.AllowanceGB; n*allowance.GB >= 1 && n <= mostGB {
			p.Bytes = uint64(n * allowance.GB)
		} else {
			c.refuse(at("allowance_gb"), "want a number of GB above 0")
		}
	}
	if l.AllowanceDay != nil {
		if n := *l.AllowanceDay; n >= 1 && n <= 31 {
			p.Day = int(n)
		} else {
			c.refuse(at("allowance_day"), "want a day of the month, 1 to 31")
		}
	}
	if l.PricePerGB != nil {
		if n := *l.PricePerGB; n >= 0 && n <= mostGB {
			p.PricePerGB = n
		} else {
			c.refuse(at("price_per_gb"), "want a price, such as 0.5")
		}
	}
	return p
}

func (c *checker) state(out, raw *string, at place) {
	switch {
	case raw == nil:
	case *raw == "" || strings.ContainsRune(*raw, 0):
		c.refuse(at, "want a directory")
	default:
		*out = *raw
	}
}

func (c *checker) address(out *netip.AddrPort, raw *string, at place) {
	if raw == nil {
		return
	}
	a, err := ParseListen(*raw)
	if err != nil {
		c.refuse(at, err.Error())
		return
	}
	*out = a
}

// ParseListen reads where to listen, ADDR:PORT. An empty ADDR means every
// address of both families, and gives the zero netip.Addr. Errors do not repeat
// the text.
func ParseListen(s string) (netip.AddrPort, error) {
	if strings.HasPrefix(s, ":") {
		if p, err := netip.ParseAddrPort("0.0.0.0" + s); err == nil {
			return netip.AddrPortFrom(netip.Addr{}, p.Port()), nil
		}
	}
	p, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, errors.New("want ADDR:PORT, such as 127.0.0.1:1080 or [::1]:1080")
	}
	return p, nil
}

// ParseShadowsocks reads where to listen for Shadowsocks: as [ParseListen], except
// that an empty ADDR stands for that of the other port, or "off", which gives the
// zero AddrPort.
func ParseShadowsocks(s string) (netip.AddrPort, error) {
	if s == "off" {
		return netip.AddrPort{}, nil
	}
	a, err := ParseListen(s)
	if err != nil || a == (netip.AddrPort{}) {
		return netip.AddrPort{}, errors.New("want ADDR:PORT, such as :8388 or [::1]:8388, or off")
	}
	return a, nil
}
