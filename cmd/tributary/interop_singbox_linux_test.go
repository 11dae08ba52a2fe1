package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	xproxy "golang.org/x/net/proxy"

	"tributary/lab"
)

// TestInteropSingBox lets sing-box take the gateway's place: what phones and
// computers have that run no program of ours.
func TestInteropSingBox(t *testing.T) {
	needs(t, "interop", "curl", "sing-box")
	s := newSite(t)
	config := filepath.Join(s.dir, "relay.toml")
	if err := os.WriteFile(config, []byte("[relay]\ntrust_clear = [\"11.0.0.0/8\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.relay = s.start(t, s.forEver("relay", s.binary(), "relay", "--state", filepath.Join(s.dir, "relay"), "--config", config))
	s.readLink(t)
	shadowsocks := s.shadowsocksBox(t)
	socks := map[string]any{"type": "socks", "version": "5", "server": s.link.Host, "server_port": s.link.Port,
		"username": s.link.Account, "password": s.link.Secret.Text()}
	// Its SOCKS5 knows no TLS, its HTTP CONNECT does. A pin it knows from 1.13 on, as
	// certificate_public_key_sha256.
	https := map[string]any{"type": "http", "server": s.link.Host, "server_port": s.link.Port,
		"username": s.link.Account, "password": s.link.Secret.Text(), "tls": map[string]any{"enabled": true, "insecure": true}}
	for _, c := range []struct {
		name string
		box  map[string]any
		// honest says that a refusal is known as one: Shadowsocks knows only an end.
		multipath, honest bool
	}{
		{"Shadowsocks over MPTCP", shadowsocks, true, false},
		{"Shadowsocks over TCP", shadowsocks, false, false},
		{"SOCKS5 over MPTCP", socks, true, true},
		{"SOCKS5 over TCP", socks, false, true},
		{"HTTP CONNECT in TLS over MPTCP", https, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.box["tcp_multi_path"] = c.multipath
			before := s.multipathAccepted(t)
			s.runBox(t, c.box)
			t.Run("download", s.boxDownloads)
			t.Run("upload", s.boxUploads)
			t.Run("server first", s.boxHearsBanner)
			t.Run("refused port", func(t *testing.T) { s.boxIsRefused(t, c.honest) })
			if now := s.multipathAccepted(t); (now > before) != c.multipath {
				t.Errorf("the relay accepted %d connections with MPTCP", now-before)
			}
		})
	}
}

// shadowsocksBox is sing-box's outbound from what "account shadowsocks" prints, as
// docs/operations.md has it.
func (s *site) shadowsocksBox(t *testing.T) map[string]any {
	t.Helper()
	out, err := s.command(t, "relay", s.binary(), "account", "shadowsocks", "default", "--state", filepath.Join(s.dir, "relay"), "--advertise", s.link.Host).Output()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	port, err := strconv.Atoi(u.Port())
	if err != nil || u.Scheme != "ss" || u.Fragment != s.link.Account {
		t.Fatalf("not for Shadowsocks: %s %v", out, err)
	}
	return map[string]any{"type": "shadowsocks", "server": u.Hostname(), "server_port": port, "method": u.User.Username(), "password": password}
}

// boxPort is sing-box's own inbound at home.
const boxPort = 2080

var boxAddr = fmt.Sprint("127.0.0.1:", boxPort)

// runBox runs sing-box at home with this outbound, until the test ends.
func (s *site) runBox(t *testing.T, outbound map[string]any) {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"log":       map[string]any{"level": "debug"},
		"inbounds":  []any{map[string]any{"type": "mixed", "listen": "127.0.0.1", "listen_port": boxPort}},
		"outbounds": []any{outbound},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sing-box.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	box := s.forEver("home", program("sing-box"), "run", "-D", filepath.Dir(file), "-c", file)
	var said locked
	box.Stdout, box.Stderr = &said, &said
	if err := box.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		box.Process.Signal(os.Interrupt)
		if err := box.Wait(); err != nil {
			t.Errorf("sing-box: %v", err)
		}
		if t.Failed() {
			t.Log(said.String())
		}
	})
	until(t, 10*time.Second, "sing-box listens", func() bool {
		c, err := s.net.Host("home").DialContext(t.Context(), "tcp", boxAddr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// multipathAccepted is how many connections the relay's host accepted with MPTCP.
func (s *site) multipathAccepted(t *testing.T) int {
	t.Helper()
	var text []byte
	err := s.net.Host("relay").Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/netstat")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] != "MPTcpExt:" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, name := range names {
			if name == "MPCapableACKRX" {
				n, err := strconv.Atoi(words[i])
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Fatal("the kernel does not count connections with MPTCP")
	return 0
}

func boxSize() int64 {
	if testing.Short() {
		return 5e6
	}
	return 25e6
}

func (s *site) boxDownloads(t *testing.T) {
	n := boxSize()
	h := sha256.New()
	began := time.Now()
	status, said := s.curl(t, h, "--socks5-hostname", boxAddr, fmt.Sprintf("%s/bytes?n=%d", finalSite, n))
	if sum := fmt.Sprintf("%x", h.Sum(nil)); status != 0 || sum != lab.Sum(n) {
		t.Errorf("status %d, sum %s\n%s", status, sum, said)
	}
	t.Logf("%.0f Mbit/s", float64(n)*8/1e6/time.Since(began).Seconds())
}

func (s *site) boxUploads(t *testing.T) {
	n := boxSize() / 5
	file := filepath.Join(t.TempDir(), "content")
	content, err := io.ReadAll(lab.Content(n))
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	status, said := s.curl(t, &answer, "--socks5-hostname", boxAddr, "--data-binary", "@"+file, finalSite+"/upload")
	var report lab.UploadReport
	if err := json.Unmarshal(answer.Bytes(), &report); status != 0 || err != nil || report.SHA256 != lab.Sum(n) {
		t.Errorf("status %d, %+v, %v\n%s", status, report, err, said)
	}
}

// boxHearsBanner waits for a server that speaks first.
func (s *site) boxHearsBanner(t *testing.T) {
	d, err := xproxy.SOCKS5("tcp", boxAddr, nil, hostDialer{s.net.Host("home")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Dial("tcp", fmt.Sprint("server.lab:", lab.PortBanner))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(lab.Banner))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != lab.Banner {
		t.Errorf("read %q, %v", got, err)
	}
}

// hostDialer dials from a host of the lab.
type hostDialer struct{ host *lab.Host }

func (d hostDialer) Dial(network, addr string) (c net.Conn, err error) {
	return d.host.DialContext(context.Background(), network, addr)
}

// boxIsRefused asks for a port where nobody listens: that ends the connection, and
// where the protocol can say so the client of sing-box hears it.
func (s *site) boxIsRefused(t *testing.T, honest bool) {
	began := time.Now()
	status, said := s.curl(t, io.Discard, "--socks5-hostname", boxAddr, fmt.Sprintf("http://server.lab:%d/", lab.PortRefused))
	const proxyRefuses = 97
	if status == 0 || honest && status != proxyRefuses {
		t.Errorf("status %d\n%s", status, said)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
