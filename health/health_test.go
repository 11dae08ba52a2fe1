package health

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// always is a line that stays as it is.
func always(rtt, spread time.Duration, loss float64) []span {
	return []span{{rtt: rtt, spread: spread, loss: loss}}
}

func busy(from, to time.Duration) [][2]time.Duration { return [][2]time.Duration{{from, to}} }

var forever = busy(0, 1000*time.Hour)

func dsl(spans ...span) *line {
	if len(spans) == 0 || spans[0].from > 0 {
		spans = append(always(40*ms, 5*ms, 0), spans...)
	}
	return &line{name: "dsl", spans: spans, busy: forever}
}

func lte(spans ...span) *line {
	if len(spans) == 0 || spans[0].from > 0 {
		spans = append(always(60*ms, 8*ms, 0), spans...)
	}
	return &line{name: "lte", spans: spans, busy: forever}
}

func TestSteady(t *testing.T) {
	history(t, &world{lines: []*line{dsl(), lte()}}, func(w *world) {
		w.until(2 * time.Minute)
		for _, name := range []string{"dsl", "lte"} {
			w.is(name, Alive, Answers)
			w.one(name, Alive, 0, 0, 100*ms)
			w.never(name, Doubtful)
		}
		s := w.Status()[0]
		if s.RTT < 40*ms || s.RTT > 45*ms || s.MinRTT < 40*ms || s.MinRTT > 41*ms || s.Loss != 0 || s.Jitter > 3*ms {
			t.Errorf("%+v", s)
		}
		if w.Instance() != 7 {
			t.Error("the relay's instance is not known")
		}
	})
}

// A link that falls silent under traffic is dead within 200 ms, whenever that is,
// and back soon after it is.
func TestSilentDeath(t *testing.T) {
	for _, tt := range []struct {
		line *line
		most time.Duration
	}{
		{dsl(), 200 * ms}, {lte(), 200 * ms},
		{&line{name: "sat", spans: always(300*ms, 10*ms, 0), busy: forever}, 230 * ms},
		{&line{name: "geo", spans: always(600*ms, 20*ms, 0), busy: forever}, 400 * ms},
	} {
		t.Run(tt.line.name, func(t *testing.T) {
			var worst time.Duration
			for i := range 7 {
				l, gone := *tt.line, 5*sec+time.Duration(i)*9*ms
				back := gone + 3*sec
				first := l.spans[0]
				l.spans = []span{first, {from: gone, rtt: first.rtt, gone: true}, {from: back, rtt: first.rtt, spread: first.spread}}
				history(t, &world{lines: []*line{&l, {name: "other", spans: always(50*ms, 5*ms, 0), busy: forever}}}, func(w *world) {
					w.until(back + 3*sec)
					w.one(l.name, Dead, gone, 100*ms, tt.most)
					w.one(l.name, Alive, back, 0, 550*ms+2*first.rtt)
					w.never("other", Dead)
					for _, at := range w.became(l.name, Dead, gone) {
						worst = max(worst, at)
					}
				})
			}
			t.Logf("dead within %v", worst)
		})
	}
}

// A link at rest is found dead when it is probed next, or needed.
func TestSilentDeathAtRest(t *testing.T) {
	l := dsl(span{from: 100 * sec, gone: true})
	l.busy = nil
	other := lte()
	other.busy, other.metered = nil, true
	history(t, &world{lines: []*line{l, other}}, func(w *world) {
		w.until(130 * sec)
		w.one("dsl", Dead, 100*sec, 0, restPace+wake+200*ms)
		w.never("lte", Dead)
		w.is("lte", Alive, Answers)
	})
	history(t, &world{lines: []*line{l, other}}, func(w *world) {
		w.until(101 * sec)
		w.Suspect("dsl")
		w.until(103 * sec)
		w.one("dsl", Dead, 101*sec, 0, wake+200*ms)
	})
}

