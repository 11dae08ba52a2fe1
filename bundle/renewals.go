package bundle

import (
	"maps"
	"slices"
	"time"
)

// Chosen by us.
const (
	renewCalm = 4 * time.Second // for how long no link may have been silent, or renewed, so that the others bear it
	renewRest = time.Minute     // between two renewals of a link, twice as long each time,
	renewMost = time.Hour       // but no more
)

// A Lack is how many connections do without a link, for long, and how many cannot do
// without it: they have no other one, or none that they could join it from again.
type Lack struct{ Without, Alone int }

// Renewals are when a link's connections are to join it anew, because some have lost
// it: a network on the way has forgotten a subflow, say, or a join got lost. The kernel
// does not try a second time while the endpoint stands, and such a connection would die
// with its last link. A renewal costs all others a moment of this link, so it is made
// seldom, of one link at a time, and only where each of them has another one. The zero
// Renewals has none behind it.
type Renewals struct {
	calm time.Time // since when no link was silent, or renewed
	past map[string]renewal
}

// A renewal is the last one of a link, and for how long there is no other.
type renewal struct {
	at   time.Time
	rest time.Duration
}

// Pick takes how connections do without these links, as of a look, and whether no link is
// silent now. It returns which of them is to be renewed, and counts it as renewed; or "".
func (r *Renewals) Pick(lacks map[string]Lack, calm bool, look, now time.Time) string {
	if r.calm.IsZero() || !calm {
		r.calm = now
	}
	if look.Sub(r.calm) < renewCalm {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(lacks)) {
		was := r.past[name]
		quiet := now.Sub(was.at)
		if l := lacks[name]; l.Without == 0 || l.Alone > 0 || quiet < was.rest {
			continue
		}
		rest := min(2*was.rest, renewMost)
		if was.at.IsZero() || quiet >= 2*was.rest+renewRest {
			rest = renewRest
		}
		if r.past == nil {
			r.past = make(map[string]renewal)
		}
		r.past[name] = renewal{now, rest}
		r.calm = now
		return name
	}
	return ""
}
