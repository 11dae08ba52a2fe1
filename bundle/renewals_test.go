package bundle

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// Links that connections lack are renewed, one at a time, once none has been silent for a
// while and nobody has one alone, and not again soon.
func TestRenewals(t *testing.T) {
	minutes := func(n int) int { return n * 60 }
	lte := func(l Lack) map[string]Lack { return map[string]Lack{"dsl": {}, "lte": l} }
	when := func(is bool, l Lack) map[string]Lack {
		if !is {
			l = Lack{}
		}
		return lte(l)
	}
	for name, c := range map[string]struct {
		lacks func(at int) map[string]Lack // by the second
		calm  func(at int) bool
		looks int // seconds between two, 1 if 0
		until int
		want  []string
	}{
		"none lacks it": {
			lacks: func(int) map[string]Lack { return lte(Lack{0, 3}) }, until: minutes(10),
		},
		"one lacks it, until it is renewed": {
			lacks: func(at int) map[string]Lack { return when(at == 100, Lack{1, 0}) }, until: minutes(10), want: []string{"lte 100"},
		},
		"a link is silent for a while": {
			lacks: func(int) map[string]Lack { return lte(Lack{1, 0}) }, calm: func(at int) bool { return at > 50 }, until: minutes(1), want: []string{"lte 54"},
		},
		"links are silent in turn": {
			lacks: func(int) map[string]Lack { return lte(Lack{1, 0}) }, calm: func(at int) bool { return at%4 != 0 }, until: minutes(3),
		},
		"looks are rare": {
			lacks: func(int) map[string]Lack { return lte(Lack{1, 0}) }, calm: func(at int) bool { return at > 50 }, looks: 40, until: minutes(2), want: []string{"lte 80"},
		},
		"others have it alone for a while": {
			lacks: func(at int) map[string]Lack {
				if at < 62 {
					return lte(Lack{1, 1})
				}
				return lte(Lack{1, 0})
			}, until: minutes(2), want: []string{"lte 62"},
		},
		"one after the other lacks it": {
			lacks: func(int) map[string]Lack { return lte(Lack{1, 0}) }, until: minutes(16), want: []string{"lte 4", "lte 64", "lte 184", "lte 424", "lte 904"},
		},
		"one lacks it every five minutes": {
			lacks: func(at int) map[string]Lack { return when(at%minutes(5) == 15, Lack{1, 0}) }, until: minutes(16),
			want: []string{"lte 15", "lte 315", "lte 615", "lte 915"},
		},
		"all links are lacked": {
			lacks: func(int) map[string]Lack { return map[string]Lack{"dsl": {2, 0}, "lte": {1, 0}, "sat": {1, 0}} }, until: minutes(1),
			want: []string{"dsl 4", "lte 8", "sat 12"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Unix(1000, 0)
			var r Renewals
			var got []string
			var look time.Time
			for at := 0; at <= c.until; at++ {
				now := began.Add(time.Duration(at) * time.Second)
				if at%max(1, c.looks) == 0 {
					look = now
				}
				if name := r.Pick(c.lacks(at), c.calm == nil || c.calm(at), look, now); name != "" {
					got = append(got, name+" "+strconv.Itoa(at))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("renewed %q, want %q", got, c.want)
			}
		})
	}
}
