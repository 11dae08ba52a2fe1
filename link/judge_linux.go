package link

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// judge says what an rtnetlink event means to us: 0 if it cannot change a plan. On a
// router with a full table of routes that is nearly all of them.
func judge(typ uint16, data []byte) signal {
	switch typ {
	case unix.RTM_DELLINK, unix.RTM_DELADDR:
		return now
	case unix.RTM_NEWLINK:
		const alive = unix.IFF_UP | unix.IFF_RUNNING
		if len(data) >= unix.SizeofIfInfomsg && binary.NativeEndian.Uint32(data[8:])&alive != alive {
			return now
		}
		return soon
	case unix.RTM_NEWADDR, unix.RTM_DELRULE:
		return soon
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(data) < unix.SizeofRtMsg {
			return 0
		}
		isDefault, ours := data[1] == 0, data[5] == Protocol
		if ours && typ == unix.RTM_DELROUTE || !ours && isDefault {
			return soon
		}
	}
	return 0
}
