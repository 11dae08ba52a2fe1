package relay

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"tributary/proto/join"
)

// TestAlso binds further ports, which join links name until a relay without them starts.
func TestAlso(t *testing.T) {
	dir := t.TempDir()
	ls, err := listenAlso(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Also: []uint16{0, 0}, StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var want [join.MaxAlso]uint16
	for i, l := range ls {
		want[i] = netip.MustParseAddrPort(l.Addr().String()).Port()
		defer l.Close()
	}
	if got, err := readAlso(dir); err != nil || got != want || want[1] == 0 {
		t.Errorf("remembered %v, %v; want %v", got, err, want)
	}
	_, err = listenAlso(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Also: want[:1], StateDir: dir})
	if which := new(AlsoError); !errors.As(err, &which) {
		t.Errorf("a port that is taken: %v", err)
	}
	if _, err := listenAlso(Config{Also: make([]uint16, join.MaxAlso+1), StateDir: dir}); err == nil {
		t.Error("takes more than there may be")
	}
	if _, err := listenAlso(Config{StateDir: dir}); err != nil {
		t.Fatal(err)
	}
	if got, err := readAlso(dir); err != nil || slices.Max(got[:]) != 0 {
		t.Errorf("without any: %v, %v", got, err)
	}
}
