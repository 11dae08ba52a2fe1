package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Where the gateway listens on the host "home", and the relay on the host
// "relay".
const (
	ProxyPort = 1080
	APIPort   = 8081
	RelayPort = 8443
)

// startTime is what a program may take to become ready.
const startTime = 10 * time.Second

// A System is the relay and the gateway running in a Network: processes of the
// real binary, each on its host.
type System struct {
	Network *Network
	// Binary is the program to run, by default this very one.
	Binary string
	// Dir holds the state directories. It must exist.
	Dir string
	// Files limits how many files a program started from now on may open; 0 leaves
	// it as it is.
	Files int
	// Log receives what the programs write to stderr; nil discards it.
	Log io.Writer

	relay, gateway *process
}

// A process is a running program that said it was ready.
type process struct {
	*Cmd
	name   string
	stdout *os.File // what it writes there
}

// Start starts the relay and then the gateway, with the join link that the relay
// printed. Close ends both.
func (s *System) Start(ctx context.Context) error {
	if err := s.StartRelay(ctx); err != nil {
		return err
	}
	return s.StartGateway(ctx)
}

// StartRelay starts the relay with these further arguments.
func (s *System) StartRelay(ctx context.Context, args ...string) (err error) {
	s.relay, err = s.start(ctx, "relay", append([]string{
		"relay", "--state", filepath.Join(s.Dir, "relay"), "--listen", fmt.Sprintf("0.0.0.0:%d", RelayPort),
		"--advertise", s.Network.Addrs(RelayName)[0].String(),
	}, args...))
	return err
}

// StartGateway starts the gateway with these further arguments.
func (s *System) StartGateway(ctx context.Context, args ...string) (err error) {
	link, err := s.JoinLink()
	if err != nil {
		return err
	}
	s.gateway, err = s.start(ctx, "home", append([]string{
		"gateway", "--state", filepath.Join(s.Dir, "gateway"), "--join", link,
		"--socks", fmt.Sprintf("127.0.0.1:%d", ProxyPort), "--api", fmt.Sprintf("127.0.0.1:%d", APIPort),
	}, args...))
	return err
}

// JoinLink returns the link that the relay printed when it was started.
func (s *System) JoinLink() (string, error) {
	if s.relay == nil {
		return "", errors.New("the relay was not started")
	}
	out, err := os.ReadFile(s.relay.stdout.Name())
	if err != nil {
		return "", err
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "tributary://") {
			return word, nil
		}
	}
	return "", errors.New("the relay printed no join link")
}

// StopRelay ends the relay with a signal and waits for it. StopGateway does the
// same for the gateway.
func (s *System) StopRelay(sig syscall.Signal) error { return s.relay.stop(sig) }

// StopGateway ends the gateway with a signal and waits for it.
func (s *System) StopGateway(sig syscall.Signal) error { return s.gateway.stop(sig) }

// Close ends both programs in good order. It fails if one did not end so.
func (s *System) Close() error {
	return errors.Join(s.gateway.stop(syscall.SIGTERM), s.relay.stop(syscall.SIGTERM))
}

func (p *process) stop(sig syscall.Signal) error {
	if p == nil || p.ProcessState != nil {
		return nil
	}
	p.Process.Signal(sig)
	err := p.Wait()
	if sig == syscall.SIGKILL {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	return nil
}

// program is the binary to run.
func (s *System) program() (string, error) {
	if s.Binary != "" {
		return s.Binary, nil
	}
	return os.Executable()
}

// start runs the binary on a host until it says that it is ready.
func (s *System) start(ctx context.Context, host string, args []string) (*process, error) {
	binary, err := s.program()
	if err != nil {
		return nil, err
	}
	log := s.Log
	if log == nil {
		log = io.Discard
	}
	command := append([]string{binary}, args...)
	if s.Files > 0 {
		// The limit must hold before the program's first instruction.
		command = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, s.Files)}, command...)
	}
	cmd := s.Network.Host(host).Command(context.WithoutCancel(ctx), command[0], command[1:]...)
	// A group of its own: Ctrl-C at the terminal is the lab's, which ends them in order.
	cmd.SysProcAttr.Setpgid = true
	p := &process{Cmd: cmd, name: args[0]}
	// A file, not a pipe: what the program wrote before it was ready is in it then.
	out, err := os.Create(filepath.Join(s.Dir, args[0]+".out"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, p.stdout = out, out
	errs := &readyWriter{to: log, name: args[0], ready: make(chan struct{})}
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case <-errs.ready:
		return p, nil
	case err := <-ended:
		return nil, fmt.Errorf("tributary %s ended: %w: %s", args[0], err, errs.last())
	case <-ctx.Done():
		cmd.Process.Kill()
		<-ended
		return nil, fmt.Errorf("tributary %s is not ready: %w: %s", args[0], context.Cause(ctx), errs.last())
	}
}

// A readyWriter passes a program's log on and sees the line that says ready.
type readyWriter struct {
	to    io.Writer
	name  string
	ready chan struct{}

	mu   sync.Mutex
	line strings.Builder
	seen bool
	tail []string
}

func (w *readyWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range p {
		if b != '\n' {
			w.line.WriteByte(b)
			continue
		}
		text := w.line.String()
		w.line.Reset()
		w.tail = append(w.tail[max(0, len(w.tail)-4):], text)
		fmt.Fprintf(w.to, "%-7s %s\n", w.name, text)
		if !w.seen && strings.Contains(text, "msg=ready") {
			w.seen = true
			close(w.ready)
		}
	}
	return len(p), nil
}

func (w *readyWriter) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.tail, "; ")
}

// A Status is the part of the gateway's status that the lab looks at.
type Status struct {
	Relay struct {
		State string
	}
	Multipath struct {
		OK  bool
		Why string
	}
	Links []LinkStatus
	Pool  struct {
		Warm         int
		Hits, Misses int64
	}
	Sessions struct {
		Open  int
		Total int64
	}
}

// A LinkStatus is what the gateway says of one link; bytes are the kernel's
// subflow counters.
type LinkStatus struct {
	Name, State, MPTCP string
	RTTms              float64 `json:"rtt_ms"`
	BytesUp            uint64  `json:"bytes_up"`
	BytesDown          uint64  `json:"bytes_down"`
}

// Status asks the gateway.
func (s *System) Status(ctx context.Context) (st Status, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext:       s.Network.Host("home").DialContext,
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/api/status", APIPort), nil)
	if err != nil {
		return st, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return st, fmt.Errorf("ask the gateway for its status: %w", err)
	}
	defer resp.Body.Close()
	return st, json.NewDecoder(bufio.NewReader(resp.Body)).Decode(&st)
}

// WaitStatus asks the gateway until ok is satisfied.
func (s *System) WaitStatus(ctx context.Context, what string, ok func(Status) bool) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		st, err := s.Status(ctx)
		if err == nil && ok(st) {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return st, fmt.Errorf("the gateway's status never showed %s: %+v %w", what, st, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Warm waits until the pool is filled: the system is at rest.
func (s *System) Warm(ctx context.Context) error {
	_, err := s.WaitStatus(ctx, "a filled pool", func(st Status) bool { return st.Pool.Warm >= 8 })
	return err
}

// Proxy returns the URL of the gateway for a scheme that net/http knows.
func (s *System) Proxy(scheme string) string {
	return scheme + "://" + net.JoinHostPort("127.0.0.1", fmt.Sprint(ProxyPort))
}
