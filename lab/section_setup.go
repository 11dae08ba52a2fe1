package lab

import (
	"fmt"
	"io"
)

// WriteSection writes all tables and pictures.
func (s *SetupTimes) WriteSection(w io.Writer) {
	fmt.Fprint(w, "### Setup time against the round trip\n\n![Setup time against the round trip](figures/setup.svg)\n\n")
	s.WriteCurve(w)
	fmt.Fprint(w, "\nMedian and 95th percentile in ms. \"SOCKS5\" goes step by step over Multipath TCP, to a server without a password and to our\n"+
		"relay in clear text with one; \"pipelined\" sends all of it at once. \"Cold\" are requests that found no warm connection;\n"+
		"\"recycled\" ones go over a connection that has carried a session before, which \"warm\" ones have not.\n\n"+
		s.aboutPeer()+
		"### Where the time goes\n\n![SOCKS5 step by step](figures/ladder-socks5.svg)\n\n![Tributary, warm](figures/ladder-warm.svg)\n\n"+
		"### Completion time by size\n\n![Completion time by size](figures/completion-by-size.svg)\n\n")
	s.WriteSizes(w)
	fmt.Fprint(w, "\nMedian and 95th percentile in ms, from the client's SYN to the last byte.\n\n### A burst after a rest\n\n")
	s.WriteBursts(w)
	fmt.Fprint(w, "\nIn ms. The share with every link joined is read from the captured packets: the third packet of each MP_JOIN handshake\n"+
		"had arrived when the request left.\n")
}

// aboutPeer says what the other proxy of the tables is.
func (s *SetupTimes) aboutPeer() string {
	if s.Peer == "" {
		return ""
	}
	return "\"sing-box\" is " + s.Peer + ", its client at home and its server beside our relay: Shadowsocks 2022 over Multipath TCP, with the\n" +
		"endpoints and routes that the gateway sets for itself, without which it would use one link. With \"smux\" it sends many\n" +
		"streams over connections that it keeps.\n\n"
}
