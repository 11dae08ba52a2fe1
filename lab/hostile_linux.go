package lab

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"
)

// What the scenario "hostile" holds against targets.
const (
	hostileLateMs  = 10 // a new session, more than over the other link alone
	hostileAgain   = 60 // seconds from the repair until the link is used again
	hostileShare   = 90 // percent of what the other link carries alone
	hostileEach    = 250 * time.Millisecond
	hostileFor     = 6 * time.Second
	hostileBurst   = 24 // requests at once: more than wait warm
	hostileRate    = 4 * time.Second
	hostilePatient = 40 * time.Second
)

// hostile has a middlebox on DSL, the best link, that drops MPTCP SYNs or removes MPTCP
// options, while the gateway runs and when it starts, and takes it away.
func hostile(ctx context.Context, t *trial) error {
	h := &hostileRun{trial: t}
	if err := t.StartRelay(ctx); err != nil {
		return err
	}
	t.step(hostileFor+hostileRate+4*time.Second, "LTE alone")
	if err := h.alone(ctx); err != nil {
		return err
	}
	dsl := t.Network.Link("dsl")
	for _, m := range []middlebox{
		{"DSL drops MPTCP SYNs", "blocked", dsl.DropMPTCPSyn},
		{"DSL strips MPTCP options", "stripped", dsl.StripMPTCP},
	} {
		for _, part := range []func(context.Context, middlebox) error{h.midway, h.atStart, h.repaired, h.onlyLink} {
			if err := part(ctx, m); err != nil {
				return err
			}
		}
	}
	return h.otherPort(ctx)
}

// otherPort has a relay with a second port, to which the middlebox is kinder.
func (h *hostileRun) otherPort(ctx context.Context) error {
	h.step(hostileRate+15*time.Second, "DSL drops MPTCP SYNs at one of the relay's two ports")
	if err := h.StopRelay(syscall.SIGTERM); err != nil {
		return err
	}
	if err := h.StartRelay(ctx, "--also", "443"); err != nil {
		return err
	}
	dsl := h.Network.Link("dsl")
	dsl.OnlyPort(RelayPort)
	dsl.DropMPTCPSyn(true)
	defer dsl.DropMPTCPSyn(false)
	if err := h.gateway(ctx); err != nil {
		return err
	}
	_, err := h.WaitStatus(ctx, "ok on dsl", func(st Status) bool { return wordOf(st, "dsl") == "ok" && wordOf(st, "lte") == "ok" })
	h.check("DSL drops MPTCP SYNs at one port: the other one is found", err == nil, "%v", orOK(err))
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	r, err := Download(ctx, h.through(endless, hostileRate))
	h.figure("DSL drops MPTCP SYNs at one port: download by the other, of LTE alone", 100*r.Mbit()/h.mbit, "%", atLeast(2*hostileShare))
	return err
}

type middlebox struct {
	what, word string
	set        func(bool)
}

type hostileRun struct {
	*trial
	median, burst float64 // ms to the first byte over LTE alone
	mbit          float64
}

// alone measures the gateway with LTE only.
func (h *hostileRun) alone(ctx context.Context) (err error) {
	if err = h.gateway(ctx, "--link", "lte"); err != nil {
		return err
	}
	if h.median, _, err = h.ask(ctx, "LTE alone"); err != nil {
		return err
	}
	if h.burst, err = h.many(ctx, "LTE alone"); err != nil {
		return err
	}
	r, err := Download(ctx, h.through(endless, hostileRate))
	h.mbit = r.Mbit()
	h.figure("LTE alone: download", h.mbit, "Mbit/s", nil)
	if err != nil {
		return err
	}
	return h.StopGateway(syscall.SIGTERM)
}

func (h *hostileRun) gateway(ctx context.Context, args ...string) error {
	if err := h.StartGateway(ctx, args...); err != nil {
		return err
	}
	if err := h.Warm(ctx); err != nil {
		return err
	}
	return sleep(ctx, 500*time.Millisecond)
}

// midway puts the middlebox there while the gateway runs.
func (h *hostileRun) midway(ctx context.Context, m middlebox) error {
	h.step(hostileFor+3*time.Second, "%s from now on", m.what)
	if err := h.gateway(ctx); err != nil {
		return err
	}
	m.set(true)
	if err := h.compareAsk(ctx, m.what+", from the first moment"); err != nil {
		return err
	}
	_, err := h.WaitStatus(ctx, m.word+" on dsl", func(st Status) bool { return wordOf(st, "dsl") == m.word })
	h.check(m.what+": status says so", err == nil, "%v", orOK(err))
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.StopGateway(syscall.SIGTERM)
}

