package link

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A fakeKernel keeps state as the kernel does: it refuses what the kernel refuses.
type fakeKernel struct {
	mu     sync.Mutex
	o      observed
	bell   *alarm
	did    []string
	fail   func(step) error
	blind  error // what observe returns
	nextID uint8
	boot   string
	closed bool
	listed atomic.Int32 // how often routes were to be listed
}

func (k *fakeKernel) observe([]string) (*observed, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	o := k.o
	o.devices, o.defaults = slices.Clone(o.devices), slices.Clone(o.defaults)
	o.rules, o.routes, o.endpoints = slices.Clone(o.rules), slices.Clone(o.routes), slices.Clone(o.endpoints)
	o.sysctls = maps.Clone(o.sysctls)
	return &o, k.blind
}

func (k *fakeKernel) apply(s step) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		if err := k.fail(s); err != nil {
			return err
		}
	}
	k.did = append(k.did, s.String())
	switch it := s.item.(type) {
	case sysctl:
		k.o.sysctls[it.path] = it.value
	case limits:
		k.o.limits = it
	case rule:
		return change1(&k.o.rules, s.verb, it)
	case route:
		return change1(&k.o.routes, s.verb, it)
	case endpoint:
		i := slices.IndexFunc(k.o.endpoints, func(e endpoint) bool { return e.addr == it.addr })
		switch {
		case s.verb == verbAdopt:
		case s.verb == verbRestore && i >= 0:
			return errors.New("file exists")
		case s.verb == verbRestore:
			k.o.endpoints = append(k.o.endpoints, endpoint{id: it.id, addr: it.addr, index: it.index, dev: it.dev, theirs: it.theirs})
		case s.verb == verbAdd && i >= 0 && !k.o.endpoints[i].implicit:
			return errors.New("file exists")
		case s.verb == verbAdd:
			k.nextID++
			it.id, it.ours = k.nextID, false
			k.o.endpoints = append(k.o.endpoints, it)
		case i < 0:
			return errors.New("no such endpoint")
		case s.verb == verbChange:
			k.o.endpoints[i].backup = it.backup
		case k.o.endpoints[i].id != it.id:
			return fmt.Errorf("endpoint has id %d, not %d", k.o.endpoints[i].id, it.id)
		default:
			k.o.endpoints = slices.Delete(k.o.endpoints, i, i+1)
		}
	}
	return nil
}

func change1[T comparable](have *[]T, verb string, it T) error {
	i := slices.Index(*have, it)
	switch {
	case verb == verbDel && i < 0:
		return fmt.Errorf("%v is not there", it)
	case verb == verbDel:
		*have = slices.Delete(*have, i, i+1)
	case i >= 0:
		return fmt.Errorf("%v exists", it)
	default:
		*have = append(*have, it)
	}
	return nil
}

func (k *fakeKernel) refresh() { k.listed.Add(1) }

func (k *fakeKernel) counters() (map[int]Counter, error) { return nil, nil }

func (k *fakeKernel) alarm() *alarm { return k.bell }
func (k *fakeKernel) where() string { return k.boot }
func (k *fakeKernel) close() error  { k.closed = true; return nil }

// event changes the world and rings.
func (k *fakeKernel) event(s signal, f func(*observed)) {
	k.mu.Lock()
	f(&k.o)
	k.mu.Unlock()
	k.bell.raise(s)
}

// steps returns and forgets what was done.
func (k *fakeKernel) steps() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := strings.Join(k.did, "\n")
	k.did = nil
	return s
}

func newFake(o *observed) *fakeKernel { return &fakeKernel{o: *o, bell: newAlarm(), boot: "boot1"} }

// serve runs a manager until the test is over, and sees that it ends.
func serve(t *testing.T, m *Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- m.Serve(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// endpointSteps is steps for those that concern endpoints.
func endpointSteps(k *fakeKernel) string {
	return strings.Join(slices.DeleteFunc(strings.Split(k.steps(), "\n"), func(s string) bool { return !strings.Contains(s, "endpoint") }), "\n")
}
