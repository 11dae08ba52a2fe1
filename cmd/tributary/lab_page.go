package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tributary/lab"
)

// A pageScenario is a scenario that docs/measurements.md is about. Holds says what
// is missing from the page without it.
type pageScenario struct{ scenario, title, holds string }

// A pagePart is a part of the page, which is measured on its own.
type pagePart struct {
	name, title, about string
	scenarios          []pageScenario // in the order of the page
}

// pageParts are the parts of docs/measurements.md, of the scenarios that have
// targets. A scenario that this program does not have yet is named on the page as
// not measured.
var pageParts = []pagePart{
	{"setup", "Opening connections", "What it costs a client to open a connection, and what that costs the links. Times are the client's. **Setup time** is\n" +
		"that from the client's SYN to the first byte of the answer.", []pageScenario{
		{"setup", "Opening a connection", "setup and completion times"},
		{"answers", "Answers and refusals", "banners, refusals and early answers"},
		{"recycled", "A recycled connection", "the second session on a recycled connection"},
		{"raced", "Raced opening", "opening over two links at once when the best one is doubtful"},
		{"rate", "The relay's rate of accepting", "the relay's rate of accepting against sing-box"},
		{"fast-open", "TCP Fast Open towards final servers", "TCP Fast Open towards final servers"},
		{"replay", "Replayed openings", "replay of captured openings"},
		{"idle-cost", "What the pool costs at rest", "the idle cost of the pool"},
		{"phone-day", "A phone's day", "the distribution over a synthetic phone day"},
		{"browser", "A browser's page", "a browser's page"},
	}},
	{"links", "Links that look after themselves", "What becomes of traffic when links fail, return, slow down or fill up. A **plain pair** is measured beside ours in the\n" +
		"same run: the kernel's Multipath TCP with endpoints and routes made by hand, and nobody to look after them. It runs\n" +
		"the same programs, which keep send buffers short there too.", []pageScenario{
		{"silent-loss", "A link goes silent", "the loss of a link that nothing tells of"},
		{"link-down", "A link goes down", "the loss of a link that the kernel tells of"},
		{"interactive", "A call when its link goes silent", "a flow of 1 Mbit/s whose link falls silent"},
		{"link-returns", "A link returns", "the full rate after a link's return"},
		{"planned-switch", "A link is switched", "links that are set to backup, off and on again"},
		{"outage", "All links out", "30 s without any link"},
		{"hostile", "A link without Multipath TCP", "links that drop or strip MPTCP"},
		{"hostile-pair", "A link that drops MPTCP SYNs, and its repair", "a link that drops MPTCP SYNs, beside a plain pair"},
		{"families", "IPv4 and IPv6", "links of different families in one connection"},
		{"sum-equal", "The sum: equal round trips", "the sum of two links with the same round trip"},
		{"sum-triple", "The sum: three times the round trip", "the sum of links with one and three times a round trip"},
		{"sum-far", "The sum: 20 and 300 ms", "the sum of links with 20 and 300 ms"},
		{"sum-loss", "The sum: 1 % of loss", "the sum while the faster link loses packets"},
		{"floor-tiny", "The floor: 100 and 1 Mbit/s", "a tiny link beside a good one"},
		{"floor-bloat", "The floor: a queue of 2 s", "a link with a long queue beside a good one"},
		{"floor-loss", "The floor: 5 % of loss", "a link that loses packets beside a good one"},
		{"floor-throttled", "The floor: throttled to 0.5 Mbit/s", "a link that is throttled beside a good one"},
		{"floor-far", "The floor: 20 and 600 ms", "a link that is far away beside a good one"},
		{"overflow", "Overflow", "a link that is used only while the others are full"},
		{"link-care", "What link care costs", "the processor time of link care"},
		{"allowance", "A small data plan", "a data plan that is used up"},
	}},
}

// partOf returns the part that a scenario belongs to; those that are not on the
// page belong to the first.
func partOf(scenario string) string {
	for _, p := range pageParts {
		if slices.ContainsFunc(p.scenarios, func(m pageScenario) bool { return m.scenario == scenario }) {
			return p.name
		}
	}
	return pageParts[0].name
}

