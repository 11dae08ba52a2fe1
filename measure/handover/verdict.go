package handover

import "fmt"

// What counts as what, chosen by us.
const (
	// before and after an event a gap may lie that it caused: the gateway notices a
	// silent link when that has been silent for a while.
	gapBefore = 3000.0
	gapAfter  = 5000.0

	// settled is for how long a rate is taken, in ms, and full what of the rate before
	// a loss counts as all of it.
	settled = 3000.0
	full    = 0.9
)

// A Loss is one time that a link was gone, and what that did.
type Loss struct {
	Link   string  `json:"link"`
	How    string  `json:"how"` // what it became, in the gateway's word, or cut
	AtMs   float64 `json:"at_ms"`
	BackMs float64 `json:"back_ms"` // 0: not until the end
	GapMs  float64 `json:"gap_ms"`  // the longest gap around it; 0: none of 100 ms
	GapAt  float64 `json:"gap_at_ms"`
	// Rates before, while it was gone, and the time from its return to 90 % of the rate
	// before; -1 is never, 0 not known.
	BeforeMbit float64 `json:"before_mbit"`
	MeanMbit   float64 `json:"without_mbit"`
	FullMs     float64 `json:"full_ms"`
}

// judge finds the losses and writes the verdict: a function of the events, gaps and
// rates alone.
func (r *Report) judge() {
	r.Verdict = []string{}
	r.Losses = r.losses()
	for i := range r.Losses {
		r.effect(&r.Losses[i])
	}
	for _, l := range r.Losses {
		r.Verdict = append(r.Verdict, r.words(l))
	}
	if longest, ok := r.longest(0, 1e12); ok {
		inLoss := false
		for _, l := range r.Losses {
			inLoss = inLoss || l.GapAt == longest.AtMs
		}
		if !inLoss {
			r.Verdict = append(r.Verdict, fmt.Sprintf("The longest gap in delivery, %.0f ms at %.1f s, belongs to no loss of a link that the gateway knows of.", longest.Ms, longest.AtMs/1000))
		}
	}
	switch {
	case r.Error != "":
		r.Verdict = append(r.Verdict, fmt.Sprintf("The transfer broke at %.1f s: %s.", r.Seconds, r.Error))
	case len(r.Losses) == 0 && len(r.Verdict) == 0:
		r.Verdict = append(r.Verdict, fmt.Sprintf("No link was lost in %.0f s, and there was no gap of 100 ms.", r.Seconds))
	case len(r.Losses) == 0:
		r.Verdict = append(r.Verdict, fmt.Sprintf("No link was lost in %.0f s.", r.Seconds))
	default:
		r.Verdict = append(r.Verdict, "The transfer lasted to its end.")
	}
}

// losses finds when links were gone: from the first word that says so to the last
// that says the contrary.
func (r *Report) losses() (all []Loss) {
	gone := map[string]int{}
	for _, e := range r.Events {
		i, lost := gone[e.Link]
		switch {
		case isLoss(e) && !lost:
			gone[e.Link] = len(all)
			all = append(all, Loss{Link: e.Link, How: e.To, AtMs: e.AtMs})
		case isLoss(e) && all[i].How == "cut": // our own; the gateway notices
		case isLoss(e) && e.By == "link":
			all[i].How = e.To // tells more than "dead"
		case lost && isReturn(e, all[i]):
			all[i].BackMs = e.AtMs
			delete(gone, e.Link)
		}
	}
	return all
}

func isLoss(e Event) bool {
	switch e.By {
	case byCut:
		return e.To == "cut"
	case "link":
		return e.From == "up"
	case "health":
		return e.To == "dead"
	case "bundle":
		return e.To == "out" || e.To == "backup" && e.From == "full"
	}
	return false
}

// isReturn reports whether an event ends a loss: in the same terms in which it
// began, save that the link's own state has the last word.
func isReturn(e Event, l Loss) bool {
	switch l.How {
	case "cut":
		return e.By == "cut" && e.To == "up"
	case "out", "backup":
		return e.By == "bundle" && e.To == "full"
	case "dead":
		return e.By == "link" && e.To == "up" || e.By == "health" && (e.To == "alive" || e.To == "doubtful")
	}
	return e.By == "link" && e.To == "up"
}

// longest returns the longest gap that begins in a time.
func (r *Report) longest(from, to float64) (longest Gap, ok bool) {
	for _, g := range r.Gaps {
		if g.AtMs >= from && g.AtMs <= to && g.Ms > longest.Ms {
			longest, ok = g, true
		}
	}
	return longest, ok
}

// mean returns the rate over a time.
func (r *Report) mean(from, to float64) (mbit float64) {
	n := 0
	for _, p := range r.Total {
		if p.AtMs > from && p.AtMs <= to {
			mbit += p.Mbit
			n++
		}
	}
	return mbit / float64(max(n, 1))
}

// effect measures what a loss did.
func (r *Report) effect(l *Loss) {
	from := l.AtMs - gapBefore
	if l.How == "cut" {
		from = l.AtMs - 100
	}
	if g, ok := r.longest(from, l.AtMs+gapAfter); ok {
		l.GapMs, l.GapAt = g.Ms, g.AtMs
		from = min(l.AtMs, g.AtMs)
	} else {
		from = l.AtMs
	}
	l.BeforeMbit = r.mean(from-settled, from-200)
	end := r.Seconds * 1000
	if l.BackMs > 0 {
		end = l.BackMs
	}
	l.MeanMbit = r.mean(l.AtMs, end)
	if l.BackMs == 0 || r.RateMbit > 0 {
		return
	}
	l.FullMs = -1
	for i, p := range r.Total {
		// Two in a row, for one may be what had been waiting.
		if p.AtMs >= l.BackMs && p.Mbit >= full*l.BeforeMbit && i+1 < len(r.Total) && r.Total[i+1].Mbit >= full*l.BeforeMbit {
			l.FullMs = max(0, p.AtMs-l.BackMs)
			break
		}
	}
}

// words says what a loss did.
func (r *Report) words(l Loss) string {
	s := fmt.Sprintf("%s %s at %.1f s: ", l.Link, how(l.How), l.AtMs/1000)
	if l.GapMs == 0 {
		s += "nothing was felt of it, there was no gap of 100 ms."
	} else {
		s += fmt.Sprintf("the longest gap in delivery was %.0f ms.", l.GapMs)
	}
	if r.RateMbit == 0 {
		s += fmt.Sprintf(" Before, %.1f Mbit/s arrived, and %.1f without it.", l.BeforeMbit, l.MeanMbit)
	}
	switch {
	case l.BackMs == 0:
		s += " It was not back until the end."
	case r.RateMbit > 0:
		s += fmt.Sprintf(" It was back at %.1f s.", l.BackMs/1000)
	case l.FullMs < 0:
		s += fmt.Sprintf(" It was back at %.1f s, but the full rate was not until the end.", l.BackMs/1000)
	default:
		s += fmt.Sprintf(" It was back at %.1f s, and the full rate %.1f s later.", l.BackMs/1000, l.FullMs/1000)
	}
	return s
}

func how(word string) string {
	switch word {
	case "cut":
		return "was cut off by this test"
	case "silent", "dead":
		return "went silent"
	case "down":
		return "went down"
	case "absent":
		return "was taken out"
	case "no-address":
		return "lost its address"
	case "no-route":
		return "lost its route"
	case "off":
		return "was switched off"
	case "out":
		return "was set aside"
	case "backup":
		return "became a backup"
	}
	return "became " + word
}