// The other link is at rest, too, and has to say that the relay is there.
func TestDeathWithOthersAtRest(t *testing.T) {
	other := lte()
	other.busy, other.metered = nil, true
	history(t, &world{lines: []*line{dsl(span{from: 100*sec + 13*ms, gone: true}), other}}, func(w *world) {
		w.until(103 * sec)
		w.one("dsl", Dead, 100*sec+13*ms, 100*ms, 250*ms)
		w.never("lte", Doubtful)
	})
}

// Loss that grows makes a link doubtful long before it is dead.
func TestSlowDeath(t *testing.T) {
	l := dsl()
	for i := range 20 {
		l.spans = append(l.spans, span{from: 10*sec + time.Duration(i)*sec, rtt: 40 * ms, loss: float64(i) * 0.01})
	}
	l.spans = append(l.spans, span{from: 30 * sec, gone: true})
	history(t, &world{lines: []*line{l, lte()}}, func(w *world) {
		w.until(27 * sec)
		if len(w.became("dsl", Doubtful, 10*sec)) == 0 || len(w.became("dsl", Dead, 0)) > 0 {
			t.Error("it was not doubtful, or dead")
		}
		w.until(40 * sec)
		w.one("dsl", Dead, 30*sec, 0, 250*ms)
	})
}

// A link that is lost again and again stays away for longer each time; when it was
// steady that is forgotten.
func TestFlapping(t *testing.T) {
	l := dsl()
	at := 10 * sec
	for range 12 {
		l.spans = append(l.spans, span{from: at, gone: true}, span{from: at + 1500*ms, rtt: 40 * ms})
		at += 5 * sec
	}
	calmFrom := at
	again := at + 8*time.Minute
	l.spans = append(l.spans, span{from: again, gone: true}, span{from: again + 2*sec, rtt: 40 * ms})
	history(t, &world{lines: []*line{l, lte()}}, func(w *world) {
		w.until(calmFrom)
		deaths := len(w.became("dsl", Dead, 0))
		if deaths < 3 || deaths > 6 {
			t.Errorf("dead %d times in 12 losses", deaths)
		}
		w.is("dsl", Dead, HeldDown)
		hold := w.Status()[0].Hold
		if hold < 8*sec || hold > longestHold {
			t.Errorf("held for %v after %d deaths", hold, deaths)
		}
		w.until(calmFrom + longestHold)
		w.is("dsl", Alive, Answers)
		w.until(again + 10*sec)
		w.one("dsl", Dead, again, 0, 200*ms)
		w.one("dsl", Alive, again, 2*sec, 3*sec)
		w.never("lte", Dead)
	})
}

// With a full queue, probes come late or not at all, and so does the traffic; but
// it does. The link is doubtful and not dead.
func TestBufferbloat(t *testing.T) {
	l := lte()
	for i := range 40 {
		l.spans = append(l.spans, span{from: 10*sec + time.Duration(i)*50*ms, rtt: 60*ms + time.Duration(i)*49*ms, spread: 20 * ms, loss: 0.02})
	}
	l.spans = append(l.spans, span{from: 20 * sec, rtt: 60 * ms, spread: 8 * ms})
	history(t, &world{lines: []*line{dsl(), l}}, func(w *world) {
		w.until(13 * sec)
		w.one("lte", Doubtful, 10*sec, 0, 1500*ms)
		w.until(19 * sec)
		w.is("lte", Doubtful, Slow)
		w.until(30 * sec)
		w.never("lte", Dead)
		w.is("lte", Alive, Answers)
	})
}

// A mobile network is slower in the evening, by steps that are no fault.
func TestDiurnalLTE(t *testing.T) {
	l := lte()
	l.spans = nil
	for hour := range 24 {
		rtt := 45 * ms
		if hour >= 17 && hour < 23 {
			rtt = 110 * ms
		}
		l.spans = append(l.spans, span{from: time.Duration(hour) * time.Hour, rtt: rtt, spread: rtt / 2, loss: 0.002})
	}
	l.busy = nil
	for hour := range 24 { // 8 s of each hour
		l.busy = append(l.busy, [2]time.Duration{time.Duration(hour) * time.Hour, time.Duration(hour)*time.Hour + 8*sec})
	}
	d := dsl()
	d.busy = l.busy
	history(t, &world{lines: []*line{d, l}}, func(w *world) {
		w.until(24 * time.Hour)
		w.never("lte", Dead)
		w.never("dsl", Dead)
		w.is("lte", Alive, Answers)
	})
}

