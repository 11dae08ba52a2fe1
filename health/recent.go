package health

import "time"

const (
	// recentSpan is what counts as just now: some 14 fast probes.
	recentSpan = 700 * time.Millisecond

	// recentLeast is how many answers it takes to call the quickest of them the least.
	recentLeast = 4
)

// A Recent is what probes of the last 0.7 s say: how things are, where the smoothed
// figures say how they were.
type Recent struct {
	// Low is the least round trip of those answered, 0 if they are too few to tell. A
	// queue that even the quickest of them had to wait in is a standing one.
	Low time.Duration
	// Answered and Missed count those whose fate is known.
	Answered, Missed int
}

// recent sums up the probes whose fate was decided just now.
func (r *record) recent(now time.Duration) (n Recent) {
	r.each(func(s *sample) bool {
		switch s.fate {
		case answered, late:
			if at := s.sent + s.rtt; s.rtt > 0 && now-at <= recentSpan {
				n.Answered++
				if n.Low == 0 || s.rtt < n.Low {
					n.Low = s.rtt
				}
			}
		case missed:
			if now-s.limit <= recentSpan {
				n.Missed++
			}
		}
		return now-s.sent <= recentSpan+longest
	})
	if n.Answered < recentLeast {
		n.Low = 0
	}
	return n
}
