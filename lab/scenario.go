package lab

import (
	"context"
	"time"
)

// A Scenario is one bad or good day in a network of its own, driven and measured.
type Scenario struct {
	Name  string
	About string        // one sentence
	Takes time.Duration // usually

	config Config
	length time.Duration // of each transfer or rest, where the scenario leaves a choice
	times  int           // how often something is done, likewise
	run    func(context.Context, *trial) error
}
