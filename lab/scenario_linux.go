package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Scenarios returns all scenarios, in the order in which to run them.
func Scenarios() []Scenario {
	return append([]Scenario{
		{Name: "steady", Takes: 31 * time.Second, length: 8 * time.Second, run: steady,
			About: "a download over each link alone and over the bundle, and the first byte"},
		{Name: "upload", Takes: 28 * time.Second, length: 8 * time.Second, run: upload,
			About: "an upload over each link alone and over the bundle"},
		{Name: "link-down", Takes: 75 * time.Second, times: 5, run: linkDown,
			About: "each link is unplugged during a download at full rate, beside a plain pair"},
		{Name: "silent-loss", Takes: 75 * time.Second, times: 5, run: silentLoss,
			About: "each link loses everything without any event, during a download, beside a plain pair"},
		{Name: "overflow", Takes: 185 * time.Second, run: overflow,
			About: "LTE is used only while DSL is full, both ways, beside a plain pair"},
		{Name: "interactive", Takes: 65 * time.Second, times: 5, run: interactive,
			About: "the link falls silent that carries a flow of 1 Mbit/s, beside a plain pair"},
		{Name: "link-returns", Takes: 80 * time.Second, run: returns,
			About: "each link is away for 5 s, silent and unplugged, during a download, beside a plain pair"},
		{Name: "planned-switch", Takes: 60 * time.Second, times: 3, run: planned,
			About: "links are set to backup, off and on again while a download runs"},
		{Name: "outage", Takes: 85 * time.Second, run: outage,
			About: "all links are away for 30 s, silent and unplugged, beside a plain pair"},
		{Name: "relay-restart", Takes: 16 * time.Second, run: relayRestart,
			About: "the relay is stopped, and killed, under load, and started again"},
		{Name: "no-mptcp", Takes: 8 * time.Second, run: noMPTCP,
			About: "one side's kernel has Multipath TCP switched off"},
		{Name: "stripped-options", Takes: 14 * time.Second, run: strippedOptions,
			About: "a middlebox on one link, then on both, removes the MPTCP options"},
		{Name: "hostile", Takes: 140 * time.Second, run: hostile,
			About: "the best link drops MPTCP SYNs, or removes MPTCP options, and is repaired"},
		{Name: "hostile-pair", Takes: 52 * time.Second, run: hostilePair,
			About: "the best link drops MPTCP SYNs and is repaired: ours beside a plain pair"},
		{Name: "families", Takes: 75 * time.Second, config: familiesConfig(), run: families,
			About: "a DSL line without IPv6 and an LTE line without IPv4 in one connection, and either is lost"},
		{Name: "probes-lost", Takes: 68 * time.Second, run: probesLost,
			About: "networks drop the gateway's probes, with all UDP, while TCP passes"},
		{Name: "forgotten", Takes: 48 * time.Second, run: forgotten,
			About: "a link's network forgets all subflows; later the other link goes silent"},
		{Name: "idle", Takes: 50 * time.Second, length: 45 * time.Second, run: idle,
			About: "nobody asks for 45 s; then one request"},
		{Name: "idle-cost", Takes: 160 * time.Second, run: idleCost,
			About: "what a day without use takes of each link, from two minutes of one; then a burst"},
		{Name: "allowance", Takes: 50 * time.Second, run: allowance,
			About: "a link with a small data plan is used up, through a kill, a restart and the loss of the other link"},
		{Name: "errors", Takes: 33 * time.Second, run: refusals,
			About: "servers that refuse, cannot be reached, do not exist or do not answer"},
		{Name: "gateway-crash", Takes: 7 * time.Second, run: gatewayCrash,
			About: "the gateway is killed and started again, then stopped"},
		{Name: "setup", Takes: 7 * time.Minute, run: setup,
			About: "what opening a connection costs: direct, SOCKS5 step by step, pipelined, through the gateway"},
		{Name: "recycled", Takes: 60 * time.Second, run: recycled,
			About: "answers on connections that have carried sessions before, against fresh ones and warm ones"},
		{Name: "raced", Takes: 45 * time.Second, run: raced,
			About: "requests while the best link loses all packets, or some, and nothing tells of it"},
		{Name: "rate", Takes: 27 * time.Second, length: 500 * time.Millisecond, run: peerRate,
			About: "how many connections a second the relay opens, beside another proxy"},
		{Name: "answers", Takes: 60 * time.Second, run: answers,
			About: "how long a client waits for a refusal, an early answer, and a server that speaks first"},
		{Name: "replay", Takes: 70 * time.Second, run: replay,
			About: "10,000 captured openings are sent to the relay again, also after restarts"},
		{Name: "fast-open", Takes: 4 * time.Second, run: fastOpen,
			About: "TLS sessions with a server that takes data in the SYN, and without that"},
		{Name: "browser", Takes: 6 * time.Minute, config: browserConfig(), run: browse,
			About: "a page of 60 resources over 12 hosts in Chromium: direct, and through the gateway"},
		{Name: "phone-day", Takes: 90 * time.Second, run: phoneDay,
			About: "the connections of a phone's day over the best link alone and through the gateway"},
		{Name: "link-care", Takes: 115 * time.Second, length: 20 * time.Second, config: careConfig(), run: care,
			About: "what link care takes of the gateway's processor, with 4 links and 1,000 sessions"},
		{Name: "many", Takes: 12 * time.Second, run: many,
			About: "5,000 connections at once to a gateway that may open 1,024 files"},
		{Name: "instrument", Takes: 100 * time.Second, run: instrument,
			About: "what users measure their links with, against what those are known to carry"},
		{Name: "soak", Takes: 33 * time.Minute, length: 30 * time.Minute, run: endure,
			About: "200 sessions at a time while links fail at random and the relay is killed: what is lost, and what leaks"},
	}, lineScenarios()...)
}

