package allowance

import (
	"strings"
	"testing"
	"time"
)

// at returns a usage of so many GB, with a forecast of so many.
func at(used, forecast float64) Usage {
	return Usage{
		Used: uint64(used * GB), Forecast: uint64(forecast * GB), Day: 12, Days: 30,
		From: noon.AddDate(0, 0, -11), Since: noon.AddDate(0, 0, -11), Until: noon.AddDate(0, 0, 19), Now: noon,
	}
}

var ten = Plan{Bytes: 10 * GB}

// Each level is left later than it is entered.
func TestLevels(t *testing.T) {
	for _, tt := range []struct {
		used, forecast   float64
		none, spare, was Thrift // what follows on none, spare and backup
	}{
		{0, 0, None, None, None},
		{4.4, 50, None, None, None},
		{4.5, 50, None, Spare, Spare},
		{4.99, 50, None, Spare, Spare},
		{5, 10, None, Spare, Spare},
		{5, 10.01, Spare, Spare, Spare},
		{5, 9, None, Spare, Spare},
		{5, 8.99, None, None, None},
		{7.99, 10, None, Spare, Spare},
		{8, 9.51, Spare, Spare, Spare},
		{8, 9.5, None, Spare, Spare},
		{9.29, 9.5, None, Spare, Spare},
		{9.3, 9.5, None, Spare, Backup},
		{9.49, 9.5, None, Spare, Backup},
		{9.5, 9.5, Backup, Backup, Backup},
		{10, 10, Backup, Backup, Backup},
		{20, 20, Backup, Backup, Backup},
	} {
		for was, want := range map[Thrift]Thrift{None: tt.none, Spare: tt.spare, Backup: tt.was} {
			v := Decide([]Line{{Name: "lte", On: true, Plan: ten, Usage: at(tt.used, tt.forecast), Was: was}})[0]
			if v.Thrift != want || v.Own != want {
				t.Errorf("%v of 10 GB, forecast %v, after %s: %s, want %s", tt.used, tt.forecast, was, v.Thrift, want)
			}
			if (v.Why == "") != (want == None) || (v.Reason == "") != (want == None) {
				t.Errorf("%s because %q: %q", v.Thrift, v.Reason, v.Why)
			}
		}
	}
	if v := Decide([]Line{{On: true, Usage: at(99, 999), Was: Backup}})[0]; v != (Verdict{}) {
		t.Errorf("a flat rate is to be used like this: %+v", v)
	}
}

func TestPrices(t *testing.T) {
	flat, paid, dear := Plan{}, Plan{PricePerGB: 0.5}, Plan{PricePerGB: 2}
	more := Plan{Bytes: 10 * GB, PricePerGB: 1} // beyond the allowance
	free, used := at(1, 3), at(9.6, 12)
	for _, tt := range []struct {
		what  string
		lines []Line
		want  string // a word per link
	}{
		{"alone", []Line{{On: true, Plan: paid, Usage: free}}, "none"},
		{"two alike", []Line{{On: true, Plan: paid, Usage: free}, {On: true, Plan: paid, Usage: free}}, "none none"},
		{"beside a flat rate", []Line{{On: true, Plan: paid, Usage: free}, {On: true, Plan: flat}}, "spare none"},
		{"in order", []Line{{On: true, Plan: dear}, {On: true, Plan: paid}, {On: true, Plan: flat}}, "spare spare none"},
		{"the flat rate is held back by its owner", []Line{{On: true, Plan: paid}, {Plan: flat}}, "none none"},
		{"beside an allowance", []Line{{On: true, Plan: paid}, {On: true, Plan: ten, Usage: free}}, "spare none"},
		{"beside a used-up allowance", []Line{{On: true, Plan: paid}, {On: true, Plan: ten, Usage: used}}, "none backup"},
		{"beyond an allowance, beside a flat rate", []Line{{On: true, Plan: more, Usage: used}, {On: true, Plan: flat}}, "spare none"},
		{"beyond an allowance, beside a dearer one", []Line{{On: true, Plan: more, Usage: used}, {On: true, Plan: dear}}, "spare spare"},
		{"within an allowance", []Line{{On: true, Plan: more, Usage: free}, {On: true, Plan: flat}}, "none none"},
	} {
		var got []string
		for _, v := range Decide(tt.lines) {
			got = append(got, v.Thrift.String())
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, s, tt.want)
		}
	}
	all := Decide([]Line{{Name: "lte", On: true, Plan: dear}, {Name: "sat", On: true, Plan: paid}, {Name: "umts", On: true, Plan: more, Usage: used}})
	for i, want := range []Verdict{
		{Spare, Dearer, "a GB costs 2.00, and 0.50 over sat", None, 2},
		{None, "", "", None, 0.5},
		{Spare, Nearly, "9.6 of 10 GB used on day 12 of 30; at this pace 12 GB; costs 0.00 so far, 2.00 at this pace", Backup, 1},
	} {
		if all[i] != want {
			t.Errorf("got  %+v\nwant %+v", all[i], want)
		}
	}
	if v := Decide([]Line{{On: true, Plan: ten, Usage: at(10, 10)}})[0]; v.Reason != UsedUp {
		t.Errorf("%+v", v)
	}
	if v := Decide([]Line{{On: true, Plan: paid}, {Name: "dsl", On: true}})[0]; v.Why != "a GB costs 0.50, and nothing over dsl" {
		t.Errorf("%+v", v)
	}
}

