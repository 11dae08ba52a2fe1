package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"tributary/lab/soak"
)

// faults does what the plan says, each fault in its time. It returns when the last
// one is over and every link is whole.
func (r *soakRun) faults(ctx context.Context) error {
	var running sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, f := range r.plan {
		running.Go(func() {
			if sleep(ctx, time.Until(r.began.Add(f.At))) != nil {
				return
			}
			if err := r.fault(ctx, f); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s %s: %w", f.Link, f.Kind, err))
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func (r *soakRun) fault(ctx context.Context, f soak.Fault) error {
	switch f.Kind {
	case soak.Restart:
		return r.killRelay(ctx)
	case soak.AllOut:
		for _, name := range r.Network.Links() {
			r.silence(name, true)
		}
		sleep(ctx, f.For)
		for _, name := range r.Network.Links() {
			r.silence(name, false)
		}
		return nil
	}
	l := r.Network.Link(f.Link)
	whole := l.Shape()
	defer l.Set(whole)
	switch f.Kind {
	case soak.Silent:
		r.silence(f.Link, true)
		defer r.silence(f.Link, false)
	case soak.Unplugged:
		r.book.Out(f.Link, true, time.Now())
		if err := l.Down(); err != nil {
			return err
		}
		sleep(ctx, f.For)
		err := l.Up()
		r.book.Out(f.Link, false, time.Now())
		return err
	case soak.Readdressed: // what has begun over the old address alone has no link
		r.book.Out(f.Link, true, time.Now())
		err := l.readdress()
		r.book.Out(f.Link, false, time.Now())
		return err
	case soak.Lossy:
		s := whole
		s.Up.Loss, s.Down.Loss = f.Much, f.Much
		l.Set(s)
	case soak.Slow:
		s := whole
		s.Up.RateMbit, s.Down.RateMbit = f.Much/2, f.Much
		l.Set(s)
	case soak.Far:
		s := whole
		s.Up.Delay += time.Duration(f.Much/2) * time.Millisecond
		s.Down.Delay += time.Duration(f.Much/2) * time.Millisecond
		l.Set(s)
	}
	sleep(ctx, f.For)
	return nil
}

func (r *soakRun) silence(link string, on bool) {
	r.book.Out(link, on, time.Now())
	r.Network.Link(link).Silence(on)
}

// killRelay kills the relay and starts it again two seconds later.
func (r *soakRun) killRelay(ctx context.Context) error {
	from := time.Now()
	if err := r.StopRelay(syscall.SIGKILL); err != nil {
		return err
	}
	sleep(ctx, 2*time.Second)
	err := r.StartRelay(context.WithoutCancel(ctx))
	r.book.Restarted(from, time.Now())
	return err
}

// readdress takes the link's IPv4 address away and gives it another one of its
// network, without the interface going down. It goes to and fro.
func (l *Link) readdress() error {
	nl, dev, err := l.plug.find()
	if err != nil {
		return err
	}
	for i, p := range l.plug.addrs {
		if !p.Addr().Is4() {
			continue
		}
		a := p.Addr().As4()
		a[3] ^= 1 // .2 and .3
		if err := nl.AddrDel(dev, &netlink.Addr{IPNet: ipNet(p)}); err != nil {
			return fmt.Errorf("take %s from %s: %w", p, l.Name, err)
		}
		l.plug.addrs[i] = netip.PrefixFrom(netip.AddrFrom4(a), p.Bits())
	}
	return l.plug.up()
}

// addressBack gives the link the address that it began with.
func (l *Link) addressBack() error {
	if a := l.Addr(false); !a.IsValid() || a.As4()[3] == hostEnd {
		return nil
	}
	return l.readdress()
}
