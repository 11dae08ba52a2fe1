package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	// Processors are those that a program started from now on may use; nil leaves it
	// all.
	Processors *unix.CPUSet
	// Unprivileged starts programs without the right to change their host's network:
	// they leave its links alone, and its settings.
	Unprivileged bool
	// Log receives what the programs write to stderr; nil discards it.
	Log io.Writer

	logging        sync.Mutex // both programs write to Log
	relay, gateway *process
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
	// A session of its own: Ctrl-C at the terminal is the lab's, which ends them in
	// order, and like a service they have no terminal.
	cmd.SysProcAttr.Setsid = true
	cmd.Processors, cmd.Unprivileged = s.Processors, s.Unprivileged
	p := &process{Cmd: cmd, name: args[0]}
	// A file, not a pipe: what the program wrote before it was ready is in it then.
	out, err := os.Create(filepath.Join(s.Dir, args[0]+".out"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, p.stdout = out, out
	errs := &readyWriter{to: log, logging: &s.logging, name: args[0], ready: make(chan struct{})}
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

// Proxy returns the URL of the gateway for a scheme that net/http knows.
func (s *System) Proxy(scheme string) string {
	return scheme + "://" + net.JoinHostPort("127.0.0.1", fmt.Sprint(ProxyPort))
}
