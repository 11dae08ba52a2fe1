package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tributary/gateway"
)

// A pty is a pseudo-terminal (pty(7)) with a program in front of it.
type pty struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	before unix.Termios
	cmd    *exec.Cmd
	ended  chan struct{}

	mu   sync.Mutex
	text string // all that was written to it
}

// onPTY starts a program in a terminal of its own.
func onPTY(t *testing.T, width, height int, env []string, name string, args ...string) *pty {
	t.Helper()
	p := &pty{t: t, ended: make(chan struct{})}
	var err error
	if p.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		lacking(t, "no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { p.master.Close() })
	var n int
	p.control(func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if p.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		lacking(t, "no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { p.slave.Close() })
	p.resize(width, height)
	p.before = p.termios()

	p.cmd = exec.Command(name, args...)
	p.cmd.Env = append(append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8", "GORACE="+gorace), env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.slave, p.slave, p.slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() { p.cmd.Process.Kill(); <-p.ended })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := p.master.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.text += string(buf[:n])
			p.mu.Unlock()
		}
	}()
	return p
}

// lacking skips a test, or fails it where it has to run.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TRIBUTARY_REQUIRE"), ","), "kernel") {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func (p *pty) control(f func(fd int) error) {
	p.t.Helper()
	if err := control(p.master, f); err != nil {
		p.t.Fatal(err)
	}
}

// resize tells the program, too: by SIGWINCH.
func (p *pty) resize(width, height int) {
	p.t.Helper()
	p.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	})
}

func (p *pty) termios() (state unix.Termios) {
	p.t.Helper()
	p.control(func(fd int) error {
		s, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			state = *s
		}
		return err
	})
	return state
}

func (p *pty) raw() bool { return p.termios().Lflag&unix.ICANON == 0 }

func (p *pty) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

func (p *pty) press(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pty) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// until waits.
func (p *pty) until(what string, f func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("never: %s\n%q", what, p.written())
		}
	}
}

// frame is what the terminal shows: the last whole frame.
func (p *pty) frame() []string {
	frames := strings.Split(p.written(), "\x1b[H")
	if len(frames) < 3 {
		return nil
	}
	text := strings.ReplaceAll(frames[len(frames)-2], "\x1b[K", "")
	return strings.Split(text, "\r\n")
}

func (p *pty) shows(text string) bool { return strings.Contains(strings.Join(p.frame(), "\n"), text) }

// gone wants the program to have ended with an exit status, and the terminal as it was.
func (p *pty) gone(code int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("does not end: %q", p.written())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit status %d, want %d: %q", got, code, p.written())
	}
	if p.termios() != p.before {
		p.t.Errorf("the terminal is not as it was: %+v, was %+v", p.termios(), p.before)
	}
}

// left wants the terminal's own screen and cursor back.
func (p *pty) left() {
	p.t.Helper()
	p.until("the terminal's own screen is back", func() bool {
		_, after, entered := strings.Cut(p.written(), enterScreen)
		return entered && strings.Contains(after, leaveScreen)
	})
}

// A stub is a gateway's API with one session over two links, that can go away.
type stub struct {
	t      *testing.T
	addr   string
	server *http.Server
}

func startStub(t *testing.T) *stub {
	s := &stub{t: t, addr: "127.0.0.1:0"}
	s.start()
	t.Cleanup(func() { s.server.Close() })
	return s
}

func (s *stub) start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := gateway.Status{LinkCare: "on", Multipath: gateway.MultipathStatus{OK: true}}
		status.Relay = gateway.RelayStatus{Address: "192.0.2.7:8443", State: "up", RTTms: 40}
		status.Links = []gateway.LinkStatus{
			{Name: "dsl", Mode: "on", State: "up", Health: "alive", Role: "full", MPTCP: "ok", RateDown: 2e7},
			{Name: "lte", Mode: "on", State: "up", Health: "alive", Role: "full", MPTCP: "ok", RateDown: 1e7},
		}
		status.Sessions.Open = 1
		if r.FormValue("sessions") == "1" {
			status.Sessions.List = []gateway.Session{{ID: 1, Client: "127.0.0.1:9", To: "web.example:443", State: "open", Subflows: []gateway.Subflow{
				{Link: "dsl", Remote: "192.0.2.7:8443", State: "established"}, {Link: "lte", Remote: "192.0.2.7:8443", State: "established"},
			}}}
		}
		json.NewEncoder(w).Encode(status)
	})}
	go s.server.Serve(l)
}
