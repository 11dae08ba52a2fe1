package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// answerCount is how often each case is asked for by each protocol.
const answerCount = 16

// An answersRun is one run of the scenario.
type answersRun struct {
	*trial
	book caseBook
}

func answers(ctx context.Context, t *trial) error { return answersWith(ctx, t, answerCount) }

func answersWith(ctx context.Context, t *trial, count int) error {
	if err := t.Network.makeFar(2 * count); err != nil {
		return err
	}
	t.Answers = &AnswerTimes{}
	r := &answersRun{trial: t}
	t.step(time.Second, "start the relay")
	if err := t.StartRelay(ctx); err != nil {
		return err
	}
	for _, phase := range []struct {
		open string
		ask  func(context.Context, asker, int) error
		into *[]*AnswerCase
	}{{"honest", r.honest, &t.Answers.Honest}, {"auto", r.auto, &t.Answers.Auto}, {"", r.banners, &t.Answers.Banners}} {
		r.book = caseBook{}
		if phase.open != "" {
			if err := r.gatewayThatIs(ctx, phase.open); err != nil {
				return err
			}
		}
		t.step(25*time.Second, "ask what cannot be had, and what can, %s", phase.open)
		for i := range count {
			for j, by := range []asker{askSOCKS5, askHTTP} {
				if err := phase.ask(ctx, by, 2*i+j); err != nil {
					return err
				}
			}
		}
		*phase.into = r.book.finish()
	}
	t.Answers.judge(t.Report)
	return nil
}

// gatewayThatIs starts the gateway anew with a setting of "open".
func (r *answersRun) gatewayThatIs(ctx context.Context, open string) error {
	r.step(3*time.Second, "start a gateway that is %s", open)
	if err := r.StopGateway(syscall.SIGTERM); err != nil {
		return err
	}
	file := filepath.Join(r.Dir, open+".toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "[gateway]\nopen = %q\n", open), 0o600); err != nil {
		return err
	}
	if err := r.StartGateway(ctx, "--config", file); err != nil {
		return err
	}
	return r.Warm(ctx)
}

// honest asks for what cannot be had, on first contact, and on ports where a gateway
// that is not honest would answer at once.
func (r *answersRun) honest(ctx context.Context, by asker, i int) error {
	for _, c := range []struct {
		what         string
		host         string
		port         int
		socks5, http refusedCode
	}{
		{whatRefused, farAddr(farOwn, i).String(), 443, 5, 502},
		{whatHost, farAddr(farNoHost, i).String(), 443, 4, 503},
		{whatNetwork, farAddr(farNoNetwork, i).String(), 443, 3, 502},
		{whatName, fmt.Sprintf("nobody-%d.lab", i), 443, 4, 502},
		{whatPolicy, netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)}).String(), 443, 2, 403},
	} {
		if err := r.ask(ctx, c.what, by, c.host, c.port, code(by, c.socks5, c.http)); err != nil {
			return err
		}
	}
	return nil
}

// What is refused, as the figures call it.
const (
	whatRefused = "connection refused"
	whatHost    = "host unreachable, says a router next to it"
	whatNetwork = "network unreachable, says a router next to it"
	whatName    = "no such name"
	whatPolicy  = "not allowed: a private address"
)

func code(by asker, socks5, http refusedCode) refusedCode {
	if by == askHTTP {
		return http
	}
	return socks5
}

// What the gateway does with open = "auto", as the tables call it.
const (
	whatOtherPort  = "not known, port 7"
	whatOtherBad   = "not known, port 81, where nobody listens"
	whatWeb        = "not known, port 80"
	whatWebBad     = "not known, port 443, where nobody listens"
	whatKnown      = "reached lately, port 7"
	whatGone       = "reached lately, port 900, gone since"
	whatAgain      = "failed in the last minute, port 443"
	whatGoneAgain  = "failed in the last minute, port 900"
	whatFamilyLack = "IPv6 literal after the first one, the relay having no IPv6"
	thenReset      = ": until the reset"
)

// answeredAtOnce are those for which the gateway waits for nobody.
var answeredAtOnce = []string{whatWeb, whatWebBad, whatKnown, whatGone, whatFamilyLack}

// auto goes through the rows of the table, with an address of its own each time.
func (r *answersRun) auto(ctx context.Context, by asker, i int) error {
	own := farAddr(farOwn, i).String()
	const open = refusedCode(0)
	refused := code(by, 5, 502)
	if i < 2 { // teaches the gateway what the relay lacks; not counted
		conn, _ := r.trial.ask(ctx, by, farV6(255), PortEcho)
		closeIf(conn)
	}
	for _, c := range []struct {
		what string
		port int
		want refusedCode
	}{
		{whatOtherPort, PortEcho, open}, {whatKnown, PortEcho, open}, {whatOtherBad, PortRefused, refused}, {whatWeb, PortHTTP, open},
	} {
		if err := r.ask(ctx, c.what, by, own, c.port, c.want); err != nil {
			return err
		}
	}
	if err := r.wrongly(ctx, by, own, 443, whatWebBad, whatAgain, refused); err != nil {
		return err
	}
	if err := r.gone(ctx, by, own, refused); err != nil {
		return err
	}
	return r.ask(ctx, whatFamilyLack, by, farV6(i), PortEcho, code(by, 8, 502))
}

