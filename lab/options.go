package lab

import (
	"io"
	"time"
)

// Options are those of a demo, a scenario or a shell. The zero Options will do.
type Options struct {
	// Binary is the program to run as relay and gateway, by default this very one.
	Binary string
	// Log receives what the programs write to stderr; nil discards it.
	Log io.Writer
	// Progress is told of each step as it begins; nil does without.
	Progress func(Step)
	// Length replaces that of a scenario's transfers, or of its whole run, where the
	// scenario leaves a choice; 0 leaves it as it is.
	Length time.Duration
	// Seed is that of what is random in a scenario.
	Seed uint64
}

func (o Options) step(s Step) {
	if o.Progress != nil {
		o.Progress(s)
	}
}