// Nobody hears the relay: then nobody is dead, and all are used again at once.
func TestRelayAway(t *testing.T) {
	for _, away := range []time.Duration{300 * ms, sec, 30 * sec, 20 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			for i := range 3 {
				if i > 0 && away > silentFor {
					break // it takes long
				}
				from := 20*sec + time.Duration(i)*11*ms
				back := from + away
				history(t, &world{lines: []*line{dsl(), lte(), {name: "sat", spans: always(300*ms, 10*ms, 0), busy: forever}}, relayOut: [][2]time.Duration{{from, back}}}, func(w *world) {
					w.until(back - 20*ms)
					if away >= sec {
						w.is("dsl", Doubtful, RelaySilent)
						w.is("lte", Doubtful, RelaySilent)
					}
					most := 600 * ms
					if away > silentFor {
						most = 1500 * ms
					}
					if away > longSilentFor {
						most = givenUpPace + 500*ms
					}
					w.change(func() { w.instance = 8 })
					w.until(back + most + 2*calm)
					for _, name := range []string{"dsl", "lte", "sat"} {
						w.never(name, Dead)
						w.is(name, Alive, Answers)
					}
					if w.Instance() != 8 {
						t.Error("the new instance is not known")
					}
				})
			}
		})
	}
}

// All links are out for 30 s, which looks no different, and come back one by one.
func TestAllLinksOut(t *testing.T) {
	back := 50 * sec
	history(t, &world{lines: []*line{
		dsl(span{from: 20 * sec, gone: true}, span{from: back, rtt: 40 * ms}),
		lte(span{from: 20*sec + 20*ms, gone: true}, span{from: back + 300*ms, rtt: 60 * ms}),
	}}, func(w *world) {
		w.until(40 * sec)
		w.is("dsl", Doubtful, RelaySilent)
		w.is("lte", Doubtful, RelaySilent)
		w.until(back + sec)
		w.never("dsl", Dead)
		w.is("dsl", Alive, Answers)
		w.until(back + 4*sec)
		w.is("lte", Alive, Answers)
	})
	// One comes back, the other does not.
	history(t, &world{lines: []*line{
		dsl(span{from: 20 * sec, gone: true}, span{from: back, rtt: 40 * ms}),
		lte(span{from: 20 * sec, gone: true}),
	}}, func(w *world) {
		w.until(back + 3*sec)
		w.never("dsl", Dead)
		w.is("dsl", Alive, Answers)
		w.is("lte", Dead, Silent)
	})
	// The last one alive is not called dead when it falls silent too, and the dead
	// one is not held down when it is the only one to answer.
	history(t, &world{lines: []*line{
		dsl(span{from: 20 * sec, gone: true}),
		lte(span{from: 10 * sec, gone: true}, span{from: 20100 * ms, rtt: 60 * ms}),
	}}, func(w *world) {
		w.until(20 * sec)
		w.is("lte", Dead, Silent)
		w.until(22 * sec)
		w.is("lte", Alive, Answers)
		w.is("dsl", Dead, Silent)
	})
}

// There is nobody to vouch for the relay.
func TestOnlyLink(t *testing.T) {
	history(t, &world{lines: []*line{dsl(span{from: 20 * sec, gone: true}, span{from: 40 * sec, rtt: 40 * ms})}}, func(w *world) {
		w.until(39 * sec)
		w.is("dsl", Doubtful, RelaySilent)
		w.until(41 * sec)
		w.is("dsl", Alive, Answers)
		w.never("dsl", Dead)
	})
}

