package lab

import "io"

// Options are those of a demo, a scenario or a shell. The zero Options will do.
type Options struct {
	// Binary is the program to run as relay and gateway, by default this very one.
	Binary string
	// Log receives what the programs write to stderr; nil discards it.
	Log io.Writer
	// Progress is told of each step as it begins; nil does without.
	Progress func(Step)
}

func (o Options) step(s Step) {
	if o.Progress != nil {
		o.Progress(s)
	}
}