// atStart has the middlebox there from the start.
func (h *hostileRun) atStart(ctx context.Context, m middlebox) error {
	h.step(hostileFor+hostileRate+4*time.Second, "%s since before the start", m.what)
	if err := h.gateway(ctx); err != nil {
		return err
	}
	if err := h.compareAsk(ctx, m.what+", since the start"); err != nil {
		return err
	}
	burst, err := h.many(ctx, m.what)
	if err != nil {
		return err
	}
	h.figure(m.what+": a burst, median more than over LTE alone", burst-h.burst, "ms", atMost(hostileLateMs))
	r, err := Download(ctx, h.through(endless, hostileRate))
	h.figure(m.what+": download, of LTE alone", 100*r.Mbit()/h.mbit, "%", atLeast(hostileShare))
	return err
}

// repaired takes the middlebox away during a download and waits until DSL carries some
// of it.
func (h *hostileRun) repaired(ctx context.Context, m middlebox) error {
	h.step(30*time.Second, "%s: repaired", m.what)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var download sync.WaitGroup
	defer download.Wait()
	defer cancel()
	download.Go(func() { Download(ctx, h.through(endless, 0)) })
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	m.set(false)
	began := time.Now()
	var carried uint64
	for {
		_, before := h.Network.Link("dsl").Counters()
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		_, after := h.Network.Link("dsl").Counters()
		carried = after.Bytes - before.Bytes
		if carried > 100e3 || time.Since(began) > hostilePatient { // 4 Mbit/s
			break
		}
	}
	h.figure(m.what+": used again after the repair, on a running connection", time.Since(began).Seconds(), "s", atMost(hostileAgain))
	st, err := h.WaitStatus(ctx, "ok on dsl", func(st Status) bool { return wordOf(st, "dsl") == "ok" })
	h.check(m.what+": status says that it is repaired", err == nil, "%s", linkWords(st))
	cancel()
	download.Wait()
	return h.StopGateway(syscall.SIGTERM)
}

// onlyLink has nothing but the link with the middlebox.
func (h *hostileRun) onlyLink(ctx context.Context, m middlebox) error {
	h.step(hostileFor+3*time.Second, "%s, and there is no other link", m.what)
	m.set(true)
	defer m.set(false)
	if err := h.gateway(ctx, "--link", "dsl"); err != nil {
		return err
	}
	median, failed, err := h.ask(ctx, m.what+", the only link")
	if err != nil {
		return err
	}
	h.figure(m.what+", the only link: first byte, median", median, "ms", atMost(40+2*20+hostileLateMs))
	h.check(m.what+", the only link: every request is answered", failed == 0, "%d failed", failed)
	return h.StopGateway(syscall.SIGTERM)
}

// compareAsk asks for a while and holds the times against LTE alone.
func (h *hostileRun) compareAsk(ctx context.Context, what string) error {
	median, failed, err := h.ask(ctx, what)
	if err != nil {
		return err
	}
	h.figure(what+": first byte, median more than over LTE alone", median-h.median, "ms", atMost(hostileLateMs))
	h.check(what+": every request is answered", failed == 0, "%d failed", failed)
	return nil
}

// ask makes requests for a while and returns the median time to the first byte in ms.
func (h *hostileRun) ask(ctx context.Context, what string) (median float64, failed int, err error) {
	var times []float64
	began := time.Now()
	for at := time.Duration(0); at < hostileFor; at += hostileEach {
		if err := sleep(ctx, time.Until(began.Add(at))); err != nil {
			return 0, 0, err
		}
		took, err := h.first(ctx)
		if err != nil {
			failed++
			continue
		}
		times = append(times, ms(took))
	}
	median, most := middle(times)
	h.figure(what+": first byte, median", median, "ms", nil)
	h.figure(what+": first byte, max", most, "ms", nil)
	return median, failed, nil
}

// many asks for more at once than connections wait, and returns the median.
func (h *hostileRun) many(ctx context.Context, what string) (float64, error) {
	if err := h.Warm(ctx); err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var times []float64
	failed := 0
	var all sync.WaitGroup
	for range hostileBurst {
		all.Go(func() {
			took, err := h.first(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				return
			}
			times = append(times, ms(took))
		})
	}
	all.Wait()
	median, most := middle(times)
	h.figure(what+": a burst, first byte, median", median, "ms", nil)
	h.figure(what+": a burst, first byte, max", most, "ms", nil)
	h.check(what+": a burst, every request is answered", failed == 0, "%d failed", failed)
	return median, ctx.Err()
}

func (h *hostileRun) first(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, racedLimit)
	defer cancel()
	return firstByteOf(ctx, (&racedRun{trial: h.trial}).through)
}

func middle(times []float64) (median, most float64) {
	if len(times) == 0 {
		return 0, 0
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)-1]
}

// wordOf returns what status says of MPTCP on a link.
func wordOf(st Status, link string) string {
	for _, l := range st.Links {
		if l.Name == link {
			return l.MPTCP
		}
	}
	return ""
}
