package lab

import (
	"fmt"
	"slices"
)

// Targets for the reference lab, R = 40 ms and P = 20 ms.
const (
	bannerMs = 85 // R + 2P + 5
	honestMs = 70 // R + P + 10
	atOnceMs = 5  // nothing is waited for
)

// judge enters the figures with their targets. Both protocols' values go into one.
func (a *AnswerTimes) judge(r *Report) {
	for _, c := range a.Banners {
		var target *Target
		if c.What != whatBannerDirect {
			target = atMost(bannerMs)
		}
		r.figure("banner of a server that speaks first, "+c.What+", median", c.Ms.Median, "ms", target)
		r.figure("banner of a server that speaks first, "+c.What+", p95", c.Ms.P95, "ms", nil)
	}
	for _, c := range a.Honest {
		r.figure("right code, honest: "+c.What+", median", c.Ms.Median, "ms", atMost(honestMs))
		r.figure("right code, honest: "+c.What+", p95", c.Ms.P95, "ms", atMost(honestMs))
	}
	for _, c := range a.Auto {
		target := honestMs
		if slices.Contains(answeredAtOnce, c.What) {
			target = atOnceMs
		}
		r.figure("answer, auto: "+c.What+", median", c.Ms.Median, "ms", atMost(float64(target)))
	}
	asked, wrong := 0, 0
	for _, list := range [][]*AnswerCase{a.Honest, a.Auto, a.Banners} {
		for _, c := range list {
			n, bad := c.count()
			asked, wrong = asked+n, wrong+bad
		}
	}
	r.figure(fmt.Sprintf("answers that were wrong, of %d", asked), float64(wrong), "", atMost(0))
}
