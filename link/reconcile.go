package link

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// observe looks at the kernel and marks what is ours.
func (m *Manager) observe() (*observed, error) {
	o, err := m.kernel.observe(m.journal.paths())
	if err != nil {
		return nil, fmt.Errorf("observe links: %w", err)
	}
	for i := range o.endpoints {
		o.endpoints[i].ours = m.journal.owns(o.endpoints[i])
	}
	for _, t := range m.journal.Taken {
		o.taken = append(o.taken, t.Addr)
	}
	o.base = m.journal.base(o.limits)
	return o, nil
}

// reconcile looks, plans and does what is missing. Its error is one of looking or of
// the journal; failed steps are kept for Managing.
func (m *Manager) reconcile() error {
	m.work.Lock()
	defer m.work.Unlock()
	if m.closed {
		return nil
	}
	o, err := m.observe()
	if err != nil {
		return err
	}
	p := m.planner.plan(o)
	if m.idle == "" {
		err = m.applyAll(o, p)
	} else {
		for i := range p.links {
			p.links[i].Table, p.links[i].Joins = 0, nil
		}
	}
	m.publish(p.links)
	return err
}

// follows reconciles for somebody who has asked for something. What fails is tried again
// by Serve, as after an event.
func (m *Manager) follows() error {
	err := m.reconcile()
	if err != nil || m.troubled() {
		m.kernel.alarm().raise(soon)
	}
	return err
}

// applyAll takes the steps to the plan. One that fails does not stop the others:
// links are independent. Without a journal nothing is made, only removed.
func (m *Manager) applyAll(o *observed, p *plan) error {
	steps := diff(o, p)
	if m.outdated.Load() {
		steps = slices.DeleteFunc(steps, step.waits)
	}
	first := slices.IndexFunc(steps, func(s step) bool {
		e, ok := s.item.(endpoint)
		return s.verb != verbDelete || !ok || !e.ours
	})
	if first < 0 {
		first = len(steps)
	}
	for _, s := range steps {
		m.turns(s)
	}
	failed := m.take(steps[:first])
	steps = steps[first:]
	if m.journal.expect(o, steps) {
		m.journal.prune(o, p)
		if err := m.journal.write(); err != nil {
			m.tell(append(failed, err.Error()))
			return err
		}
	}
	m.tell(append(failed, m.take(steps)...))
	return nil
}

// take takes steps and returns what failed. A failure is logged when it is new.
func (m *Manager) take(steps []step) (failed []string) {
	for _, s := range steps {
		err := m.kernel.apply(s)
		if err == nil {
			m.log.Debug("applied", "step", s.String())
			delete(m.broken, s.String())
			continue
		}
		failed = append(failed, fmt.Sprintf("%s: %v", s, err))
		if !m.broken[s.String()] {
			m.log.Warn("link change failed", "step", s.String(), "err", err)
		}
		m.broken[s.String()] = true
	}
	return failed
}

func (m *Manager) tell(failed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = strings.Join(failed, "; ")
}

func (m *Manager) troubled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trouble != ""
}

// undo takes everything back that is ours, and forgets it if that worked.
func (m *Manager) undo() error {
	m.kernel.refresh()
	o, err := m.observe()
	if err != nil {
		return err
	}
	var failed []error
	for _, s := range m.journal.undo(o) {
		if err := m.kernel.apply(s); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s, err))
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return m.journal.clear()
}

// publish makes links the present ones, and wakes who waits if they differ.
func (m *Manager) publish(links []Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range links {
		l := &links[i]
		l.Since = time.Now()
		j := slices.IndexFunc(m.links, func(old Link) bool { return old.Name == l.Name })
		if j >= 0 && m.links[j].State == l.State {
			l.Since = m.links[j].Since
		}
		if j < 0 || m.links[j].State != l.State || m.links[j].Note != l.Note {
			m.log.Info("link", "link", l.Name, "state", l.State.String(), "mode", l.Mode.String(), "addresses", l.Addrs, "note", l.Note)
		}
	}
	for _, old := range m.links {
		if !slices.ContainsFunc(links, func(l Link) bool { return l.Name == old.Name }) {
			m.log.Info("link", "link", old.Name, "state", "gone")
		}
	}
	same := slices.EqualFunc(m.links, links, func(a, b Link) bool {
		return a.Name == b.Name && a.Index == b.Index && a.Mode == b.Mode && a.State == b.State && a.Role == b.Role && a.Order == b.Order &&
			slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.Joins, b.Joins) && a.Gateway4 == b.Gateway4 && a.Gateway6 == b.Gateway6 && a.Note == b.Note && a.Table == b.Table
	})
	m.links = links
	if !same {
		close(m.changed)
		m.changed = make(chan struct{})
	}
}
