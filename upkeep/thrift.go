package upkeep

// A Thrift is how sparing a gateway has to be.
type Thrift uint8

// The levels, by what is spent of a budget. A day at rest takes about half of one.
const (
	Plenty Thrift = iota
	Saving        // keep no more than what the first instant of a page needs
	Scant         // keep just one or two
	Spent         // keep none
)

// Shares of a budget, in percent, from which on a level holds.
const (
	savingFrom = 70
	scantFrom  = 85
)

// String returns the level in one word.
func (t Thrift) String() string { return [...]string{"plenty", "saving", "scant", "spent"}[t] }

// Of returns the level at which a budget stands of which so much is spent.
func Of(spent, budget uint64) Thrift {
	switch percent := spent * 100 / budget; {
	case percent < savingFrom:
		return Plenty
	case percent < scantFrom:
		return Saving
	case percent < 100:
		return Scant
	}
	return Spent
}
