package throughput

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// What shares mean, chosen by us. The bundle's and the links' transfers are not of
// the same seconds, so that some percent are chance.
const (
	good     = 0.9  // of the links together: nothing to complain of
	harmed   = 0.97 // of the best link: less is worse than no bundle
	shared   = 0.85 // of the sum of the links alone: less, and they are not independent
	slowed   = 0.8  // of a link alone
	addsNone = 1.05 // times the best link: no more than that is nothing
)

// judge writes the verdict, which is a function of the figures alone.
func (r *Report) judge() {
	r.Verdict = []string{}
	for _, d := range r.Directions {
		word := map[string]string{"down": "Download", "up": "Upload"}[d.Name]
		for _, s := range d.verdict() {
			r.Verdict = append(r.Verdict, word+": "+s)
		}
	}
}

func (d Direction) verdict() (all []string) {
	var measured, parts []LinkRate
	for _, l := range d.Links {
		switch {
		case l.Error != "":
			all = append(all, fmt.Sprintf("nothing to go by on %s: %s.", l.Name, l.Error))
		case l.AloneMbit > 0:
			measured = append(measured, l)
			if takesPart(l.Mode) && !l.setAside() {
				parts = append(parts, l)
			}
		}
	}
	if s := d.sharing(measured); s != "" {
		all = append(all, s)
	}
	if s := d.bundled(parts); s != "" {
		all = append(all, s)
	}
	for _, l := range measured {
		switch {
		case d.BundleMbit == 0:
		case !takesPart(l.Mode):
			all = append(all, fmt.Sprintf("%s is in mode %s and was no part of the bundle.", l.Name, l.Mode))
		case l.setAside():
			all = append(all, fmt.Sprintf("the gateway keeps %s out of the bundle: %s.", l.Name, l.RoleWhy))
		}
	}
	if sum := total(measured, alone); d.OthersMbit > 0.05*sum && d.OthersMbit > 0.5 {
		all = append(all, fmt.Sprintf("others used the links meanwhile, at %s Mbit/s on average: what was measured is too low.", number(d.OthersMbit)))
	}
	return all
}

// setAside reports whether the gateway has taken the link out of the bundle, which it
// does for the sake of the others.
func (l LinkRate) setAside() bool { return l.Role == "out" || l.Role == "backup" }

func alone(l LinkRate) float64 { return l.AloneMbit }

// busy is what a link gives while the others give theirs.
func busy(l LinkRate) float64 {
	if l.TogetherMbit > 0 {
		return l.TogetherMbit
	}
	return l.AloneMbit
}

func total(links []LinkRate, of func(LinkRate) float64) (sum float64) {
	for _, l := range links {
		sum += of(l)
	}
	return sum
}

func best(links []LinkRate) LinkRate {
	return slices.MaxFunc(links, func(a, b LinkRate) int { return cmp.Compare(a.AloneMbit, b.AloneMbit) })
}

// names writes "DSL", "DSL and LTE", "DSL, LTE and WLAN".
func names(links []LinkRate) string {
	var all []string
	for _, l := range links {
		all = append(all, l.Name)
	}
	if n := len(all); n > 1 {
		return strings.Join(all[:n-1], ", ") + " and " + all[n-1]
	}
	return strings.Join(all, "")
}

// sharing says which links are not independent.
func (d Direction) sharing(measured []LinkRate) string {
	sum := total(measured, alone)
	if len(measured) < 2 || d.TogetherMbit == 0 || d.TogetherMbit >= shared*sum {
		return ""
	}
	top := best(measured)
	rest := slices.DeleteFunc(slices.Clone(measured), func(l LinkRate) bool { return l.Name == top.Name })
	if d.TogetherMbit <= addsNone*top.AloneMbit {
		return fmt.Sprintf("%s %s nothing to %s: alone %s, but all at once %s Mbit/s, and %s alone carries %s. Do they share a line, a mast or a router, or is that all the relay's own line has?",
			names(rest), verb(rest, "adds", "add"), top.Name, rates(rest), number(d.TogetherMbit), top.Name, number(top.AloneMbit))
	}
	var losers []LinkRate
	for _, l := range measured {
		if l.TogetherMbit < slowed*l.AloneMbit {
			losers = append(losers, l)
		}
	}
	if len(losers) == 0 {
		losers = measured
	}
	return fmt.Sprintf("the links are not independent: all at once they carry %s Mbit/s, and the sum of each alone is %s. %s %s when the others are busy: a line, a mast or a router that they share, or the relay's own line, is full.",
		number(d.TogetherMbit), number(sum), names(losers), verb(losers, "slows down", "slow down"))
}

func verb(links []LinkRate, one, more string) string {
	if len(links) == 1 {
		return one
	}
	return more
}

func rates(links []LinkRate) string {
	var all []string
	for _, l := range links {
		all = append(all, number(l.AloneMbit))
	}
	return strings.Join(all, " and ")
}

// bundled says what the bundle makes of its links.
func (d Direction) bundled(parts []LinkRate) string {
	switch {
	case d.BundleError != "":
		return "the bundle could not be measured: " + d.BundleError + "."
	case d.BundleMbit == 0:
		return ""
	case len(parts) == 0:
		return fmt.Sprintf("the bundle carries %s Mbit/s; no link was measured to hold that against.", number(d.BundleMbit))
	case len(parts) == 1:
		return fmt.Sprintf("one link takes part, %s: the bundle carries %s of its %s Mbit/s.", parts[0].Name, number(d.BundleMbit), number(parts[0].AloneMbit))
	}
	top, sum := best(parts), total(parts, busy)
	share, times := d.BundleMbit/sum, d.BundleMbit/top.AloneMbit
	if times < harmed && share < good {
		c := culprit(parts, top)
		return fmt.Sprintf("the bundle carries %s Mbit/s, less than %s alone with %s: %s harms it%s. Try --link %s=backup.",
			number(d.BundleMbit), top.Name, number(top.AloneMbit), c.Name, evidence(c), c.Name)
	}
	text := fmt.Sprintf("the bundle carries %s of %s Mbit/s, %.0f %% of the links together and %.1f times the best link (%s, %s).",
		number(d.BundleMbit), number(sum), min(100, 100*share), times, top.Name, number(top.AloneMbit))
	if l, ok := lacking(parts); share < good && ok {
		text += fmt.Sprintf(" Most is missing on %s: %s of %s%s.", l.Name, number(l.InBundleMbit), number(busy(l)), evidence(l))
	}
	return text
}

// culprit is whose company costs the most: of the links besides the best, the one
// with the longest round trip, or where that says nothing, the slowest.
func culprit(parts []LinkRate, top LinkRate) LinkRate {
	rest := slices.DeleteFunc(slices.Clone(parts), func(l LinkRate) bool { return l.Name == top.Name })
	return slices.MaxFunc(rest, func(a, b LinkRate) int {
		return cmp.Or(cmp.Compare(a.RTTms, b.RTTms), cmp.Compare(b.AloneMbit, a.AloneMbit))
	})
}

func evidence(l LinkRate) string {
	if l.RTTms <= 0 {
		return ""
	}
	return fmt.Sprintf(" (round trip %.0f ms)", l.RTTms)
}

// lacking is the link that the bundle uses least of what it has.
func lacking(parts []LinkRate) (LinkRate, bool) {
	if total(parts, func(l LinkRate) float64 { return l.InBundleMbit }) == 0 {
		return LinkRate{}, false
	}
	return slices.MaxFunc(parts, func(a, b LinkRate) int {
		return cmp.Compare(busy(a)-a.InBundleMbit, busy(b)-b.InBundleMbit)
	}), true
}
