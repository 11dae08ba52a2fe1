package link

import (
	"encoding/binary"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// groups are the rtnetlink multicast groups listened to (linux/rtnetlink.h).
var groups = [...]uint32{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
}

// eventBuffer, in bytes, holds some thousand events while we are busy. If it
// overflows, everything is looked at anew.
const eventBuffer = 1 << 20

// events turns the kernel's events into signals. All groups share one socket,
// so their order is kept.
type events struct {
	conn  *netlink.Conn
	alarm *alarm
	done  chan struct{}
}

func listen() (*events, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := conn.JoinGroup(g); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	// Without CAP_NET_ADMIN the kernel caps this at rmem_max, which is fine too.
	if err := conn.SetReadBuffer(eventBuffer); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	e := &events{conn: conn, alarm: newAlarm(), done: make(chan struct{})}
	go e.read()
	return e, nil
}

func (e *events) close() error {
	err := e.conn.Close()
	<-e.done
	return err
}

// read ends when the socket is closed.
func (e *events) read() {
	defer close(e.done)
	for {
		msgs, err := e.conn.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			e.alarm.raise(all)
		case err != nil:
			return
		}
		var s signal
		for _, m := range msgs {
			s |= judge(uint16(m.Header.Type), m.Data)
		}
		if s != 0 {
			e.alarm.raise(s)
		}
	}
}

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