// gone asks for a server that was there a moment ago.
func (r *answersRun) gone(ctx context.Context, by asker, own string, refused refusedCode) error {
	const port = 900
	l, err := r.Network.Host("server").Listen(ctx, "tcp", fmt.Sprintf("%s:%d", own, port))
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	conn, err := r.trial.ask(limited, by, own, port)
	cancel()
	closeIf(conn)
	l.Close()
	if err != nil {
		return fmt.Errorf("reach a server that will be gone: %w", err)
	}
	return r.wrongly(ctx, by, own, port, whatGone, whatGoneAgain, refused)
}

// wrongly asks where the gateway answers too well: a reset has to follow, and the
// truth when it is asked again.
func (r *answersRun) wrongly(ctx context.Context, by asker, host string, port int, first, again string, refused refusedCode) error {
	if err := r.Warm(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	began := time.Now()
	conn, err := r.trial.ask(limited, by, host, port)
	r.enter(first, by, 0, time.Since(began), err)
	if err == nil {
		conn.SetDeadline(began.Add(answerLimit))
		_, err := conn.Read(make([]byte, 1))
		took := time.Since(began)
		conn.Close()
		if errors.Is(err, syscall.ECONNRESET) {
			err = nil
		} else if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("no reset")
		}
		r.enter(first+thenReset, by, 0, took, err)
	}
	return r.ask(ctx, again, by, host, port, refused)
}

// ask asks once, with a filled pool, and enters how long the answer took.
func (r *answersRun) ask(ctx context.Context, what string, by asker, host string, port int, want refusedCode) error {
	if err := r.Warm(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	began := time.Now()
	conn, err := r.trial.ask(limited, by, host, port)
	took := time.Since(began)
	closeIf(conn)
	r.enter(what, by, want, took, err)
	return ctx.Err()
}

func closeIf(c net.Conn) {
	if c != nil {
		c.Close()
	}
}

// enter notes an answer and whether it is the right one.
func (r *answersRun) enter(what string, by asker, want refusedCode, took time.Duration, err error) {
	var got refusedCode
	right := (err == nil || errors.As(err, &got)) && got == want
	if !right {
		r.check(fmt.Sprintf("%s, %s: the right answer", what, by), false, "%v, want code %d", err, want)
	}
	r.book.enter(what, string(by), answerText(what, want), ms(took), right)
}

func answerText(what string, want refusedCode) string {
	switch {
	case strings.HasSuffix(what, thenReset):
		return "reset"
	case want == 0:
		return "open"
	}
	return fmt.Sprint(int(want))
}

// banners waits for servers that speak first: without a proxy, on first contact
// through the gateway, and again when it knows the server.
func (r *answersRun) banners(ctx context.Context, by asker, i int) error {
	own := farAddr(farOwn, i).String()
	if err := r.banner(ctx, whatBannerDirect, "", func(ctx context.Context) (net.Conn, error) {
		return r.Network.Host("home").DialContext(ctx, "tcp", hostPort(farAddr(farOwn, i), PortBanner))
	}); err != nil {
		return err
	}
	for _, what := range []string{whatBanner, whatBannerKnown} {
		if err := r.banner(ctx, what, by, func(ctx context.Context) (net.Conn, error) { return r.trial.ask(ctx, by, own, PortBanner) }); err != nil {
			return err
		}
	}
	return nil
}

// Banners, as the figures call them.
const (
	whatBannerDirect = "direct"
	whatBanner       = "warm, not known"
	whatBannerKnown  = "warm, reached lately"
)

func (r *answersRun) banner(ctx context.Context, what string, by asker, dial func(context.Context) (net.Conn, error)) error {
	if err := r.Warm(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	began := time.Now()
	conn, err := dial(limited)
	var took time.Duration
	if err == nil {
		conn.SetDeadline(began.Add(answerLimit))
		text := make([]byte, len(Banner))
		_, err = io.ReadFull(conn, text[:1])
		took = time.Since(began)
		if err == nil {
			_, err = io.ReadFull(conn, text[1:])
		}
		if err == nil && string(text) != Banner {
			err = fmt.Errorf("the banner is %q", text)
		}
		conn.Close()
	}
	r.enter(what, by, 0, took, err)
	return ctx.Err()
}
