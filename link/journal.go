package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tributary/durable"
)

// journalName is the journal's file in the state directory. A relay and a gateway
// may share one.
func journalName(role string) string { return role + "-kernel.json" }

// A journal says how to undo what we did to the kernel. It is on disk before the
// change is made, so it may name more than was done, never less. Routes and rules
// are not in it: their protocol number tells whose they are even if the journal is lost.
type journal struct {
	// Where names the boot and the network namespace. State of another boot is gone;
	// another namespace's is out of reach.
	Where     string              `json:"where"`
	Endpoints []madeEndpoint      `json:"endpoints,omitempty"`
	Taken     []takenEndpoint     `json:"taken,omitempty"`
	Limits    *change[limits]     `json:"limits,omitempty"`
	Sysctls   map[string]*setting `json:"sysctls,omitempty"`

	path string // "" keeps it in memory only
}

type madeEndpoint struct {
	Addr  netip.Addr `json:"addr"`
	Index int        `json:"index"`
}

// A change is the value before we came, and those we gave it. A value that is
// none of ours is somebody else's by now, and is not undone.
type change[T comparable] struct {
	Before T   `json:"before"`
	Ours   []T `json:"ours"`
}

type setting = change[string]

func (c *change[T]) to(v T) (changed bool) {
	if slices.Contains(c.Ours, v) {
		return false
	}
	c.Ours = append(c.Ours, v)
	return true
}

// readJournal returns the journal in dir, or an empty one if there is none or if it
// is of another boot. A damaged one is an error, for it may hide what is to be undone;
// the message says how to go on. Where the file is that of another network namespace of
// this boot, whose program may be running, ours is beside it.
func readJournal(dir, name, where string) (*journal, error) {
	if dir == "" {
		return &journal{Where: where}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	boot, ns, _ := strings.Cut(where, " ")
	own := filepath.Join(dir, strings.TrimSuffix(name, ".json")+"-"+strings.Trim(ns, "net:[]")+".json")
	if old, err := readJournalFile(own); err != nil || old != nil && old.Where == where {
		return old, err
	}
	path := filepath.Join(dir, name)
	old, err := readJournalFile(path)
	switch {
	case err != nil:
		return nil, err
	case old != nil && old.Where == where:
		return old, nil
	case old != nil && strings.HasPrefix(old.Where, boot+" "):
		path = own
	}
	return &journal{Where: where, path: path}, nil
}

// readJournalFile returns nil if there is no such file.
func readJournalFile(path string) (*journal, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal of link changes: %w", err)
	}
	j := &journal{path: path}
	if err := json.Unmarshal(b, j); err != nil {
		return nil, fmt.Errorf("journal of link changes %s is damaged: %w; remove it, and MPTCP endpoints of an earlier run stay until the next boot", path, err)
	}
	return j, nil
}

// owns reports whether we made e.
func (j *journal) owns(e endpoint) bool {
	return slices.Contains(j.Endpoints, madeEndpoint{e.addr, e.index})
}

// base returns the limits before us, given those of now.
func (j *journal) base(now limits) limits {
	if j.Limits != nil {
		return j.Limits.Before
	}
	return now
}

// expect makes the journal cover the steps that are about to be taken, and reports
// whether it did not before.
func (j *journal) expect(o *observed, steps []step) (changed bool) {
	for _, s := range steps {
		switch it := s.item.(type) {
		case endpoint:
			if s.verb == verbDelete || s.verb == verbAdopt {
				changed = j.takes(it) || changed
			}
			if (s.verb == verbAdd || s.verb == verbAdopt) && !j.owns(it) {
				j.Endpoints = append(j.Endpoints, madeEndpoint{it.addr, it.index})
				changed = true
			}
		case limits:
			if j.Limits == nil {
				j.Limits = &change[limits]{Before: o.limits}
			}
			changed = j.Limits.to(it) || changed
		case sysctl:
			if j.Sysctls[it.path] == nil {
				if j.Sysctls == nil {
					j.Sysctls = map[string]*setting{}
				}
				j.Sysctls[it.path] = &setting{Before: o.sysctls[it.path]}
			}
			changed = j.Sysctls[it.path].to(it.value) || changed
		}
	}
	return changed
}

// prune forgets endpoints that are neither there nor planned, so that an address which
// changes daily does not make the journal grow.
func (j *journal) prune(o *observed, p *plan) {
	j.Endpoints = slices.DeleteFunc(j.Endpoints, func(m madeEndpoint) bool {
		same := func(e endpoint) bool { return e.addr == m.Addr && e.index == m.Index }
		return !slices.ContainsFunc(o.endpoints, same) && !slices.ContainsFunc(p.endpoints, same)
	})
	j.Taken = slices.DeleteFunc(j.Taken, func(t takenEndpoint) bool { return !o.has(t.Addr) })
}

// paths returns the sysctls that were changed.
func (j *journal) paths() (paths []string) {
	for p := range j.Sysctls {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// undo returns the steps that take everything of ours back.
func (j *journal) undo(o *observed) (steps []step) {
	steps = j.giveBack(o, diff(o, &plan{}))
	if c := j.Limits; c != nil && slices.Contains(c.Ours, o.limits) && c.Before != o.limits {
		steps = append(steps, step{verbSet, c.Before})
	}
	for _, path := range j.paths() {
		c := j.Sysctls[path]
		if v, ok := o.sysctls[path]; ok && v != c.Before && slices.Contains(c.Ours, v) {
			steps = append(steps, step{verbSet, sysctl{path, c.Before}})
		}
	}
	return steps
}

// write puts the journal on disk, whole or not at all.
func (j *journal) write() error {
	if j.path == "" {
		return nil
	}
	b, err := json.MarshalIndent(j, "", "\t")
	if err != nil {
		return fmt.Errorf("write journal of link changes: %w", err)
	}
	if err := durable.WriteFile(j.path, append(b, '\n')); err != nil {
		return fmt.Errorf("write journal of link changes: %w", err)
	}
	return nil
}

// clear forgets everything, once it is undone.
func (j *journal) clear() error {
	j.Endpoints, j.Taken, j.Limits, j.Sysctls = nil, nil, nil, nil
	if j.path == "" {
		return nil
	}
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove journal of link changes: %w", err)
	}
	return nil
}