// A network that lets no UDP pass: probes say nothing.
func TestNoProbesPass(t *testing.T) {
	for name, s := range map[string]span{"dropped": {rtt: 40 * ms, deaf: true}, "refused": {rtt: 40 * ms, refused: true}} {
		t.Run(name, func(t *testing.T) {
			quiet := dsl(s)
			quiet.busy = nil
			history(t, &world{lines: []*line{quiet, lte()}}, func(w *world) {
				w.until(2 * time.Minute)
				w.is("dsl", Unknown, NoAnswers)
				w.never("dsl", Dead)
			})
			// It begins while traffic flows, and ends.
			s.from = 20 * sec
			history(t, &world{lines: []*line{dsl(s, span{from: 100 * sec, rtt: 40 * ms}), lte()}}, func(w *world) {
				w.until(99 * sec)
				w.is("dsl", Unknown, NoAnswers)
				w.never("dsl", Dead)
				// The next probe may be 15 s away, and then the losses have to be forgotten.
				w.until(130 * sec)
				w.is("dsl", Alive, Answers)
			})
		})
	}
}

// A socket that cannot send is as good as a silent link, sooner.
func TestCannotSend(t *testing.T) {
	history(t, &world{lines: []*line{dsl(span{from: 20 * sec, down: true}, span{from: 30 * sec, rtt: 40 * ms}), lte()}}, func(w *world) {
		w.until(40 * sec)
		w.one("dsl", Dead, 20*sec, 0, 200*ms)
		w.one("dsl", Alive, 30*sec, 0, 600*ms)
	})
}

// What arrives while this host does not run, or sleeps, says nothing of the links.
func TestSuspended(t *testing.T) {
	history(t, &world{lines: []*line{dsl(), lte()}}, func(w *world) {
		w.until(20 * sec)
		w.change(func() { w.stall = 3 * sec }) // in Run's way
		w.until(30 * sec)
		w.never("dsl", Dead)
		w.never("lte", Dead)
		w.never("dsl", Doubtful)
		if s := w.Status()[0]; s.RTT > 45*ms || s.Loss > 0 {
			t.Errorf("%+v", s)
		}
	})
	// The monotonic clock stands still while a host sleeps; the links do not.
	history(t, &world{lines: []*line{dsl(span{from: 20 * sec, gone: true}, span{from: 20*sec + 120*ms, rtt: 40 * ms}), lte(span{from: 20 * sec, gone: true}, span{from: 20*sec + 10*ms, rtt: 60 * ms})}}, func(w *world) {
		w.until(20*sec + 60*ms)
		w.mu.Lock()
		w.wall = func() time.Time { return time.Now().Round(0).Add(8 * time.Hour) }
		w.mu.Unlock()
		w.until(25 * sec)
		w.never("dsl", Dead)
		w.is("dsl", Alive, Answers)
	})
}

// A wall clock that is set changes nothing but that.
func TestClockJump(t *testing.T) {
	history(t, &world{lines: []*line{dsl(span{from: 60*sec + 5*ms, gone: true}), lte()}}, func(w *world) {
		w.until(20 * sec)
		for i := range 8 {
			by := time.Duration(i-4) * 1000 * time.Hour
			w.mu.Lock()
			w.wall = func() time.Time { return time.Now().Round(0).Add(by) }
			w.mu.Unlock()
			w.until(20*sec + time.Duration(i)*sec)
		}
		w.never("dsl", Doubtful)
		w.until(65 * sec)
		w.one("dsl", Dead, 60*sec+5*ms, 0, 200*ms)
	})
}

