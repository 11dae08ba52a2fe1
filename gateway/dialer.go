package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tributary/proxy"
)

// slowFailure is what a connection that fails must have taken for another to be tried in
// what time is left: over a narrow line full of others a handshake may take longer than
// the relay waits for it, which is 10 s. A relay that cannot be had says so at once.
const slowFailure = 5 * time.Second

// A dialer opens streams through the relay. It is the gateway's proxy.Dialer.
type dialer struct {
	upstream *upstream
	pool     *pool
	memory   *memory
	log      *slog.Logger
}

// DialStream asks the relay for a stream to an address. It returns when the
// request is on its way, or, where the client's answer has to be true, when the
// relay has answered.
func (d *dialer) DialStream(ctx context.Context, to proxy.Addr, early []byte) (proxy.Conn, error) {
	if d.memory.refuses(to) {
		return nil, &proxy.Error{
			Reason: proxy.AddressUnsupported,
			Err:    fmt.Errorf("the relay has no address of the family of %s", to),
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &tunnel{
		ctx: ctx, cancel: cancel, dialer: d, to: to, until: time.Now().Add(openTime),
		order: make(chan struct{}, 1), sent: bytes.Clone(early), given: len(early), waits: d.memory.waits(to),
	}
	if err := t.open(); err != nil {
		cancel()
		return nil, err
	}
	if t.waits {
		defer cancel() // the search for a connection is over either way
		return t.Settle()
	}
	return t, nil
}

// get returns a connection for a request's nth try: a warm one first. If that
// was dead, others may be too, so then a new one, made until a
// time, or later as in patient.
func (d *dialer) get(ctx context.Context, to proxy.Addr, try int, until time.Time, flow proxy.Flow) (*relayConn, error) {
	if try == 1 {
		if c := d.pool.take(); c != nil {
			return c, nil
		}
	}
	ctx, cancel := d.upstream.patient(ctx, until)
	defer cancel()
	for {
		began := time.Now()
		c, err := d.cold(ctx, to, flow)
		if err == nil {
			d.pool.wayIsOpen()
			return c, nil
		}
		var refused *refusedError
		switch {
		case errors.As(err, &refused):
			return nil, err
		case ctx.Err() == nil && time.Since(began) >= slowFailure:
			continue
		case context.Cause(ctx) == errUnheard:
			err = d.upstream.failed(fmt.Errorf("%w: %v", errUnheard, err))
		}
		return nil, fmt.Errorf("no connection to the relay: %w", err)
	}
}
