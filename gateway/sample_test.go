package gateway

import (
	"net"
	"testing"
	"time"
)

// A request gets the lock while thousands of connections are looked at; one that ends
// meanwhile is left out.
func TestEachLetsOthersIn(t *testing.T) {
	f := newFlows()
	const all = 10 * sampleBatch
	for range all {
		f.conns[&net.TCPConn{}] = &followed{}
	}
	visits, before, ended := 0, 0, 0
	in := make(chan struct{})
	f.each(func(c *net.TCPConn, known *followed) {
		if known != f.conns[c] {
			t.Error("a connection that has ended")
		}
		if visits++; visits == 1 {
			go func() {
				defer close(in)
				f.mu.Lock()
				defer f.mu.Unlock()
				before = visits
				for c := range f.conns {
					delete(f.conns, c)
					ended++
				}
			}()
		}
		time.Sleep(200 * time.Microsecond)
	})
	<-in
	if before == all || visits != before || ended != all {
		t.Errorf("others had to wait for %d of %d visits; %d came after that", before, all, visits-before)
	}
}
