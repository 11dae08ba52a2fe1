package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// refusals asks for what cannot be had, on ports where the gateway waits for the
// truth. The relay gives a silent server 10 s.
func refusals(ctx context.Context, t *trial) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	const soon, late = 5 * time.Second, 15 * time.Second
	for _, c := range []struct {
		what            string
		name            string
		port            int
		want            map[asker][]refusedCode
		usually, within time.Duration
	}{
		{"a closed port", ServerName, PortRefused, refused(502, 5), 50 * time.Millisecond, soon},
		{"an unreachable host", UnreachableName, PortEcho, refused(503, 4), 50 * time.Millisecond, soon},
		{"a name that does not exist", NowhereName, PortEcho, refused(502, 4), 50 * time.Millisecond, soon},
		{"a name whose DNS server fails", BrokenName, PortEcho, map[asker][]refusedCode{askSOCKS5: {4, 1}, askSOCKS4a: {91}, askHTTP: {502, 503}}, 50 * time.Millisecond, soon},
		{"a host that swallows packets", BlackholeName, PortEcho, refused(504, 4, 6), 10 * time.Second, late},
	} {
		for _, by := range []asker{askSOCKS5, askSOCKS4a, askHTTP} {
			t.step(c.usually, "ask for %s with %s", c.what, by)
			limited, cancel := context.WithTimeout(ctx, 2*c.within)
			began := time.Now()
			conn, err := t.ask(limited, by, c.name, c.port)
			took := time.Since(began)
			cancel()
			if err == nil {
				conn.Close()
			}
			var code refusedCode
			right := errors.As(err, &code) && slices.Contains(c.want[by], code)
			t.check(fmt.Sprintf("%s: %s says so", c.what, by), right && took < c.within, "%v after %.2f s", err, took.Seconds())
		}
	}
	_, err := t.echo(ctx, askSOCKS5)
	t.check("a good request works afterwards", err == nil, "%v", orOK(err))
	return ctx.Err()
}

// refused returns the codes that are right in each protocol; SOCKS4 has one for
// all.
func refused(http refusedCode, socks5 ...refusedCode) map[asker][]refusedCode {
	return map[asker][]refusedCode{askSOCKS5: socks5, askSOCKS4a: {91}, askHTTP: {http}}
}
