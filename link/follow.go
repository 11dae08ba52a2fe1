package link

import (
	"context"
	"time"
)

// Times chosen by us.
const (
	// settle is how long related events are collected. A DHCP client adds address
	// and routes within a few milliseconds.
	settle = 20 * time.Millisecond
	// resync is how often everything is looked at without any event: somebody may have
	// flushed rules or endpoints, and those of the path manager raise no event.
	resync = time.Minute
	// retry is the wait after a failure: most are races with a link that is changing.
	// It doubles each time, for a read-only /proc/sys stays one.
	retry = time.Second
)

// Serve follows the links until ctx ends or the Manager is closed, then takes
// everything back. Failures to change the kernel are logged and tried again, and
// shown by [Manager.Managing].
func (m *Manager) Serve(ctx context.Context) error {
	if m.kernel != nil {
		m.follow(ctx)
	} else {
		select {
		case <-ctx.Done():
		case <-m.stop:
		}
	}
	return m.Close()
}

func (m *Manager) follow(ctx context.Context) {
	look := time.NewTicker(resync)
	defer look.Stop()
	settled := time.NewTimer(settle)
	settled.Stop()
	defer settled.Stop()
	waiting, wait := false, retry
	again := func(failed bool) {
		if !failed {
			wait = retry
			return
		}
		settled.Reset(wait)
		wait = min(2*wait, resync)
	}
	again(m.troubled())
	for {
		urgent := false
		select {
		case <-ctx.Done():
			return
		case <-m.stop:
			return
		case <-m.kernel.alarm().rung:
			s := m.kernel.alarm().take()
			urgent = s&(now|all) == now
			m.outdated.Store(true)
			if s == soon {
				if !waiting {
					settled.Reset(settle)
					waiting = true
				}
				continue
			}
		case <-settled.C:
		case <-look.C:
		}
		settled.Stop()
		waiting = false
		if urgent {
			settled.Reset(settle) // the kernel does not tell which routes went as well
		} else {
			m.kernel.refresh()
			m.outdated.Store(false)
		}
		err := m.reconcile()
		if err != nil {
			m.log.Warn("links could not be followed", "err", err)
		}
		if !urgent {
			again(err != nil || m.troubled())
		}
	}
}
