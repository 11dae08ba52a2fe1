package health

import "time"

// What a record remembers and how it counts. Chosen by us.
const (
	// ringSize is how many probes are remembered: 6.4 s of fast ones, so that an
	// answer through a full queue still finds its probe.
	ringSize = 128

	// lossSpan is over how many probes, and lossTime over how long, loss is counted.
	lossSpan = 100
	lossTime = time.Minute

	// least is what an answer may be late at least: the hosts at both ends have
	// other things to do, and radio links send in frames of some 10 ms.
	least = 40 * time.Millisecond

	// quiet is after how long without a sign a link may have to be woken, and wake
	// what that may take: a mobile network gives a modem at rest a channel in 0.1 to
	// 1 s.
	quiet = 5 * time.Second
	wake  = time.Second

	// around is how long before and after a probe the traffic has to be heard if the
	// link shall have worked when the probe got lost.
	around = 2 * time.Second

	// longest is what an answer may take, whatever was seen before.
	longest = 3 * time.Second

	// minSpan is for how long the least round trip is remembered, and half of it at
	// least: lines change.
	minSpan = 10 * time.Minute
)

// The fate of a probe.
type fate uint8

const (
	waiting  fate = iota // may still be answered in time
	answered             // in time
	late                 // when it had been given up
	missed               // was not, yet
	void                 // says nothing: this host slept, or did not send it
)

// A sample is a probe that was sent. All times in this package are on the monotonic
// clock, from the start of the monitor: a clock that is set changes nothing.
type sample struct {
	sequence uint32
	fate     fate
	asleep   bool          // the link may have had to be woken
	before   bool          // the traffic was heard shortly before it was sent
	around   bool          // and shortly after its answer was due
	sent     time.Duration // when
	limit    time.Duration // when it counts as missed
	rtt      time.Duration // of answered and late ones
}

// A record is what was seen of one link: its last probes and what was made of
// them. It knows no clock and no socket.
type record struct {
	ring  [ringSize]sample
	count uint32 // probes ever; the last one has sequence base + count - 1
	base  uint32

	rtt, jitter    time.Duration // smoothed as in RFC 6298 section 2; 0 until the first answer
	minNow, minOld time.Duration
	minSince       time.Duration

	answer  time.Duration // when the last one came, 0 is never
	heard   time.Duration // when the last byte of the traffic came, 0 is never
	refused time.Duration // when the relay's host last said that nobody answers there
	alive   time.Duration // the last moment at which the relay is known to have sent something this way
}

// send notes a probe that leaves now and returns its sequence.
func (r *record) send(now time.Duration) uint32 {
	asleep := now-max(r.answer, r.heard) > quiet || r.rtt == 0
	s := sample{
		sequence: r.base + r.count, sent: now, limit: now + r.patience(asleep),
		asleep: asleep, before: r.heard > 0 && now-r.heard < around,
	}
	r.ring[r.count%ringSize] = s
	r.count++
	return s.sequence
}

// patience is how long an answer may take.
func (r *record) patience(asleep bool) time.Duration {
	p := r.rtt + max(4*r.jitter, least)
	if asleep {
		p = max(p, wake)
	}
	return min(p, longest)
}

// unsent says that the last probe did not get out: it is missed already, or says
// nothing if it is this host that was busy.
func (r *record) unsent(busy bool) {
	s := &r.ring[(r.count-1)%ringSize]
	s.fate = missed
	if busy {
		s.fate = void
	}
}

// echo notes an answer, and reports whether it is one: to a probe that is
// remembered, with its time, for the first time.
func (r *record) echo(sequence uint32, sent, now time.Duration) bool {
	n := sequence - r.base
	if n >= r.count || r.count-n > ringSize {
		return false
	}
	s := &r.ring[n%ringSize]
	if s.sent != sent || s.fate == answered || s.fate == late || now < sent {
		return false
	}
	s.rtt = now - sent
	r.answer = max(r.answer, now)
	r.alive = max(r.alive, sent+s.rtt/2)
	if s.fate == void { // its time is that of this host
		s.fate, s.rtt = late, 0
		return true
	}
	s.fate = answered
	if now > s.limit {
		s.fate = late
	}
	r.measure(s, now)
	return true
}

