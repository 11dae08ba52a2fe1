package lab

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// peerProgram is what we are compared with. It is under the GPL, so it is only ever
// run, as a program of its own.
const peerProgram = "sing-box"

// errNoPeer says that there is nothing to compare with, which is no failure.
var errNoPeer = errors.New(peerProgram + " is not installed; CONTRIBUTING.md says how")

// findPeer returns where the peer is and what it is, e.g. "sing-box v1.12.0".
func findPeer() (path, version string, err error) {
	if path, err = exec.LookPath(peerProgram); err != nil {
		return "", "", errNoPeer
	}
	// Its own answer is "unknown" where "go install" made it.
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", "", fmt.Errorf("find out the version of %s: %w", path, err)
	}
	return path, peerProgram + " " + info.Main.Version, nil
}

// A peerConfig is sing-box's configuration as far as the lab needs one.
type peerConfig struct {
	Log       peerLog   `json:"log"`
	Inbounds  []peerBox `json:"inbounds"`
	Outbounds []peerBox `json:"outbounds"`
	Route     peerRoute `json:"route"`
}

// A peerRoute leads what comes by an inbound to an outbound, both by their tags;
// what no rule is for goes to the first outbound.
type peerRoute struct {
	Rules []peerRule `json:"rules"`
}

type peerRule struct {
	Inbound  string `json:"inbound"`
	Outbound string `json:"outbound"`
}

type peerLog struct {
	Level string `json:"level"`
}

// A peerBox is an inbound or an outbound.
type peerBox struct {
	Type       string     `json:"type"`
	Tag        string     `json:"tag,omitempty"`
	Listen     string     `json:"listen,omitempty"`
	ListenPort int        `json:"listen_port,omitempty"`
	Server     string     `json:"server,omitempty"`
	ServerPort int        `json:"server_port,omitempty"`
	Method     string     `json:"method,omitempty"`
	Password   string     `json:"password,omitempty"`
	Users      []peerUser `json:"users,omitempty"`
	Multipath  bool       `json:"tcp_multi_path,omitempty"`
	Multiplex  *peerMux   `json:"multiplex,omitempty"`
}

type peerMux struct {
	Enabled  bool   `json:"enabled"`
	Protocol string `json:"protocol,omitempty"` // an outbound's
}

type peerUser struct {
	Username string `json:"username,omitempty"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password"`
}

// startPeer runs sing-box on a host until its first inbound listens.
func (s *System) startPeer(ctx context.Context, path, host string, config peerConfig) (*process, error) {
	config.Log.Level = "error" // a line for each connection would cost it time
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.Dir, peerProgram+"-"+host+".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	cmd := s.Network.Host(host).Command(context.WithoutCancel(ctx), path, "run", "-D", s.Dir, "-c", file)
	cmd.SysProcAttr.Setpgid = true
	cmd.Processors = s.Processors
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{Cmd: cmd, name: peerProgram}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for at := fmt.Sprintf("127.0.0.1:%d", config.Inbounds[0].ListenPort); ; {
		c, err := s.Network.Host(host).DialContext(ctx, "tcp4", at)
		if err == nil {
			return p, c.Close()
		}
		select {
		case err := <-ended:
			return nil, fmt.Errorf("%s ended: %w: %s", peerProgram, err, bytes.TrimSpace(said.Bytes()))
		case <-ctx.Done():
			cmd.Process.Kill()
			<-ended
			return nil, fmt.Errorf("%s does not listen: %w: %s", peerProgram, err, bytes.TrimSpace(said.Bytes()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
