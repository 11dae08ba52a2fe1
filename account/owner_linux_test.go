package account

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// An administrator's `account add` must not take the files from the relay's user.
func TestOwnerStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 4321, 4322); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).Add("anna"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{FileName, lockName} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 4321 || st.Gid != 4322 {
			t.Errorf("%s belongs to %d:%d, want 4321:4322", name, st.Uid, st.Gid)
		}
	}
}
