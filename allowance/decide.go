package allowance

import "fmt"

// From when on a level holds, and until when, in shares of the allowance. A level is
// left later than it is entered, so that it does not change with every hour.
const (
	// Half of it may be used at any pace: until then there is time to see.
	spareUsed, spareUsedUntil = 0.50, 0.45
	// From then on the pace must not lead beyond the allowance; from little on, not even
	// near it, for then one evening is more than what is left.
	spareForecast, spareForecastUntil = 1.00, 0.90
	little, littleForecast            = 0.80, 0.95
	// What is left is for when there is nothing else.
	backupUsed, backupUsedUntil = 0.95, 0.93
)

// A Line is a link as it stands, for [Decide].
type Line struct {
	Name  string
	On    bool // its mode lets it carry traffic at any time
	Plan  Plan
	Usage Usage
	Was   Thrift // its last Verdict's Own
}

// A Reason is why a link is to be used sparingly, in a word or two, for programs.
type Reason string

// The reasons.
const (
	Ahead  Reason = "ahead"   // at this pace the allowance will not do
	Nearly Reason = "nearly"  // the allowance is used but for a little
	UsedUp Reason = "used-up" // the allowance is used up
	Dearer Reason = "dearer"  // another link costs less
)

// A Verdict says how a link is to be used.
type Verdict struct {
	Thrift Thrift
	Reason Reason // "" with None
	Why    string // the same with its evidence, for people
	// Own is what the link's own allowance asks for, price and other links aside.
	Own Thrift
	// Price is what the next GB costs. Of several links to be spared the one with the
	// least is to be used first.
	Price float64
}

// Decide returns how each link is to be used, in their order. A link is spared when
// its allowance will not do at its pace, and when its next GB costs more than another
// link's; it is a backup when its allowance is used but for a little, unless it has a
// price: that says that more may be had. Nothing is ever off.
func Decide(lines []Line) []Verdict {
	out := make([]Verdict, len(lines))
	for i, l := range lines {
		v := &out[i]
		v.Own = ownLevel(l.Plan, l.Usage, l.Was)
		if l.Plan.Bytes == 0 || v.Own == Backup {
			v.Price = l.Plan.PricePerGB
		}
	}
	for i, l := range lines {
		v := &out[i]
		v.Thrift = v.Own
		if v.Own == Backup && v.Price > 0 {
			v.Thrift = Spare
		}
		if v.Own != None {
			v.Reason = ownReason(l.Plan, l.Usage, v.Own)
			v.Why = l.Usage.Words(l.Plan)
		} else if j := cheaper(lines, out, i); j >= 0 {
			v.Thrift, v.Reason = Spare, Dearer
			v.Why = fmt.Sprintf("a GB costs %.2f, and %.2f over %s", v.Price, out[j].Price, lines[j].Name)
			if out[j].Price == 0 {
				v.Why = fmt.Sprintf("a GB costs %.2f, and nothing over %s", v.Price, lines[j].Name)
			}
		}
	}
	return out
}

func ownLevel(p Plan, u Usage, was Thrift) Thrift {
	if p.Bytes == 0 {
		return None
	}
	used, forecast := float64(u.Used)/float64(p.Bytes), float64(u.Forecast)/float64(p.Bytes)
	switch {
	case used >= backupUsed, was == Backup && used >= backupUsedUntil:
		return Backup
	case used >= spareUsed && forecast > spareForecast, used >= little && forecast > littleForecast,
		was != None && used >= spareUsedUntil && forecast >= spareForecastUntil:
		return Spare
	}
	return None
}

func ownReason(p Plan, u Usage, own Thrift) Reason {
	switch {
	case own != Backup:
		return Ahead
	case u.Used < p.Bytes:
		return Nearly
	}
	return UsedUp
}

// cheaper returns the link with the least price of those that may carry traffic at any
// time, if that is less than link i's, or else -1.
func cheaper(lines []Line, out []Verdict, i int) int {
	best := -1
	for j, l := range lines {
		last := out[j].Own == Backup && out[j].Price == 0
		if l.On && !last && out[j].Price < out[i].Price && (best < 0 || out[j].Price < out[best].Price) {
			best = j
		}
	}
	return best
}
