package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"syscall"
)

// Where the peer listens: its client on the host "home", its server on "relay".
const (
	peerSocksPort  = 2080
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
	in.Listen, in.ListenPort = "0.0.0.0", peerServerPort
	out.Server, out.ServerPort = r.Network.Addrs(RelayName)[0].String(), peerServerPort
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
		{"home", peerConfig{Inbounds: []peerBox{{Type: "socks", Listen: "127.0.0.1", ListenPort: peerSocksPort}}, Outbounds: []peerBox{out}}},
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
func peerVia() []string {
	return []string{"--via", fmt.Sprintf("socks5://127.0.0.1:%d", peerSocksPort)}
}

// withPeer adds the peer's way to others, if there is a peer.
func (r *setupRun) withPeer(ways ...string) []string {
	if r.Setup.Peer != "" {
		ways = append(ways, WayPeer)
	}
	return ways
}
