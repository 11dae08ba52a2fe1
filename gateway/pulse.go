package gateway

import (
	"net"

	"tributary/mptcp"
)

// restSamples is after how many samples a connection at rest is looked at all the
// same: keepalive probes leave no trace in its pulse.
const restSamples = 30

// A pulse is what of a connection changes with whatever its subflows carry, come and
// go. It costs the kernel a tenth of what all that is known of them costs, and most
// of a thousand connections are at rest.
type pulse struct {
	sent, received, resent uint64
	extra, total           int
	unacked                uint64
}

// restTime is for how long no acknowledgement may have come on a connection at rest:
// each packet of the peer's with data has one, those too that wait for earlier ones,
// which are not counted as received yet.
const restTime = 2 * sampleEvery

// still reports whether nothing has changed, and nothing is under way that might be
// lost meanwhile.
func (p pulse) still(was pulse) bool { return p == was && p.unacked == 0 }

// atRest reports whether a connection needs no look, by its pulse.
func (f *followed) atRest(c *net.TCPConn) bool {
	info, err := mptcp.Info(c)
	if err != nil {
		return false // plain TCP
	}
	now := pulse{
		sent: info.BytesSent, received: info.BytesReceived, resent: info.BytesRetrans,
		extra: info.Extra, total: info.Total, unacked: info.WriteSeq - info.SndUna,
	}
	was := f.pulse
	f.pulse = now
	if f.skipped++; f.skipped >= restSamples || info.LastAckRecv < restTime || !now.still(was) || !f.joined() {
		f.skipped = 0
		return false
	}
	return true
}

// joined reports whether there was a subflow when the connection was looked at last,
// and none on its way: that one has come about changes no pulse.
func (f *followed) joined() bool {
	if f.reach != reached {
		return false
	}
	for _, s := range f.live {
		if s.State != mptcp.Established {
			return false
		}
	}
	return true
}
