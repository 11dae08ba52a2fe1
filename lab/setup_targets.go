package lab

// Targets for the reference lab: R = 40 ms on the best link, P = 20 ms.
const (
	warmMedianMs  = 84
	warmP95Ms     = 92
	coldMs        = 126
	burstP95Ms    = 92
	burstMaxMs    = 130
	burstLastMs   = 150
	joinedPercent = 95
	overFresh     = 0.8
	overBest      = 1.0
	notSlower     = 1.2 // a wide bound, for a busy machine
)

// judge enters what the targets are about, and what has to be so whatever the
// machine is busy with.
func (s *SetupTimes) judge(r *Report) {
	ours, theirs := s.failed()
	r.check("every connection works", ours == 0, "%d failed", ours)
	const rMs = 40
	direct, _ := s.curve(WayDirect, rMs)
	warm, _ := s.curve(WayWarm, rMs)
	cold, _ := s.curve(WayCold, rMs)
	r.figure("first byte, direct, median", direct.First.Median, "ms", nil)
	r.figure("first byte, warm, median", warm.First.Median, "ms", atMost(warmMedianMs))
	r.figure("first byte, warm, p95", warm.First.P95, "ms", atMost(warmP95Ms))
	r.figure("first byte, cold, median", cold.First.Median, "ms", atMost(coldMs))
	for _, way := range []string{WayPeer, WayPeerMux} {
		if peer, ok := s.curve(way, rMs); ok {
			r.figure("first byte, "+way+", median", peer.First.Median, "ms", nil)
		}
	}
	if s.Peer != "" {
		r.figure("connections that failed by "+s.Peer, float64(theirs), "", nil)
	}
	// The quickest of each: what a busy machine adds, it adds to single ones.
	r.check("a warm request is not slower than direct", warm.First.Min < notSlower*direct.First.Min, "%.2f of the time", warm.First.Min/direct.First.Min)
	for _, b := range s.Burst {
		target := func(v float64) *Target {
			if b.Way != WayWarm {
				return nil
			}
			return atMost(v)
		}
		r.figure("burst, "+b.Way+": first byte, p95", b.First.P95, "ms", target(burstP95Ms))
		r.figure("burst, "+b.Way+": first byte, max", b.First.Max, "ms", target(burstMaxMs))
		r.figure("burst, "+b.Way+": last byte, median", b.Last.Median, "ms", target(burstLastMs))
		if b.Way == WayDirect || b.Way == WayPeerMux {
			continue
		}
		var share *Target
		if b.Way == WayWarm {
			share = atLeast(joinedPercent)
		}
		r.figure("burst, "+b.Way+": began with every link joined", 100*float64(b.Joined)/float64(max(b.Sessions, 1)), "%", share)
		r.check("burst, "+b.Way+": the packets show every session", b.Sessions == b.Opens, "%d of %d", b.Sessions, b.Opens)
	}
	s.judgeSizes(r)
}

// failed counts connections, the peer's for themselves.
func (s *SetupTimes) failed() (ours, theirs int) {
	add := func(way string, n int) {
		if way == WayPeer || way == WayPeerMux {
			theirs += n
		} else {
			ours += n
		}
	}
	for _, p := range s.Curve {
		add(p.Way, p.Failed)
	}
	for _, p := range s.Sizes {
		add(p.Way, p.Failed)
	}
	for _, p := range s.Burst {
		add(p.Way, p.Failed)
	}
	return ours, theirs
}

func (s *SetupTimes) judgeSizes(r *Report) {
	sizes, _ := s.sizes()
	worstFresh, worstBest := 0.0, 0.0
	for _, n := range sizes {
		warm, _ := s.size(WayWarm, n)
		fresh, okFresh := s.size(WayPassword, n)
		best, okBest := s.size(WayDirect, n)
		if okFresh && n >= 50e3 && n <= 200e3 {
			worstFresh = max(worstFresh, warm.Last.Median/fresh.Last.Median)
		}
		if okBest {
			worstBest = max(worstBest, warm.Last.Median/best.Last.Median)
		}
	}
	r.figure("50 to 200 kB, warm against fresh MPTCP, worst", worstFresh, "", atMost(overFresh))
	r.figure("1 kB to 10 MB, warm against TCP on the best link, worst", worstBest, "", atMost(overBest))
}
