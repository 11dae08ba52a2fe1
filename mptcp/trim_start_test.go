package mptcp

import (
	"testing"
	"time"
)

// A path that has just joined a running transfer does not have the buffer grow by the
// queue that it fills, as measured when LTE was switched on again beside DSL.
func TestTrimWhileOneStarts(t *testing.T) {
	dsl := Subflow{
		State: Established, CWnd: 256, MSS: 1448, RTT: 51 * time.Millisecond, MinRTT: 41 * time.Millisecond, Unacked: 133,
		PacingRate: 3_700_000, DeliveryRate: 3_660_000,
	}
	lte := Subflow{
		State: Established, CWnd: 315, MSS: 1448, RTT: 152 * time.Millisecond, MinRTT: 61 * time.Millisecond, Unacked: 315,
		PacingRate: 7_200_000, DeliveryRate: 2_430_000,
	}
	if got := sendBuffer(withoutStarts([]Subflow{dsl, lte}), 0); got < 1_300_000 || got > 1_600_000 {
		t.Errorf("%d beside one that has its rate", got)
	}
	dsl.PacingRate = 9_000_000
	if got, kernel := sendBuffer(withoutStarts([]Subflow{dsl, lte}), 0), sendBuffer([]Subflow{dsl, lte}, 0); got != kernel {
		t.Errorf("%d where both start, want %d", got, kernel)
	}
	lte.PacingRate, dsl.PacingRate = ^uint64(0), ^uint64(0)
	if got, kernel := sendBuffer(withoutStarts([]Subflow{dsl, lte}), 0), sendBuffer([]Subflow{dsl, lte}, 0); got != kernel {
		t.Errorf("%d without pacing, want %d", got, kernel)
	}
}