// month counts so many bytes for each day, the first of which is on the 1st, and
// returns the usage at the noon that follows half a day of the last one.
func month(t *testing.T, first string, days ...uint64) (*Book, Usage) {
	t.Helper()
	d, err := parseDay(first)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, "")
	b.Count("lte", read("a", 0), d.begin(time.UTC))
	var sum uint64
	now := d.begin(time.UTC)
	for i, n := range days {
		sum += n
		now = now.AddDate(0, 0, 1)
		if i == len(days)-1 {
			now = now.Add(-12 * time.Hour)
		}
		b.Count("lte", read("a", sum), now.Add(-time.Second))
	}
	return b, b.Usage("lte", 1, now)
}

func TestForecast(t *testing.T) {
	steady := make([]uint64, 60)
	for i := range steady {
		steady[i] = GB
	}
	for _, tt := range []struct {
		what           string
		days           []uint64 // from 1 November
		used, forecast float64  // GB
		usedUp         string   // of 10 GB
	}{
		{"half a day", []uint64{GB}, 1, 30.5, "2026-11-10"},
		{"day 12", append(make([]uint64, 7, 99), GB, GB, 0, GB, GB), 4, 10.4, "2026-11-29"},
		{"it rests since", append([]uint64{5 * GB}, make([]uint64, 19)...), 5, 7.7, ""},
		{"steady", steady[:15], 15, 31, "2026-11-15"},
		{"2 December, like the week before", steady[:32], 2, 33.5, "2026-12-10"},
		{"2 December, after a week of rest", append(append(steady[:23:23], make([]uint64, 7)...), GB, GB), 2, 9.8, ""},
	} {
		_, u := month(t, "2026-11-01", tt.days...)
		used, forecast := float64(u.Used)/GB, float64(u.Forecast)/GB
		if used < tt.used-0.01 || used > tt.used+0.01 || forecast < tt.forecast*0.98 || forecast > tt.forecast*1.02 {
			t.Errorf("%s: %.2f GB used and %.2f expected, want %v and %v", tt.what, used, forecast, tt.used, tt.forecast)
		}
		at := ""
		if up := u.UsedUp(10 * GB); !up.IsZero() {
			at = up.Format(dateLayout)
		}
		if at != tt.usedUp {
			t.Errorf("%s: used up on %q, want %q", tt.what, at, tt.usedUp)
		}
	}
}

func TestWords(t *testing.T) {
	u := at(4.2, 10.5)
	u.Pace = 0.35 * GB
	late := u
	late.Since = noon.AddDate(0, 0, -2)
	for _, tt := range []struct {
		u    Usage
		p    Plan
		want string
	}{
		{u, ten, "4.2 of 10 GB used on day 12 of 30; at this pace 10.5 GB, used up on 2026-11-29"},
		{u, Plan{Bytes: 20 * GB}, "4.2 of 20 GB used on day 12 of 30; at this pace 10.5 GB"},
		{u, Plan{}, "4.2 GB used on day 12 of 30; at this pace 10.5 GB"},
		{u, Plan{PricePerGB: 2}, "4.2 GB used on day 12 of 30; at this pace 10.5 GB; costs 8.40 so far, 21.00 at this pace"},
		{late, ten, "4.2 of 10 GB used on day 12 of 30, counted since 2026-11-10; at this pace 10.5 GB, used up on 2026-11-29"},
		{at(11, 12), Plan{Bytes: 10 * GB, PricePerGB: 2}, "11 of 10 GB used on day 12 of 30; at this pace 12 GB; costs 2.00 so far, 4.00 at this pace"},
		{at(0.034, 250), Plan{Bytes: GB / 2}, "0.034 of 0.5 GB used on day 12 of 30; at this pace 250 GB"},
	} {
		if got := tt.u.Words(tt.p); got != tt.want {
			t.Errorf("got  %q\nwant %q", got, tt.want)
		}
	}
}

// A link that is used without restraint lands softly: each level comes once in a
// month, in order, and the new month begins with a full link.
func TestAMonth(t *testing.T) {
	b := open(t, "")
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var sum uint64
	var got []string
	for ; now.Month() != time.January; now = now.Add(time.Hour) {
		rate := uint64(GB / 24) // a GB a day, a third when spared, hardly any as a backup
		switch b.Level("lte") {
		case Spare:
			rate /= 3
		case Backup:
			rate /= 50
		}
		sum += rate
		b.Count("lte", read("a", sum), now)
		was := b.Level("lte")
		v := Decide([]Line{{Name: "lte", On: true, Plan: Plan{Bytes: 15 * GB}, Usage: b.Usage("lte", 1, now), Was: was}})[0]
		b.SetLevel("lte", v.Own)
		if v.Own != was {
			got = append(got, v.Own.String()+now.Format(" 01-02"))
		}
		if u := b.Usage("lte", 1, now); u.Used > 15*GB {
			t.Fatalf("%s: %s", now, u.Words(Plan{Bytes: 15 * GB}))
		}
	}
	want := "spare 11-08, backup 11-28, none 12-01, spare 12-08, backup 12-28"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}
