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
	run    func(context.Context, *trial) error
}