// measure takes a round trip into the estimates. What it takes to wake a link says
// little of how much its round trips differ.
func (r *record) measure(s *sample, now time.Duration) {
	if r.rtt == 0 {
		r.rtt, r.jitter = s.rtt, s.rtt/8
		r.minNow, r.minOld, r.minSince = s.rtt, s.rtt, now
		return
	}
	if !s.asleep {
		r.jitter += ((s.rtt - r.rtt).Abs() - r.jitter) / 4
	}
	r.rtt += (s.rtt - r.rtt) / 8
	if now-r.minSince >= minSpan/2 {
		r.minOld, r.minNow, r.minSince = r.minNow, s.rtt, now
	}
	r.minNow = min(r.minNow, s.rtt)
}

func (r *record) min() time.Duration { return min(r.minNow, r.minOld) }

// hear notes that bytes of the traffic came over the link.
func (r *record) hear(at time.Duration) {
	if at <= r.heard {
		return
	}
	r.heard = at
	r.alive = max(r.alive, at-r.rtt/2)
	r.each(func(s *sample) bool {
		due := s.sent + r.rtt
		s.around = s.around || s.before && due <= at && at-due < around
		return at-s.sent < longest
	})
}

// refuse notes that the relay's host has no such port. So the link leads there, and
// nothing else can be learnt from probes.
func (r *record) refuse(now time.Duration) {
	r.void()
	r.refused = now
	r.hear(now)
}

// expire gives up what is not answered in time.
func (r *record) expire(now time.Duration) {
	r.each(func(s *sample) bool {
		if s.fate == waiting && now >= s.limit {
			s.fate = missed
		}
		return true
	})
}

// void says that what is on its way says nothing: this host slept meanwhile.
func (r *record) void() {
	r.each(func(s *sample) bool {
		if s.fate == waiting {
			s.fate = void
		}
		return true
	})
}

// nextLimit returns when the next probe is to be given up.
func (r *record) nextLimit() (at time.Duration, ok bool) {
	r.each(func(s *sample) bool {
		if s.fate == waiting && (!ok || s.limit < at) {
			at, ok = s.limit, true
		}
		return true
	})
	return at, ok
}

// each goes through the probes from the last one on, until f says to stop.
func (r *record) each(f func(*sample) bool) {
	for i := uint32(1); i <= min(r.count, ringSize); i++ {
		if !f(&r.ring[(r.count-i)%ringSize]) {
			return
		}
	}
}

// observe sums up. Probes of before amnesty do not speak against the link.
func (r *record) observe(now, amnesty time.Duration) observed {
	o := observed{
		rtt: r.rtt, jitter: r.jitter, min: r.min(),
		answer: r.answer, heard: r.heard, alive: r.alive, refused: r.refused,
	}
	inRun, inRow, unanswered := true, true, true
	r.each(func(s *sample) bool {
		switch s.fate {
		case missed:
			inRow = false
			if unanswered {
				o.unanswered++
				if s.around {
					o.ignored++
				}
			}
			// A byte that came after the answer was due is as good as the answer.
			if inRun = inRun && s.sent+r.rtt > r.heard; inRun {
				o.run++
				if o.runFrom = s.sent; s.sent >= amnesty {
					o.counted, o.countedFrom = o.counted+1, s.sent+r.rtt/2
				}
			}
		case answered, late:
			inRun, unanswered = false, false
			if inRow = inRow && s.fate == answered; inRow {
				o.row, o.rowFrom = o.row+1, s.sent
			}
		}
		if s.fate != waiting && s.fate != void && s.sent >= amnesty && o.decided < lossSpan && now-s.sent <= lossTime {
			o.decided++
			if s.fate == missed {
				o.lost++
			}
		}
		return true
	})
	return o
}
