package gateway

import (
	"crypto/rand"
	"encoding/binary"
	"errors"

	"tributary/proxy"
)

// A request has a name, its flow, by which the relay opens its stream once however
// often it is asked: so it can race, and move. The name begins with the relay's
// instance; another run of the relay calls every request with it a duplicate.

var (
	// errLost is that one of the requests has reached the relay, and its answer will
	// not come.
	errLost = errors.New("the relay's answer was lost")

	// errOtherRun is that the relay has started anew since the run that the request
	// names.
	errOtherRun = errors.New("the relay has started anew")
)

// newFlow names a stream to a run of the relay; not where that is unknown.
func newFlow(instance uint64) (f proxy.Flow) {
	if instance != 0 {
		binary.BigEndian.PutUint64(f[:], instance)
		rand.Read(f[8:])
	}
	return f
}

func instanceOf(f proxy.Flow) uint64 { return binary.BigEndian.Uint64(f[:]) }

// flowOf names the stream for a request on conn. Relays that are not ours know no
// flows. What has carried nothing of the client's, or was not delivered before the
// relay started anew, may be opened again; anything else keeps its name, so that it
// is not.
func (t *tunnel) flowOf(conn *relayConn) proxy.Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.flow
	other := conn.instance != instanceOf(was)
	switch {
	case conn.tls == nil:
		t.flow = conn.flow // which is in its opening
	case t.given > 0 && was != (proxy.Flow{}) && !(other && t.undelivered):
	default:
		t.flow = newFlow(conn.instance)
	}
	if t.flow != was {
		t.asked = 0
	}
	t.asked++
	return t.flow
}

// sameFlow returns the flow that the next try must have, if any.
func (t *tunnel) sameFlow() (f proxy.Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.given > 0 {
		f = t.flow
	}
	return f
}

// duplicate reports whether the relay has said that it was asked before.
func duplicate(err error) bool {
	var refusal *proxy.Error
	return errors.As(err, &refusal) && refusal.Reason == proxy.Duplicate
}

// undoubled turns that into what it means where nobody else is left to win; its is what
// the rival has failed with, if there was one. By Shadowsocks the relay's run is named
// from memory. If the relay has called all that it was ever asked by that name a
// duplicate, it is another run, and has opened nothing. If the request was not delivered
// for all one knows, it may be: then the next try finds that out, by TLS.
func (t *tunnel) undoubled(err, its error, conn *relayConn) error {
	if !duplicate(err) {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := 1
	if duplicate(its) {
		refused++
	}
	if conn.tls != nil || t.asked != refused && !t.undelivered {
		return errLost
	}
	t.dialer.upstream.shadow.forget(instanceOf(t.flow))
	if t.asked == refused {
		t.flow = proxy.Flow{}
	}
	return errOtherRun
}