const measurementsHead = `# Measurements

Made by %s; changes by hand are lost with the next run. The figures are of the [lab](architecture.md#tests-a-ladder):
network namespaces on one machine, with emulated links and this very program. Those of a part are of one run. The same values
are in %s, from which the page can be written again.

The reference lab: a DSL line of 30/10 Mbit/s with a round trip of R = 40 ms, an LTE line of 20/10 Mbit/s with 60 ms, and
P = 20 ms between relay and final server; 100 ms of queue on each link.

| part | targets met |
|---|---|
`

const partHead = `
| | |
|---|---|
| date | %s |
| took | %s |
| program | %s |
| kernel | %s |
| congestion control | %s |
| machine | %s |
| load before the run | %s |

`

// measurementsPage writes all that is known. A part or scenario that is missing is
// named.
func measurementsPage(set measurementSet) string {
	var w strings.Builder
	fmt.Fprintf(&w, measurementsHead, "`make measurements`", "`docs/"+reportFile+"`")
	for _, p := range pageParts {
		if part := *set.of(p.name); part == nil {
			fmt.Fprintf(&w, "| %s | was not measured yet |\n", p.title)
		} else {
			met, of := countTargets(part)
			fmt.Fprintf(&w, "| [%s](#%s) | %d of %d |\n", p.title, strings.ReplaceAll(strings.ToLower(p.title), " ", "-"), met, of)
		}
	}
	for _, p := range pageParts {
		if part := *set.of(p.name); part != nil {
			p.write(&w, part)
		}
	}
	return w.String()
}

