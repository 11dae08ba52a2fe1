// Package allowance keeps a data plan's promise: how much of its allowance a link
// has used in the billing month, how much it will have used at the end of it, and
// how sparingly it is to be used from now on.
//
// What counts is what an interface has carried, whoever used it, for that is what a
// provider bills: IP packets, both ways. A Book remembers it day by day across
// restarts; everything else here is arithmetic without a clock.
package allowance

// GB is a gigabyte as providers sell it, in bytes.
const GB = 1_000_000_000

// A Plan is what a link costs. The zero Plan is a flat rate.
type Plan struct {
	// Bytes may be used in a billing month; 0 means that there is no such limit.
	Bytes uint64
	// Day of the month on which the billing month begins, 1 to 31; in a shorter month
	// it is the last day. 0 means 1.
	Day int
	// PricePerGB is what each GB costs that is not in the allowance, in any currency.
	PricePerGB float64
}

// Cost returns what so many bytes in a billing month cost.
func (p Plan) Cost(used uint64) float64 {
	return float64(used-min(used, p.Bytes)) / GB * p.PricePerGB
}

// A Thrift says how sparingly a link is to be used, whatever its mode allows.
type Thrift uint8

// The levels.
const (
	None   Thrift = iota // use it as its mode says
	Spare                // use it only while the other links are full
	Backup               // use it only while no other link works
	numThrifts
)

// String returns the level in one word, as status shows it.
func (t Thrift) String() string {
	if t < numThrifts {
		return [numThrifts]string{"none", "spare", "backup"}[t]
	}
	return "unknown"
}
