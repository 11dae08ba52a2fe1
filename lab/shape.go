package lab

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// defaultQueue is how much a link buffers unless told otherwise. 100 ms is what
// the reference measurements used: between a good DSL line and a bloated one.
const defaultQueue = 100 * time.Millisecond

// A Direction is how one direction of a link treats packets. The zero Direction
// delivers everything at once.
type Direction struct {
	// RateMbit is the rate of IP bytes in Mbit/s (10^6); 0 is unlimited.
	RateMbit float64
	// Delay is the one-way delay, added to the time in the queue.
	Delay time.Duration
	// Queue is the length of the drop-tail queue, as time at RateMbit. 0 means
	// 100 ms. It has room for one packet of full size at least.
	Queue time.Duration
	// Loss is the share of packets lost at random, from 0 to 1.
	Loss float64
}

// A Shape is how a link treats packets both ways. Up leads from home to the
// network (on the server's leg: to the server), Down the other way.
type Shape struct {
	Up, Down Direction
}

// Line is the Shape of an ordinary access line: rates in Mbit/s and the
// round-trip time that the line itself adds.
func Line(downMbit, upMbit float64, rtt time.Duration) Shape {
	return Shape{
		Up:   Direction{RateMbit: upMbit, Delay: rtt / 2},
		Down: Direction{RateMbit: downMbit, Delay: rtt / 2},
	}
}

// DSL is the reference line of the measurements: 30/10 Mbit/s, R = 40 ms.
func DSL() Shape { return Line(30, 10, 40*time.Millisecond) }

// LTE is the second reference line: 20/10 Mbit/s, R = 60 ms.
func LTE() Shape { return Line(20, 10, 60*time.Millisecond) }

// A LinkConfig is one access link.
type LinkConfig struct {
	// Name is the link's name and that of its interface, at most 15 bytes.
	Name  string
	Shape Shape
}

// A Config says which Network to build. The zero Config is the reference lab.
type Config struct {
	// Links are the access links, the preferred one (lowest route metric) first.
	// None means "dsl" with DSL() and "lte" with LTE().
	Links []LinkConfig
	// Server is the shape of the leg to the final server. The zero Shape means
	// P = 20 ms and no rate limit.
	Server Shape
	// Sites are names of further web servers, by DNS only, behind the final server's
	// leg: each has an IPv4 address of its own on the host "server", where nothing
	// listens yet. With any, home asks a resolver at its provider, one R away, which
	// knows all names; without, the final server's.
	Sites []string
	// IPv6 gives every leg IPv6 addresses besides IPv4.
	IPv6 bool
	// Only names links that have just one of the two families at home: 4 or 6.
	Only map[string]int
	// Seed seeds the random loss, so that a run can be repeated.
	Seed uint64
	// Log takes steps at debug level; nil discards them.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if len(c.Links) == 0 {
		c.Links = []LinkConfig{{"dsl", DSL()}, {"lte", LTE()}}
	}
	if c.Server == (Shape{}) {
		c.Server = Line(0, 0, 20*time.Millisecond)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// nameBytes are those that an interface's name may have here; sysctl's dots and
// slashes are not among them.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// maxLinks is what the lab's numbering of legs has room for.
const maxLinks = 99

// maxSites is what their leg has room for.
const maxSites = 200

// check refuses what no Network can be built from.
func (c Config) check() error {
	taken := map[string]bool{"server": true, "relay": true, "lo": true, "all": true, "default": true}
	if len(c.Links) > maxLinks {
		return fmt.Errorf("%d access links, at most %d are possible", len(c.Links), maxLinks)
	}
	for _, l := range c.Links {
		if strings.Trim(l.Name, nameBytes) != "" || l.Name == "" || len(l.Name) > 15 {
			return fmt.Errorf("access link %q: want 1 to 15 letters, digits, - and _", l.Name)
		}
		if taken[l.Name] {
			return fmt.Errorf("access link %q: the name is taken", l.Name)
		}
		taken[l.Name] = true
		if err := l.Shape.check(); err != nil {
			return fmt.Errorf("access link %s: %w", l.Name, err)
		}
	}
	if len(c.Sites) > maxSites {
		return fmt.Errorf("%d sites, at most %d are possible", len(c.Sites), maxSites)
	}
	if err := c.Server.check(); err != nil {
		return fmt.Errorf("the server's leg: %w", err)
	}
	return nil
}

func (s Shape) check() error {
	for _, d := range []Direction{s.Up, s.Down} {
		if !(d.RateMbit >= 0) || d.Delay < 0 || d.Queue < 0 || !(d.Loss >= 0 && d.Loss <= 1) {
			return fmt.Errorf("impossible %+v", d)
		}
	}
	return nil
}
