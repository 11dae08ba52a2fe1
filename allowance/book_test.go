package allowance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// noon is a day on which nothing happens to clocks or months.
var noon = time.Date(2026, 11, 12, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, path string) *Book {
	t.Helper()
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read is a reading of an interface that has received so much.
func read(id string, bytes uint64) Reading { return Reading{ID: id, RxBytes: bytes} }

func wantUsed(t *testing.T, b *Book, at time.Time, want uint64) {
	t.Helper()
	if got := b.Usage("lte", 1, at).Used; got != want {
		t.Errorf("at %s %d bytes are used, want %d", at.Format(time.DateTime), got, want)
	}
}

func TestReadings(t *testing.T) {
	const wide = 1 << 40
	for _, tt := range []struct {
		what     string
		old, now Reading
		want     uint64
	}{
		{"nothing", read("a", 7), read("a", 7), 0},
		{"both ways", Reading{ID: "a", RxBytes: 5, TxBytes: 10}, Reading{ID: "a", RxBytes: 6, TxBytes: 30}, 21},
		{"headers", Reading{Header: 14}, Reading{Header: 14, RxBytes: 3000, RxPackets: 2, TxBytes: 66, TxPackets: 1}, 3066 - 3*14},
		{"more headers than bytes", Reading{}, Reading{Header: 14, RxBytes: 10, RxPackets: 9}, 0},
		{"replugged, or booted", read("a", 100), read("b", 300), 300},
		{"moved into a container", read("b net:[1] 2", 100), read("b net:[2] 7", 300), 200},
		{"made anew in a container", read("b net:[1] 2", 1000), read("b net:[2] 2", 300), 300},
		{"packets made anew", Reading{ID: "b net:[1] 2", RxPackets: 9}, read("b net:[2] 2", 300), 300},
		{"moved in another boot", read("b net:[1] 2", 100), read("c net:[2] 2", 300), 300},
		{"replugged", read("b net:[1] 2", 100), read("b net:[1] 3", 300), 300},
		{"reset", read("a", wide), read("a", 300), 300},
		{"small and reset", read("a", 1000), read("a", 300), 300},
		{"32 bits run over", read("a", 1<<32-100), read("a", 300), 400},
		{"32 bits reset", read("a", 1<<31), read("a", 300), 300},
		{"one way reset", Reading{ID: "a", RxBytes: wide, TxBytes: 10}, Reading{ID: "a", RxBytes: 3, TxBytes: 30}, 23},
	} {
		if got := tt.now.since(tt.old); got != tt.want {
			t.Errorf("%s: %d bytes, want %d", tt.what, got, tt.want)
		}
	}
}

// What the interface had carried before it was first seen is not ours to date.
func TestCountBegins(t *testing.T) {
	b := open(t, "")
	wantUsed(t, b, noon, 0)
	b.Count("lte", read("a", 5000), noon)
	wantUsed(t, b, noon, 0)
	b.Count("lte", read("a", 5600), noon.Add(time.Minute))
	b.Count("dsl", read("b", 1), noon.Add(time.Minute))
	wantUsed(t, b, noon.Add(time.Minute), 600)
}

// The gateway may be off for days while others use the link: that counts too.
func TestCountAcrossRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	b := open(t, path)
	save := func(at time.Time) {
		t.Helper()
		if err := b.Save(at, 0); err != nil {
			t.Fatal(err)
		}
		b = open(t, path)
	}
	b.Count("lte", read("boot 1", 1000), noon)
	save(noon)
	b.Count("lte", read("boot 1", 3000), noon.Add(time.Hour))
	wantUsed(t, b, noon.Add(time.Hour), 2000)
	b.SetLevel("lte", Spare)
	save(noon.Add(time.Hour))
	if b.Level("lte") != Spare || b.Level("dsl") != None {
		t.Errorf("levels %s and %s", b.Level("lte"), b.Level("dsl"))
	}
	b.Count("lte", read("boot 2", 500), noon.Add(2*time.Hour))
	wantUsed(t, b, noon.Add(2*time.Hour), 2500)
	save(noon.Add(2 * time.Hour))

	// Off for 18 days and over the end of the month: 2 parts of 3 go into the new one.
	off := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	b.Count("lte", read("boot 2", 500), off)
	save(off)
	wantUsed(t, b, off, 2500)
	b.Count("lte", read("boot 2", 18_500), off.AddDate(0, 0, 18))
	wantUsed(t, b, off.AddDate(0, 0, 18), 12*1000)
}