func (p pagePart) write(w *strings.Builder, set *lab.Measurements) {
	e := set.Environment
	took := time.Duration(set.Seconds * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(w, "\n# %s\n\n%s\n", p.title, p.about)
	fmt.Fprintf(w, partHead, e.Date.UTC().Format(time.DateTime+" UTC"), took, e.Program, e.Kernel, e.Congestion, e.Machine, e.Load)
	p.writeTargets(w, set)
	p.writeGaps(w, set)
	for _, m := range p.scenarios {
		r := reportOf(set, m.scenario)
		if r == nil || !p.ownTables() && len(r.Sections()) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n## %s\n\n", m.title)
		if p.ownTables() {
			fmt.Fprintf(w, "%s (`%s`).\n\n", sentence(r.About), m.scenario)
			figureHead(w, r)
			writeFigures(w, r)
			if len(r.Sections()) > 0 {
				w.WriteString("\n")
			}
		}
		for _, s := range r.Sections() {
			s.WriteSection(w)
		}
	}
}

// ownTables reports whether each scenario of the part has its figures in a table of
// its own, below its sentence. Else all are in one.
func (p pagePart) ownTables() bool { return p.name == "links" }

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func reportOf(set *lab.Measurements, scenario string) *lab.Report {
	for _, r := range set.Reports {
		if r.Scenario == scenario {
			return r
		}
	}
	return nil
}

// writeTargets says how many targets are met, and writes one table with all figures
// or, where each scenario has a table, a list of those that are missed.
func (p pagePart) writeTargets(w *strings.Builder, set *lab.Measurements) {
	met, of := countTargets(set)
	fmt.Fprintf(w, "%d of %d targets are met.\n\n", met, of)
	if p.ownTables() {
		for _, m := range p.scenarios {
			for _, f := range missed(reportOf(set, m.scenario)) {
				target, _ := targetText(f)
				fmt.Fprintf(w, "- **missed**: %s: %s: %s, target %s\n", m.title, f.Name, valueText(f), target)
			}
		}
		return
	}
	w.WriteString("| what | measured | target | |\n|---|---|---|---|\n")
	for _, m := range p.scenarios {
		if r := reportOf(set, m.scenario); r != nil && len(r.Figures) > 0 {
			fmt.Fprintf(w, "| **%s** | | | |\n", m.title)
			writeFigures(w, r)
		}
	}
}

// plainPair is what the names of figures begin with that are the plain pair's. They
// stand beside ours of the rest of the name.
const plainPair = "plain pair, "

func hasPlainPair(r *lab.Report) bool {
	return slices.ContainsFunc(r.Figures, func(f lab.Figure) bool { return strings.HasPrefix(f.Name, plainPair) })
}

func figureHead(w *strings.Builder, r *lab.Report) {
	if hasPlainPair(r) {
		w.WriteString("| what | Tributary | plain pair | target | |\n|---|---|---|---|---|\n")
	} else {
		w.WriteString("| what | measured | target | |\n|---|---|---|---|\n")
	}
}

// writeFigures writes a row for each figure, with the plain pair's in a column of
// their own if there are any.
func writeFigures(w *strings.Builder, r *lab.Report) {
	pair := hasPlainPair(r)
	theirs := map[string]lab.Figure{}
	for _, f := range r.Figures {
		if name, ok := strings.CutPrefix(f.Name, plainPair); ok {
			theirs[name] = f
		}
	}
	ours := func(name string) bool {
		return slices.ContainsFunc(r.Figures, func(f lab.Figure) bool { return f.Name == name })
	}
	for _, f := range r.Figures {
		name, value, beside := f.Name, valueText(f), ""
		if rest, ok := strings.CutPrefix(f.Name, plainPair); ok {
			if ours(rest) {
				continue
			}
			name, value, beside = rest, "", value
		} else if t, ok := theirs[name]; ok {
			beside = valueText(t)
		}
		if pair {
			value += " | " + beside
		}
		target, met := targetText(f)
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", name, value, target, met)
	}
}

func valueText(f lab.Figure) string {
	return strings.TrimSpace(lab.NumberText(f.Value) + " " + f.Unit)
}

func targetText(f lab.Figure) (target, met string) {
	switch {
	case f.Target == nil:
		return "", ""
	case isMet(f):
		met = "met"
	default:
		met = "**missed**"
	}
	return strings.TrimSpace(f.Target.Text() + " " + f.Unit), met
}

func countTargets(set *lab.Measurements) (met, of int) {
	for _, r := range set.Reports {
		for _, f := range r.Figures {
			if f.Target == nil {
				continue
			}
			if of++; isMet(f) {
				met++
			}
		}
	}
	return met, of
}

// missed returns the figures that miss their targets; r may be nil.
func missed(r *lab.Report) (all []lab.Figure) {
	if r == nil {
		return nil
	}
	for _, f := range r.Figures {
		if f.Target != nil && !isMet(f) {
			all = append(all, f)
		}
	}
	return all
}

func isMet(f lab.Figure) bool { return f.Met != nil && *f.Met }

// writeGaps names what no figure stands for, and what is broken.
func (p pagePart) writeGaps(w *strings.Builder, set *lab.Measurements) {
	var gaps, faults []string
	for _, m := range p.scenarios {
		r := reportOf(set, m.scenario)
		if r == nil {
			why := "it was left out of this run"
			if _, ok := lab.ByName(m.scenario); !ok {
				why = "this program has no scenario for it"
			}
			gaps = append(gaps, m.holds+": "+why)
			continue
		}
		gaps = append(gaps, r.NotMeasured...)
		if r.Error != "" {
			gaps = append(gaps, fmt.Sprintf("%s, or a part of that: the scenario `%s` ended early: %s", m.holds, m.scenario, r.Error))
		}
		for _, c := range r.Checks {
			if !c.OK {
				faults = append(faults, fmt.Sprintf("`%s`: %s: %s", m.scenario, c.Name, c.Detail))
			}
		}
	}
	for _, list := range []struct {
		head  string
		lines []string
	}{{"Not measured:", gaps}, {"**Broken in this run:**", faults}} {
		if len(list.lines) > 0 {
			fmt.Fprintf(w, "\n%s\n\n- %s\n", list.head, strings.Join(list.lines, "\n- "))
		}
	}
}
