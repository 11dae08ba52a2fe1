package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"syscall"
)

// Where the peer listens: its client on the host "home", its server on "relay".
const (
	peerSocksPort  = 2080
	peerMuxPort    = 2081 // by way of connections that carry many streams
	peerServerPort = 8488
)

// startPeers starts sing-box on both sides, if it is there: a client that speaks
// SOCKS5 to the instrument and Shadowsocks 2022 over Multipath TCP to a server. The
// kernel's endpoints and routes at home are those that the gateway sets for itself,
// which is more than sing-box would do for its user. The caller calls stop.
func (r *setupRun) startPeers(ctx context.Context) (stop func() error, err error) {
	path, version, err := findPeer()
	if errors.Is(err, errNoPeer) {
		r.notMeasured("setup times beside "+peerProgram, "it is not installed")
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	key := make([]byte, 16)
	rand.Read(key)
	box := peerBox{Type: "shadowsocks", Method: "2022-blake3-aes-128-gcm", Password: base64.StdEncoding.EncodeToString(key), Multipath: true}
	in, out := box, box
	in.Listen, in.ListenPort, in.Multiplex = "0.0.0.0", peerServerPort, &peerMux{Enabled: true}
	out.Server, out.ServerPort = r.Network.Addrs(RelayName)[0].String(), peerServerPort
	mux := out
	mux.Tag, mux.Multiplex = "mux", &peerMux{Enabled: true, Protocol: "smux"}
	client := peerConfig{
		Inbounds: []peerBox{
			{Type: "socks", Listen: "127.0.0.1", ListenPort: peerSocksPort},
			{Type: "socks", Tag: "for-mux", Listen: "127.0.0.1", ListenPort: peerMuxPort},
		},
		Outbounds: []peerBox{out, mux},
		Route:     peerRoute{Rules: []peerRule{{Inbound: "for-mux", Outbound: "mux"}}},
	}
	var running []*process
	stop = func() error {
		var errs []error
		for _, p := range running {
			errs = append(errs, p.stop(syscall.SIGTERM))
		}
		return errors.Join(errs...)
	}
	for _, side := range []struct {
		host string
		peerConfig
	}{
		{"relay", peerConfig{Inbounds: []peerBox{in}, Outbounds: []peerBox{{Type: "direct"}}}},
		{"home", client},
	} {
		p, err := r.startPeer(ctx, path, side.host, side.peerConfig)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		running = append(running, p)
	}
	r.Setup.Peer = version
	return stop, nil
}

// peerVia is the instrument's way through the peer.
func peerVia(port int) []string {
	return []string{"--via", fmt.Sprintf("socks5://127.0.0.1:%d", port)}
}

// withPeer adds the peer's ways to others, if there is a peer.
func (r *setupRun) withPeer(ways []string, peers ...string) []string {
	if r.Setup.Peer != "" {
		ways = append(slices.Clone(ways), peers...)
	}
	return ways
}
