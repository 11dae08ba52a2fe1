package allowance

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// week is how many days the pace is taken from in the first days of a billing month:
// days of a week differ, and one evening says little about a month.
const week = 7

// A Usage is what a link has carried in the billing month of now, and what is to be
// expected of it. Bytes are of IP packets, both ways.
type Usage struct {
	Used        uint64
	From, Until time.Time // the billing month
	Since       time.Time // From, or the day on which counting began; zero if it has not
	Now         time.Time // when this was so; later than the clock if that was set back
	Day, Days   int       // today in the billing month, from 1, and of how many
	Pace        float64   // bytes a day: this billing month's, and at least a week's
	Forecast    uint64    // Used at the end, if it goes on at this pace
}

// Usage returns a link's usage in the billing month of now, which begins on this day
// of the month, see [Plan].
func (b *Book) Usage(link string, start int, now time.Time) Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	now = b.believe(now)
	today, loc := dayOf(now), now.Location()
	from, until := monthOf(today, start)
	u := Usage{
		Now: now, From: from.begin(loc), Until: until.begin(loc),
		Day: int(today-from) + 1, Days: int(until - from),
	}
	a := b.links[link]
	if a == nil || a.at.IsZero() {
		return u
	}
	first, window, recent := today, min(from, today-week), uint64(0)
	for d, bytes := range a.days {
		first = min(first, d)
		if d >= from {
			u.Used += bytes
		}
		if d >= window {
			recent += bytes
		}
	}
	u.Since = max(first, from).begin(loc)
	days := now.Sub(max(first, window).begin(loc)).Hours() / 24
	u.Pace = float64(recent) / max(1, days)
	u.Forecast = u.Used + uint64(u.Pace*u.Until.Sub(now).Hours()/24)
	return u
}

// UsedUp returns when so many bytes will have been used at this pace, or the zero Time
// if that is not in this billing month. It is in the past if they are used up.
func (u Usage) UsedUp(bytes uint64) time.Time {
	if bytes == 0 || u.Forecast <= bytes && u.Used < bytes || u.Pace <= 0 && u.Used < bytes {
		return time.Time{}
	}
	if u.Used >= bytes {
		return u.Now
	}
	return u.Now.Add(time.Duration(float64(bytes-u.Used) / u.Pace * 24 * float64(time.Hour)))
}

// Words returns the usage under a plan in a sentence, such as "4.2 of 10 GB used on
// day 12 of 30; at this pace 10.5 GB, used up on 2026-11-28".
func (u Usage) Words(p Plan) string {
	var s strings.Builder
	s.WriteString(gigabytes(u.Used))
	if p.Bytes > 0 {
		s.WriteString(" of " + gigabytes(p.Bytes))
	}
	fmt.Fprintf(&s, " GB used on day %d of %d", u.Day, u.Days)
	if u.Since.After(u.From) {
		fmt.Fprintf(&s, ", counted since %s", u.Since.Format(dateLayout))
	}
	fmt.Fprintf(&s, "; at this pace %s GB", gigabytes(u.Forecast))
	if at := u.UsedUp(p.Bytes); at.After(u.Now) {
		fmt.Fprintf(&s, ", used up on %s", at.Format(dateLayout))
	}
	if p.PricePerGB > 0 {
		fmt.Fprintf(&s, "; costs %.2f so far, %.2f at this pace", p.Cost(u.Used), p.Cost(u.Forecast))
	}
	return s.String()
}

// gigabytes writes a number of bytes with the digits that matter to a person.
func gigabytes(bytes uint64) string {
	n, digits := float64(bytes)/GB, 1
	switch {
	case n < 0.1:
		digits = 3
	case n < 1:
		digits = 2
	case n >= 100:
		digits = 0
	}
	s := strconv.FormatFloat(n, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