// A crash loses nothing as long as the interface lives.
func TestCountAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	b := open(t, path)
	b.Count("lte", read("a", 0), noon)
	if err := b.Save(noon, 0); err != nil {
		t.Fatal(err)
	}
	b.Count("lte", read("a", 700), noon.Add(time.Minute))
	b = open(t, path)
	b.Count("lte", read("a", 900), noon.Add(2*time.Minute))
	wantUsed(t, b, noon.Add(2*time.Minute), 900)
}

func TestMonthEnds(t *testing.T) {
	loc := zone(t, "Europe/Berlin")
	b := open(t, "")
	end := time.Date(2026, 12, 1, 0, 0, 0, 0, loc)
	b.Count("lte", read("a", 0), end.Add(-40*time.Second))
	b.Count("lte", read("a", 600), end.Add(20*time.Second))
	wantUsed(t, b, end.Add(20*time.Second), 200)
	if got := b.links["lte"].days[dayOf(end)-1]; got != 400 {
		t.Errorf("%d bytes on the last day, want 400", got)
	}
	if u := b.Usage("lte", 1, end.Add(20*time.Second)); u.Day != 1 || u.Days != 31 || !u.From.Equal(end) {
		t.Errorf("%+v", u)
	}
}

// Days of 23 and 25 hours are days.
func TestClocksChange(t *testing.T) {
	loc := zone(t, "Europe/Berlin")
	b := open(t, "")
	b.Count("lte", read("a", 0), time.Date(2026, 10, 24, 0, 0, 0, 0, loc))
	b.Count("lte", read("a", 4900), time.Date(2026, 10, 26, 0, 0, 0, 0, loc))
	for date, want := range map[string]uint64{"2026-10-24": 2400, "2026-10-25": 2500} {
		d, _ := parseDay(date)
		if got := b.links["lte"].days[d]; got != want {
			t.Errorf("%d bytes on %s, want %d", got, date, want)
		}
	}
}

// A router without a battery begins in the past. Its clock is not believed before it
// has had the time to be set.
func TestClockSetBack(t *testing.T) {
	b := open(t, "")
	b.Count("lte", read("a", 0), noon)
	b.Count("lte", read("a", 100), noon.Add(time.Minute))
	past := noon.AddDate(0, -2, 0)
	b.Count("lte", read("b", 10), past)
	b.Count("lte", read("b", 20), past.Add(patience-time.Second))
	wantUsed(t, b, past.Add(patience-time.Second), 120)
	b.Count("lte", read("b", 30), noon.Add(time.Hour)) // set right
	wantUsed(t, b, noon.Add(time.Hour), 130)
	b.Count("lte", read("b", 40), past)
	wantUsed(t, b, past, 140)

	// One that shows 1970 is never believed.
	dead := time.Unix(0, 0).UTC()
	b.Count("lte", read("c", 5), dead)
	b.Count("lte", read("c", 7), dead.Add(2*patience))
	wantUsed(t, b, dead.Add(2*patience), 147)
	wantUsed(t, b, noon.Add(2*time.Hour), 147)
}

// A clock that was far ahead must not close a link for good, nor open it: what was
// counted then is of today.
func TestClockWasAhead(t *testing.T) {
	b := open(t, "")
	b.Count("lte", read("a", 0), noon)
	b.Count("lte", read("a", 100), noon.Add(time.Minute))
	future := noon.AddDate(24, 0, 0)
	b.Count("lte", read("a", 105), future)
	b.Count("lte", read("a", 125), future.Add(time.Minute))
	wantUsed(t, b, future.Add(time.Minute), 25)
	back := noon.Add(2 * time.Hour)
	b.Count("lte", read("a", 126), back)
	b.Count("lte", read("a", 130), back.Add(patience))
	wantUsed(t, b, back.Add(patience), 30) // what is older than two months was forgotten
	wantUsed(t, b, back.AddDate(0, 1, 0), 0)

	b = open(t, "")
	b.Count("lte", read("a", 0), noon)
	b.Count("lte", read("a", 100), noon.Add(time.Minute))
	b.Count("lte", read("a", 150), noon.AddDate(0, 0, 20))
	b.Count("lte", read("a", 150), noon.Add(time.Hour))
	b.Count("lte", read("a", 150), noon.Add(time.Hour+patience))
	wantUsed(t, b, noon.Add(time.Hour+patience), 150)
}

