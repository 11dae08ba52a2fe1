package fastopen

import (
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	const on = "TCP Fast Open on MPTCP listeners "
	for _, tt := range []struct {
		report Report
		safe   bool
		text   string
	}{
		{Report{Why: "no rights"}, false, on + "is not tested and stays off: no rights"},
		{Report{Tested: true}, true, on + "is safe on this kernel"},
		{Report{Tested: true, EarlyWriteLost: true}, false,
			on + "stays off, this kernel has faults: an answer written before the handshake ends is never sent"},
		{Report{Tested: true, DownloadCollapses: true, Dropped: 7, Download: 900 * time.Millisecond, Normal: 400 * time.Millisecond}, false,
			on + "stays off, this kernel has faults: a download over two subflows overruns the client (7 segments beyond the window; 900 ms, usually 400)"},
	} {
		if s := tt.report.String(); s != tt.text || tt.report.Safe() != tt.safe {
			t.Errorf("%+v says %q, safe %v", tt.report, s, tt.report.Safe())
		}
	}
}
