package allowance

import "time"

// A day of the calendar, as days since 1970-01-01. What a clock shows there has no
// gaps: days are 23 to 25 hours long, and begin at midnight or, where clocks are
// put forward at midnight, just after it.
type day int

const dateLayout = "2006-01-02"

// dayOf returns the day that a clock in t's location shows at t.
func dayOf(t time.Time) day {
	year, month, d := t.Date()
	return day(time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// begin returns the first moment of a day.
func (d day) begin(loc *time.Location) time.Time {
	year, month, n := d.utc().Date()
	return time.Date(year, month, n, 0, 0, 0, 0, loc)
}

func (d day) utc() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

func (d day) String() string { return d.utc().Format(dateLayout) }

func parseDay(s string) (day, error) {
	t, err := time.Parse(dateLayout, s)
	return dayOf(t), err
}

// monthOf returns the first day of the billing month in which a day is, and of the
// next one, if billing months begin on this day of the month.
func monthOf(d day, start int) (first, next day) {
	year, month, _ := d.utc().Date()
	if first = startOf(year, month, start); d < first {
		return startOf(year, month-1, start), first
	}
	return first, startOf(year, month+1, start)
}

// startOf returns the day on which a billing month begins in this month, which need
// not be from 1 to 12.
func startOf(year int, month time.Month, start int) day {
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return dayOf(time.Date(year, month, max(1, min(start, last)), 0, 0, 0, 0, time.UTC))
}