// ByName returns the scenario of a name.
func ByName(name string) (Scenario, bool) {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return all[i], true
}

// Run runs the scenario in a new network. What went wrong is in the report, be it
// the programs' fault, the lab's or ctx's.
func (s Scenario) Run(ctx context.Context, o Options) *Report {
	began := time.Now()
	if o.Length > 0 && s.length > 0 {
		s.Takes, s.length = s.Takes+o.Length-min(s.length, s.Takes), o.Length
	}
	// Several times what it takes on a quiet machine, so that it ends on any.
	ctx, cancel := context.WithTimeoutCause(ctx, 3*s.Takes+time.Minute, errors.New("the scenario took far too long"))
	defer cancel()
	r := &Report{Scenario: s.Name, About: s.About, Figures: []Figure{}, Checks: []Check{}}
	r.finish(began, s.runIn(ctx, o, r))
	return r
}

func (s Scenario) runIn(ctx context.Context, o Options, r *Report) (err error) {
	t, err := newTrial(ctx, s.config, o)
	if err != nil {
		return err
	}
	t.Report, t.takes, t.length, t.times = r, s.Takes, s.length, s.times
	defer func() { err = errors.Join(err, t.close()) }()
	return s.run(ctx, t)
}

// step tells what is being done now and how long that takes.
func (t *trial) step(takes time.Duration, doing string, args ...any) {
	from := min(1, float64(t.passed)/float64(t.takes))
	t.passed += takes
	to := min(1, float64(t.passed)/float64(t.takes))
	t.options.step(Step{fmt.Sprintf(doing, args...), from, to, takes})
}

// begin starts relay and gateway and waits until they are at rest.
func (t *trial) begin(ctx context.Context) error {
	t.step(time.Second, "start relay and gateway")
	if err := t.Start(ctx); err != nil {
		return err
	}
	return t.Warm(ctx)
}

// fetch downloads n bytes through the gateway and checks their sum.
func (t *trial) fetch(ctx context.Context, what string, n int64) (Result, bool) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := Download(ctx, t.through(bytesURL(n), 0))
	if err != nil {
		return r, t.check(what, false, "%v", err)
	}
	return r, t.check(what, r.SHA256 == Sum(n), "%.1f MB, %.1f Mbit/s", float64(n)/1e6, r.Mbit())
}

func bytesURL(n int64) string { return fmt.Sprintf("http://%s/bytes?n=%d", ServerName, n) }