// Without a time nothing is dated; it is counted once there is one.
func TestClockNeverSet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	b := open(t, path)
	dead := time.Unix(100, 0).UTC()
	b.Count("lte", read("a", 50), dead)
	b.Count("lte", read("a", 80), dead.Add(time.Minute))
	if err := b.Save(dead, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("wrote a book without a time")
	}
	b.Count("lte", read("a", 90), noon)
	wantUsed(t, b, noon, 40)
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	b := open(t, path)
	b.Count("lte", read("a", 0), noon)
	if err := b.Save(noon, time.Minute); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	for _, tt := range []struct {
		after time.Duration
		bytes uint64 // counted by then
		want  uint64 // written
	}{
		{30 * time.Second, 2 * smallChange, 0},
		{time.Minute, 2 * smallChange, 2 * smallChange},
		{2 * time.Minute, 2*smallChange + 5, 2 * smallChange},
		{15 * time.Minute, 2*smallChange + 5, 2 * smallChange},
		{16 * time.Minute, 2*smallChange + 5, 2*smallChange + 5},
	} {
		at := noon.Add(tt.after)
		b.Count("lte", read("a", tt.bytes), at)
		if err := b.Save(at, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := open(t, path).Usage("lte", 1, at).Used; got != tt.want {
			t.Errorf("after %v the file has %d bytes, want %d", tt.after, got, tt.want)
		}
	}
	b.Count("lte", read("a", 3*smallChange), noon.Add(17*time.Minute))
	if err := b.Save(noon.Add(17*time.Minute), 0); err != nil {
		t.Fatal(err)
	}
	wantUsed(t, open(t, path), noon.Add(17*time.Minute), 3*smallChange)
}

// A file that cannot be read is said, and does not keep anything from being counted.
func TestDamagedFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	whole := `{"lte":{"last":{"id":"a","rx_bytes":7},"at":1793000000,"level":"spare","days":{"2026-11-12":5}}}`
	for _, text := range []string{
		"", "{", whole[:len(whole)/2], `{"lte":1}`, `[]`, `{"lte":{}}`,
		strings.Replace(whole, "1793000000", "-1", 1), strings.Replace(whole, "1793000000", "99999999999999", 1),
		strings.Replace(whole, ":5", ":-5", 1), strings.Replace(whole, ":5", ":99999999999999999", 1),
		strings.Replace(whole, "2026-11-12", "2026-13-12", 1),
	} {
		os.WriteFile(path, []byte(text), 0o600)
		b, err := Open(path)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
		b.Count("lte", read("a", 10), noon)
		b.Count("lte", read("a", 13), noon)
		wantUsed(t, b, noon, 3)
		if err := b.Save(noon, 0); err != nil {
			t.Error(err)
		}
	}
	os.WriteFile(path, []byte(whole), 0o600)
	if b := open(t, path); b.Level("lte") != Spare {
		t.Errorf("level %s", b.Level("lte"))
	}
	b := open(t, filepath.Join(t.TempDir(), "missing", "usage.json"))
	b.Count("lte", read("a", 10), noon)
	if b.Save(noon, 0) == nil {
		t.Error("wrote into a directory that does not exist")
	}
}

// Interfaces with ever new names do not fill the file.
func TestManyLinks(t *testing.T) {
	b := open(t, "")
	for i := range 3 * keepLinks {
		b.Count(fmt.Sprint("ppp", i), read("a", 1), noon.Add(time.Duration(i)*time.Second))
	}
	if len(b.links) != keepLinks || b.links[fmt.Sprint("ppp", 3*keepLinks-1)] == nil {
		t.Errorf("%d links are remembered, want the %d last ones", len(b.links), keepLinks)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"lte":{"last":{"id":"a","rx_bytes":7},"at":1793000000,"level":"spare","days":{"2026-11-12":5,"2027-01-01":6}}}`))
	f.Add([]byte(`{"lte":{"last":{"id":"a","rx_bytes":7,"header":14,"rx_packets":18446744073709551615},"at":1793000000,"days":null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := open(t, "")
		if b.read(text) != nil {
			return
		}
		for i, at := range []time.Time{noon, noon.AddDate(0, 3, 0), noon.Add(2 * patience)} {
			b.Count("lte", read("a", uint64(i)), at)
			u := b.Usage("lte", 31, at)
			u.Words(Plan{Bytes: 1, PricePerGB: 1})
			Decide([]Line{{Usage: u, Plan: Plan{Bytes: 1}}})
		}
		text, err := b.text()
		if err == nil {
			err = open(t, "").read(text)
		}
		if err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
