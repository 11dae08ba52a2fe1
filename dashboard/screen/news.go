package screen

import (
	"time"

	"tributary/gateway"
)

const (
	// passing is for how long a doubt about a link may last and be no news.
	passing = 15 * time.Second

	// often is how many times such a doubt has to come for that to be some.
	often = 5
)

// news returns the last decisions that tell a person something, most at most: not the
// doubts that passed or came true, nor that a link plays from the beginning the part it
// was given.
func news(all []gateway.Decision, most int) []gateway.Decision {
	old := make([]bool, len(all))
	for i := range all {
		d := &all[i]
		switch {
		case d.By == "bundle" && d.From == d.To && d.Reason == "wanted":
			old[i] = true
		case d.By == "health" && d.From == "alive" && d.To == "doubtful":
			for _, j := range doubt(all, i) {
				old[j] = j > i || d.Count < often
			}
		}
	}
	var left []gateway.Decision
	for i, d := range all {
		if !old[i] {
			left = append(left, d)
		}
	}
	return left[max(0, len(left)-max(0, most)):]
}

// doubt returns the decisions that make up the doubt which begins at i, if it was
// over soon: that the link is alive again among them, that it is dead not.
func doubt(all []gateway.Decision, i int) (parts []int) {
	for j := i; j < len(all); j++ {
		d := &all[j]
		if d.By != "health" || d.Link != all[i].Link {
			continue
		}
		switch soon := between(all[i].At, d.At) < passing; {
		case d.To == "doubtful": // or has found another reason
			parts = append(parts, j)
		case d.To == "alive" && soon:
			return append(parts, j)
		case d.To == "dead" && soon:
			return parts
		default:
			return nil
		}
	}
	return nil // it lasts
}

// between is how much later b is than a, and very long where that is not told.
func between(a, b string) time.Duration {
	from, err := time.Parse(time.RFC3339Nano, a)
	to, err2 := time.Parse(time.RFC3339Nano, b)
	if err != nil || err2 != nil {
		return 1 << 62
	}
	return to.Sub(from)
}
