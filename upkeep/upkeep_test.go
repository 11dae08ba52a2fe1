package upkeep

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 59, 0, 0, time.UTC)

func want(t *testing.T, b *Books, link string, at time.Time, bytes uint64) {
	t.Helper()
	if got := b.Spent(link, at); got != bytes {
		t.Errorf("%s at %s: %d bytes spent, want %d", link, at.Format("15:04"), got, bytes)
	}
}

// What is spent counts for 24 hours at least, and for 25 at most.
func TestSpentInADay(t *testing.T) {
	b, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	want(t, b, "lte", noon, 0)
	b.Spend("lte", 100, noon)
	b.Spend("lte", 10, noon.Add(10*time.Hour))
	b.Spend("dsl", 1, noon)
	want(t, b, "lte", noon, 100)
	want(t, b, "lte", noon.Add(24*time.Hour), 110)
	want(t, b, "lte", noon.Add(25*time.Hour), 10)
	want(t, b, "lte", noon.Add(100*time.Hour), 0)
	want(t, b, "dsl", noon, 1)
	// The slot of an hour is used again.
	b.Spend("lte", 7, noon.Add(window*time.Hour))
	want(t, b, "lte", noon.Add(window*time.Hour), 17)
}

// A clock that was wrong must not close a link for good.
func TestClockSetBack(t *testing.T) {
	b, _ := Open("")
	b.Spend("lte", Budget, noon.AddDate(50, 0, 0))
	want(t, b, "lte", noon, 0)
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "upkeep.json")
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b.Spend("lte", 100, noon)
	b.Spend("old", 5, noon.Add(-50*time.Hour))
	if err := b.Save(noon, false); err != nil {
		t.Fatal(err)
	}
	b.Spend("lte", 20, noon)
	if err := b.Save(noon.Add(saveEvery-1), false); err != nil {
		t.Fatal(err)
	}
	again := func() *Books {
		t.Helper()
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	want(t, again(), "lte", noon, 100) // too soon to write again
	if err := b.Save(noon, true); err != nil {
		t.Fatal(err)
	}
	want(t, again(), "lte", noon, 120)
	if c := again(); len(c.links) != 1 {
		t.Errorf("the books hold %d links, want the one of today", len(c.links))
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestDamagedBooks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "upkeep.json")
	for _, text := range []string{"", "{", `{"lte":1}`, `{"lte":[{"hour":-1,"bytes":5}]}`} {
		os.WriteFile(path, []byte(text), 0o600)
		b, err := Open(path)
		if (err == nil) != (text == `{"lte":[{"hour":-1,"bytes":5}]}`) {
			t.Errorf("%q: %v", text, err)
		}
		b.Spend("lte", 3, noon)
		want(t, b, "lte", noon, 3)
		if err := b.Save(noon, true); err != nil {
			t.Error(err)
		}
	}
	b, _ := Open(filepath.Join(t.TempDir(), "missing", "upkeep.json"))
	b.Spend("lte", 3, noon)
	if b.Save(noon, true) == nil {
		t.Error("wrote into a directory that does not exist")
	}
}

func TestThrift(t *testing.T) {
	for percent, level := range map[uint64]Thrift{0: Plenty, 69: Plenty, 70: Saving, 85: Scant, 99: Scant, 100: Spent, 500: Spent} {
		if got := Of(percent*Budget/100, Budget); got != level {
			t.Errorf("%d %%: %s, want %s", percent, got, level)
		}
	}
}
