package allowance

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, wherever they run
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestBillingMonths(t *testing.T) {
	for _, tt := range []struct {
		today       string
		start       int
		first, next string
	}{
		{"2026-11-23", 1, "2026-11-01", "2026-12-01"},
		{"2026-11-01", 1, "2026-11-01", "2026-12-01"},
		{"2026-11-23", 0, "2026-11-01", "2026-12-01"},
		{"2026-12-31", 1, "2026-12-01", "2027-01-01"},
		{"2026-11-23", 23, "2026-11-23", "2026-12-23"},
		{"2026-11-22", 23, "2026-10-23", "2026-11-23"},
		{"2027-01-10", 15, "2026-12-15", "2027-01-15"},
		// Short months begin on their last day.
		{"2026-11-29", 31, "2026-10-31", "2026-11-30"},
		{"2026-11-30", 31, "2026-11-30", "2026-12-31"},
		{"2027-02-27", 30, "2027-01-30", "2027-02-28"},
		{"2027-02-28", 30, "2027-02-28", "2027-03-30"},
		{"2028-02-28", 31, "2028-01-31", "2028-02-29"},
		{"2028-02-29", 29, "2028-02-29", "2028-03-29"},
		{"2027-03-01", 31, "2027-02-28", "2027-03-31"},
	} {
		today, err := parseDay(tt.today)
		if err != nil {
			t.Fatal(err)
		}
		if first, next := monthOf(today, tt.start); first.String() != tt.first || next.String() != tt.next {
			t.Errorf("%s from day %d: %s to %s, want %s to %s", tt.today, tt.start, first, next, tt.first, tt.next)
		}
	}
}

// Billing months follow one another without a gap, whatever day they begin on.
func TestBillingMonthsMeet(t *testing.T) {
	for start := 1; start <= 31; start++ {
		d, _ := parseDay("2026-12-15")
		first, next := monthOf(d, start)
		for range 40 {
			if last, n := monthOf(next-1, start); last != first || n != next {
				t.Fatalf("from day %d: the day before %s is in the month from %s to %s", start, next, last, n)
			}
			if n := next - first; n < 28 || n > 31 {
				t.Fatalf("from day %d: the month from %s has %d days", start, first, n)
			}
			was := next
			if first, next = monthOf(next, start); first != was {
				t.Fatalf("from day %d: %s is no first day", start, was)
			}
		}
	}
}

// Days are what the clock on the wall says, also where it jumps at midnight.
func TestDaysOfAPlace(t *testing.T) {
	for _, tt := range []struct {
		zone, at, day, begin string
		hours                float64
	}{
		{"UTC", "2026-11-23T23:59:59Z", "2026-11-23", "2026-11-23T00:00:00Z", 24},
		{"Europe/Berlin", "2026-11-30T23:30:00Z", "2026-12-01", "2026-12-01T00:00:00+01:00", 24},
		{"Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25", "2026-10-25T00:00:00+02:00", 25},
		{"Europe/Berlin", "2027-03-28T12:00:00Z", "2027-03-28", "2027-03-28T00:00:00+01:00", 23},
		{"Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-24", "2026-04-24T01:00:00+03:00", 23},
		{"Pacific/Kiritimati", "2026-12-31T11:00:00Z", "2027-01-01", "2027-01-01T00:00:00+14:00", 24},
	} {
		loc := zone(t, tt.zone)
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		d := dayOf(at.In(loc))
		begin := d.begin(loc)
		if d.String() != tt.day || begin.Format(time.RFC3339) != tt.begin {
			t.Errorf("%s in %s is %s from %s, want %s from %s", tt.at, tt.zone, d, begin.Format(time.RFC3339), tt.day, tt.begin)
		}
		if h := (d + 1).begin(loc).Sub(begin).Hours(); h != tt.hours {
			t.Errorf("%s in %s has %v hours, want %v", d, tt.zone, h, tt.hours)
		}
	}
}
