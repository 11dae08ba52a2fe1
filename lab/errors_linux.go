package lab

import (
	"context"
	"fmt"
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
		what         string
		name         string
		port         int
		socks5, http refusedCode
		within       time.Duration
	}{
		{"a closed port", ServerName, PortRefused, 5, 502, soon},
		{"an unreachable host", UnreachableName, PortEcho, 4, 503, soon},
		{"a name that does not exist", NowhereName, PortEcho, 4, 502, soon},
		{"a name whose DNS server fails", BrokenName, PortEcho, 1, 502, soon},
		{"a host that swallows packets", BlackholeName, PortEcho, 4, 504, late},
	} {
		t.step(c.within/5, "ask for %s", c.what)
		for by, want := range map[asker]refusedCode{askSOCKS5: c.socks5, askSOCKS4a: 91, askHTTP: c.http} {
			limited, cancel := context.WithTimeout(ctx, 2*c.within)
			began := time.Now()
			conn, err := t.ask(limited, by, c.name, c.port)
			took := time.Since(began)
			cancel()
			if err == nil {
				conn.Close()
			}
			t.check(fmt.Sprintf("%s: %s says %d", c.what, by, int(want)), err == want && took < c.within, "%v after %.2f s", err, took.Seconds())
		}
	}
	_, err := t.echo(ctx, askSOCKS5)
	t.check("a good request works afterwards", err == nil, "%v", orOK(err))
	return ctx.Err()
}
