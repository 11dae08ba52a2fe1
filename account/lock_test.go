package account

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		unlock, err := lock(dir)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := tryLock(filepath.Join(dir, lockName)); u != nil || err != nil {
			t.Fatalf("a second holder: %v", err)
		}
		time.AfterFunc(time.Second, unlock)
		begun := time.Now()
		second, err := lock(dir)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < time.Second || took > time.Second+2*lockPoll {
			t.Errorf("waited %v, want a second", took)
		}
		defer second()
	})
	if _, err := lock(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("locked a directory that is not there")
	}
}
