package lab

import (
	"fmt"
	"io"

	"tributary/measure"
)

// An AnswerTimes is what the scenario "answers" measured: how long a client waits
// until the gateway answers its request, and for a server that speaks first. Times
// are in ms since the client's SYN.
type AnswerTimes struct {
	Honest  []*AnswerCase `json:"honest"`  // with open = "honest"
	Auto    []*AnswerCase `json:"auto"`    // the rows of the table in docs/protocol.md
	Banners []*AnswerCase `json:"banners"` // to the first byte of the server
}

// An AnswerCase is one kind of request, by each protocol.
type AnswerCase struct {
	What string                `json:"what"`
	By   map[string]*AnswersBy `json:"by"` // SOCKS5 and HTTP, or "" without a proxy
	Ms   measure.Spread        `json:"ms"` // by whatever protocol
	took map[string][]float64
}

// An AnswersBy is a case by one protocol.
type AnswersBy struct {
	Answer string         `json:"answer"` // the right one: a code, "open" or "reset"
	Ms     measure.Spread `json:"ms"`
	Count  int            `json:"count"`
	Wrong  int            `json:"wrong"` // of them had another answer
}

// A caseBook enters answers.
type caseBook struct{ cases []*AnswerCase }

// wrongMs is what a wrong answer counts as in the times, so that a figure cannot be
// good for the lack of right ones.
const wrongMs = 5000

// enter notes an answer.
func (b *caseBook) enter(what, by, answer string, tookMs float64, right bool) {
	var c *AnswerCase
	for _, known := range b.cases {
		if known.What == what {
			c = known
		}
	}
	if c == nil {
		c = &AnswerCase{What: what, By: map[string]*AnswersBy{}, took: map[string][]float64{}}
		b.cases = append(b.cases, c)
	}
	if c.By[by] == nil {
		c.By[by] = &AnswersBy{Answer: answer}
	}
	c.By[by].Count++
	if !right {
		c.By[by].Wrong++
		tookMs = wrongMs
	}
	c.took[by] = append(c.took[by], tookMs)
}

// finish makes spreads of the times.
func (b *caseBook) finish() []*AnswerCase {
	for _, c := range b.cases {
		var all []float64
		for by, took := range c.took {
			c.By[by].Ms = measure.NewSpread(took)
			all = append(all, took...)
		}
		c.Ms = measure.NewSpread(all)
	}
	return b.cases
}

func (c *AnswerCase) count() (asked, wrong int) {
	for _, by := range c.By {
		asked, wrong = asked+by.Count, wrong+by.Wrong
	}
	return asked, wrong
}

// WriteSection writes three tables.
func (a *AnswerTimes) WriteSection(w io.Writer) {
	fmt.Fprint(w, "Every destination is met for the first time, unless the case says otherwise: neither the gateway nor a resolver has heard of\n"+
		"it. Names are resolved by a server as far from the relay as the final servers are, P. Median and 95th percentile in ms, from\n"+
		"the client's SYN to the answer. A wrong answer counts as one after 5 s.\n\n### A server that speaks first\n\n")
	writeAnswers(w, a.Banners)
	fmt.Fprint(w, "\n### Refusals with `open = \"honest\"`\n\n")
	writeAnswers(w, a.Honest)
	fmt.Fprint(w, "\n### What the gateway answers, and when\n\nWith `open = \"auto\"`: the rows of the [table](protocol.md#what-the-gateway-answers-and-when), and what follows\nwhere an early answer turns out wrong.\n\n")
	writeAnswers(w, a.Auto)
}

func writeAnswers(w io.Writer, cases []*AnswerCase) {
	fmt.Fprint(w, "| case | SOCKS5 | after | HTTP | after | asked | wrong |\n|---|---|---|---|---|---|---|\n")
	for _, c := range cases {
		fmt.Fprintf(w, "| %s |", c.What)
		for _, by := range []string{"SOCKS5", "HTTP"} {
			if a := c.By[by]; a != nil {
				fmt.Fprintf(w, " %s | %.1f / %.1f |", a.Answer, a.Ms.Median, a.Ms.P95)
			} else {
				fmt.Fprintf(w, " | %.1f / %.1f |", c.Ms.Median, c.Ms.P95)
			}
		}
		asked, wrong := c.count()
		fmt.Fprintf(w, " %d | %d |\n", asked, wrong)
	}
}

// Figures returns none: numbers in three columns need no picture.
func (a *AnswerTimes) Figures() map[string][]byte { return nil }
