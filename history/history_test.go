package history

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func health(after time.Duration, link, from, to string) Decision {
	return Decision{At: noon.Add(after), By: "health", Link: link, From: from, To: to, Minor: from == "doubtful" || to == "doubtful"}
}

// told writes decisions as link, state, count, and the first and last time.
func told(h *History) string {
	var b strings.Builder
	for _, d := range h.Last() {
		fmt.Fprintf(&b, "%s %s %d %v-%v\n", d.Link, d.To, d.Count, d.First.Sub(noon), d.At.Sub(noon))
	}
	return b.String()
}

// A link that flaps all night is two lines, and does not push out that the other died.
func TestFlaps(t *testing.T) {
	var h History
	h.Add(health(0, "dsl", "alive", "dead"))
	h.Add(health(time.Second, "dsl", "dead", "alive"))
	for i := range 1000 {
		at := time.Minute + time.Duration(i)*20*time.Second
		h.Add(health(at, "lte", "alive", "doubtful"))
		h.Add(health(at+time.Second, "lte", "doubtful", "alive"))
	}
	const want = "dsl dead 1 0s-0s\ndsl alive 1 1s-1s\nlte doubtful 1000 1m0s-5h34m0s\nlte alive 1000 1m1s-5h34m1s\n"
	if got := told(&h); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What happens again much later, or is something else, is another decision.
func TestOthers(t *testing.T) {
	var h History
	h.Add(health(0, "dsl", "alive", "dead"))
	h.Add(health(soon-1, "dsl", "alive", "dead"))
	h.Add(health(2*soon-1, "dsl", "alive", "dead"))
	h.Add(health(2*soon, "lte", "alive", "dead"))
	d := health(2*soon, "dsl", "alive", "dead")
	for _, change := range []func(*Decision){
		func(d *Decision) { d.By = "bundle" }, func(d *Decision) { d.Port = 443 }, func(d *Decision) { d.From = "doubtful" },
		func(d *Decision) { d.To = "unknown" }, func(d *Decision) { d.Reason = "silent" },
	} {
		d := d
		change(&d)
		h.Add(d)
	}
	var counts []int
	for _, d := range h.Last() {
		counts = append(counts, d.Count)
	}
	if got := fmt.Sprint(counts); got != "[2 1 1 1 1 1 1 1]" {
		t.Errorf("%s\n%s", got, told(&h))
	}
}

// Of too many decisions the oldest doubt goes, and the oldest if there is none.
func TestTooMany(t *testing.T) {
	var h History
	h.Add(health(0, "first", "alive", "dead"))
	for i := range Most - 1 {
		h.Add(health(time.Duration(i), fmt.Sprint("l", i), "alive", "doubtful"))
	}
	h.Add(health(time.Minute, "late", "alive", "dead"))
	all := h.Last()
	if len(all) != Most || all[0].Link != "first" || all[1].Link != "l1" || all[Most-1].Link != "late" {
		t.Errorf("%d decisions\n%s", len(all), told(&h))
	}
	for i := range Most {
		h.Add(health(time.Hour+time.Duration(i), fmt.Sprint("d", i), "alive", "dead"))
	}
	if all = h.Last(); len(all) != Most || all[0].Link != "d0" {
		t.Errorf("%d decisions\n%s", len(all), told(&h))
	}
}
