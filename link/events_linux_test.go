package link

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

func TestJudge(t *testing.T) {
	ifinfo := func(flags uint32) []byte {
		return binary.NativeEndian.AppendUint32(make([]byte, 8, unix.SizeofIfInfomsg), flags)
	}
	rt := func(dstLen, protocol byte) []byte {
		b := make([]byte, unix.SizeofRtMsg)
		b[1], b[5] = dstLen, protocol
		return b
	}
	up := append(ifinfo(unix.IFF_UP|unix.IFF_RUNNING), 0, 0, 0, 0)
	down := append(ifinfo(unix.IFF_UP), 0, 0, 0, 0)
	for _, test := range []struct {
		name string
		typ  uint16
		data []byte
		want signal
	}{
		{"carrier", unix.RTM_NEWLINK, up, soon},
		{"no carrier", unix.RTM_NEWLINK, down, now},
		{"interface removed", unix.RTM_DELLINK, up, now},
		{"address removed", unix.RTM_DELADDR, nil, now},
		{"address", unix.RTM_NEWADDR, nil, soon},
		{"default route", unix.RTM_NEWROUTE, rt(0, unix.RTPROT_DHCP), soon},
		{"default route removed", unix.RTM_DELROUTE, rt(0, unix.RTPROT_DHCP), soon},
		{"one of a million routes", unix.RTM_NEWROUTE, rt(24, unix.RTPROT_BGP), 0},
		{"our own doing", unix.RTM_NEWROUTE, rt(0, Protocol), 0},
		{"route of ours removed", unix.RTM_DELROUTE, rt(24, Protocol), soon},
		{"our own rule", unix.RTM_NEWRULE, nil, 0},
		{"rule removed", unix.RTM_DELRULE, nil, soon},
	} {
		if got := judge(test.typ, test.data); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
		for n := range test.data {
			judge(test.typ, test.data[:n]) // must not panic
		}
	}
}
