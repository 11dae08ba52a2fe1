package lab

import (
	"fmt"
	"io"
)

// A Replay is what became of captured openings that were sent again, in each run.
type Replay struct {
	Openings int         `json:"openings"` // that were captured
	Runs     []ReplayRun `json:"runs"`
}

// A ReplayRun is one replay of openings, each on a connection of its own.
type ReplayRun struct {
	When   string `json:"when"`
	Sent   int    `json:"sent"`
	Timely int    `json:"timely"` // of them were within the 30 s of their timestamp, by when they were captured
	// Closed found the port closed, Reset were reset without a byte, Silent had no
	// answer, Answered had one.
	Closed   int `json:"closed"`
	Reset    int `json:"reset"`
	Silent   int `json:"silent"`
	Answered int `json:"answered"`
	// Opened connections were seen on the leg to the final server meanwhile, by SYN.
	Opened int `json:"opened"`
	// Control says that the relay had been made to forget, so that they should be answered:
	// they are found to be asked of another run of it, after they were found to be new.
	Control bool `json:"control"`
}

// WriteSection writes the runs as a table.
func (r *Replay) WriteSection(w io.Writer) {
	fmt.Fprintf(w, "%d openings of cold connections by Shadowsocks, as a gateway sent them over the lab's links, captured there and sent again\n"+
		"byte for byte, each on a connection of its own. Connections are counted by their SYN on the leg to the final server. The\n"+
		"control is a relay whose file of what it has accepted was deleted: it has to answer them, or they would prove nothing. It opens\n"+
		"none all the same, for they name the run of the relay that they are for.\n\n"+
		"| replayed | openings | within their 30 s | port closed | reset | no answer | answered | connections opened |\n|---|---|---|---|---|---|---|---|\n", r.Openings)
	for _, run := range r.Runs {
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %d | %d | %d |\n", run.When, run.Sent, run.Timely, run.Closed, run.Reset, run.Silent, run.Answered, run.Opened)
	}
}

// Figures returns none: all numbers should be 0.
func (r *Replay) Figures() map[string][]byte { return nil }

// judge enters the figures.
func (r *Replay) judge(t *Report, wanted int) {
	t.figure("openings captured", float64(r.Openings), "", atLeast(float64(wanted)))
	for _, run := range r.Runs {
		if run.Control {
			t.check("the openings are real: a relay that forgot answers them", run.Answered > 0, "%d of %d", run.Answered, run.Sent)
			continue
		}
		t.figure("connections opened by replaying all of them, "+run.When, float64(run.Opened), "", atMost(0))
		t.check(run.When+": no byte is answered", run.Answered == 0, "%d", run.Answered)
	}
}