// A day on a metered link costs at most 3 MB. The first hours are the dearest.
func TestMeteredDay(t *testing.T) {
	for name, l := range map[string]*line{
		"at rest":    {spans: always(60*ms, 8*ms, 0)},
		"trickle":    {spans: always(60*ms, 8*ms, 0), busy: forever, rate: 100},
		"lossy":      {spans: always(60*ms, 8*ms, 0.06)},
		"unanswered": {spans: []span{{rtt: 60 * ms, deaf: true}}},
		"dead":       {spans: append(always(60*ms, 8*ms, 0), span{from: time.Minute, gone: true})},
	} {
		t.Run(name, func(t *testing.T) {
			l.name, l.metered = "lte", true
			d := dsl()
			d.busy = nil
			history(t, &world{lines: []*line{l, d}}, func(w *world) {
				w.until(3 * time.Hour)
				s := w.Status()
				t.Logf("lte %d bytes, dsl %d bytes, %d and %d probes", s[0].Bytes, s[1].Bytes, w.sent["lte"], w.sent["dsl"])
				if s[0].Bytes > 3_000_000/8 || s[1].Bytes > 3_000_000/8 && l.busy == nil {
					t.Error("more than 3 MB a day")
				}
			})
		})
	}
}

// Links come and go; one that returns with its address is remembered.
func TestLinksComeAndGo(t *testing.T) {
	d, l := dsl(span{from: 20 * sec, gone: true}), lte()
	history(t, &world{lines: []*line{l, d}}, func(w *world) {
		w.until(21 * sec)
		w.is("dsl", Dead, Silent)
		w.change(func() { w.lines = []*line{l} })
		w.Hurry("lte")
		w.until(22 * sec)
		if v := w.Verdict("dsl"); v != (Verdict{}) {
			t.Errorf("a link that is not there is %v", v)
		}
		if n := len(w.Status()); n != 1 {
			t.Errorf("%d links", n)
		}
		w.change(func() { w.lines = []*line{l, d} })
		w.until(24 * sec)
		w.is("dsl", Dead, Silent)
		w.change(func() { w.lines = []*line{d, l} }) // other addresses: it is another network
		w.Hurry("dsl")
		w.until(25 * sec)
		w.is("dsl", Unknown, Unheard)
	})
}

func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for s := range numStates {
		seen[s.String()] = true
	}
	for r := range numReasons {
		seen[r.String()] = true
	}
	if len(seen) != int(numStates)+int(numReasons) || seen[""] || seen["invalid"] {
		t.Errorf("%v", seen)
	}
	if fmt.Sprint(numStates, numReasons) != "invalid invalid" {
		t.Error("there is a word too many")
	}
}

// The relay's first address that a link can reach is probed.
func TestPair(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	relay4, relay6 := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[2001:db8:1::1]:1")
	for _, tt := range []struct {
		addrs  []netip.Addr
		relays []netip.AddrPort
		local  netip.Addr
		relay  netip.AddrPort
	}{
		{[]netip.Addr{four, six}, []netip.AddrPort{relay6, relay4}, six, relay6},
		{[]netip.Addr{four}, []netip.AddrPort{relay6, relay4}, four, relay4},
		{[]netip.Addr{six}, []netip.AddrPort{relay4}, netip.Addr{}, netip.AddrPort{}},
		{nil, []netip.AddrPort{relay4}, netip.Addr{}, netip.AddrPort{}},
		{[]netip.Addr{four}, nil, netip.Addr{}, netip.AddrPort{}},
	} {
		local, all := pair(tt.addrs, tt.relays)
		if relay := (&ports{all: all}).first(); local != tt.local || relay != tt.relay {
			t.Errorf("%v and %v: %v to %v", tt.addrs, tt.relays, local, relay)
		}
	}
}

// An echo is believed once, and only if it fits.
func TestEchoOnce(t *testing.T) {
	r := record{base: 1<<32 - 3}
	var last uint32
	for i := range 200 {
		last = r.send(time.Duration(i) * 50 * ms)
	}
	now := 10 * sec
	for name, e := range map[string]struct {
		sequence uint32
		sent     time.Duration
	}{"not sent yet": {last + 1, 10 * sec}, "forgotten": {last - 150, 49 * 50 * ms}, "other time": {last, 0}, "before the first": {r.base - 1, 0}} {
		if r.echo(e.sequence, e.sent, now) {
			t.Errorf("%s: believed", name)
		}
	}
	if !r.echo(last, 199*50*ms, now) || r.echo(last, 199*50*ms, now) {
		t.Error("an echo is not believed once")
	}
}
