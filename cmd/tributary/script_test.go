package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tributary/proto/join"
)

// TestMain makes the test binary serve as the command, too, and as one that fails.
func TestMain(m *testing.M) {
	// Under nohup hangups are ignored, also by what is started from here: what these
	// tests say of hangups would not hold. Who catches them passes on the default.
	if strings.HasSuffix(strings.TrimSuffix(os.Args[0], ".exe"), ".test") && signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	testscript.Main(m, map[string]func(){"tributary": main, "top-panics": topPanics})
}

// TestScripts holds the command to its contract, a file for each sub-command.
// Each has a network namespace of its own where that is possible; what starts a
// gateway is skipped elsewhere, since that would change this host's routing.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			where := namespace(t)
			if where == inAnother {
				return
			}
			s := &script{running: map[string]*process{}}
			testscript.Run(t, testscript.Params{
				Files:               []string{file},
				RequireExplicitExec: true,
				Setup:               func(env *testscript.Env) error { env.Setenv("GORACE", gorace); return nil },
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"fails": s.fails, "start": s.start, "ready": s.ready, "signal": s.signal, "ended": s.ended,
					"cmdline": s.cmdline, "links": s.links, "occupy": s.occupy, "serve": s.serve, "fetch": s.fetch,
					"network": s.network, "kernel": s.kernel, "members": s.members, "up": s.up,
					"ask": s.ask, "hold": s.hold, "session": s.session, "wrote": s.wrote,
				},
				Condition: func(name string) (bool, error) {
					if name == "namespace" {
						return where == inOwn, nil
					}
					return false, fmt.Errorf("no condition %q", name)
				},
			})
		})
	}
}

// gorace is for the processes of a script: each would wait a second for races at
// its end.
const gorace = "atexit_sleep_ms=0"

// Where a script runs.
const (
	inPlace   = iota // in the host's own network
	inOwn            // in a fresh namespace
	inAnother        // in another process, which has such a namespace, and is done
)

// A script is the state behind its own commands.
type script struct {
	running map[string]*process
	far     *far // where relay and final servers are
}

// A process is a tributary in the background. It writes to NAME.out and NAME.err.
type process struct {
	cmd  *exec.Cmd
	err  string // path of what it writes to stderr
	done chan struct{}
}

// fails CODE ARG... runs tributary and wants that exit status, which "! exec" does not tell.
func (s *script) fails(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("tributary", args[1:]...)
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit):
		ts.Fatalf("want exit status %d, got %v", want, err)
	case exit.ExitCode() != want:
		ts.Fatalf("want exit status %d, got %v", want, exit)
	}
}

// start [-far] NAME ARG... runs tributary in the background.
func (s *script) start(ts *testscript.TestScript, neg bool, args []string) {
	in := func(f func() error) error { return f() }
	if args[0] == "-far" {
		in, args = s.far.do, args[1:]
	}
	p := &process{cmd: exec.Command("tributary", args[1:]...), err: ts.MkAbs(args[0] + ".err"), done: make(chan struct{})}
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"), "GORACE="+gorace)
	stdout, err := os.Create(ts.MkAbs(args[0] + ".out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(p.err)
	ts.Check(err)
	defer stderr.Close()
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	ts.Check(in(p.cmd.Start))
	go func() { p.cmd.Wait(); close(p.done) }()
	s.running[args[0]] = p
	ts.Defer(func() { p.cmd.Process.Kill(); <-p.done })
}

// patience is what anything may take before the script fails. Wide: it is never
// what is tested.
const patience = 20 * time.Second

// eventually waits until f is true.
func eventually(ts *testscript.TestScript, what string, f func() bool) {
	for end := time.Now().Add(patience); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// ready NAME waits for the line that says so.
func (s *script) ready(ts *testscript.TestScript, neg bool, args []string) {
	p := s.running[args[0]]
	eventually(ts, args[0]+" ready", func() bool {
		text, err := os.ReadFile(p.err)
		ts.Check(err)
		select {
		case <-p.done:
			ts.Fatalf("%s ended: %v\n%s", args[0], p.cmd.ProcessState, text)
		default:
		}
		return strings.Contains(string(text), " msg=ready ")
	})
}

// ended NAME CODE waits for the end of a process and wants that exit status; -1
// is a signal.
func (s *script) ended(ts *testscript.TestScript, neg bool, args []string) {
	p := s.running[args[0]]
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s does not end", args[0])
	}
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != args[1] {
		text, _ := os.ReadFile(p.err)
		ts.Fatalf("exit status of %s is %s, want %s\n%s", args[0], got, args[1], text)
	}
}

// cmdline NAME TEXT finds a text in the arguments that every user of the host can list.
func (s *script) cmdline(ts *testscript.TestScript, neg bool, args []string) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.running[args[0]].cmd.Process.Pid))
	ts.Check(err)
	if strings.Contains(string(text), args[1]) == neg {
		ts.Fatalf("arguments of %s: %q", args[0], text)
	}
}

// links FILE finds the join link that the relay wrote there, and sets $JOIN, its
// $SECRET, and $WRONG_SECRET and $WRONG_PIN, which are links that cannot work.
func (s *script) links(ts *testscript.TestScript, neg bool, args []string) {
	for _, word := range strings.Fields(ts.ReadFile(args[0])) {
		l, err := join.Parse(word)
		if err != nil {
			continue
		}
		ts.Setenv("JOIN", l.Text())
		ts.Setenv("SECRET", l.Secret.Text())
		other := l
		other.Secret[0] ^= 1
		ts.Setenv("WRONG_SECRET", other.Text())
		ts.Setenv("OTHER_SECRET", other.Secret.Text())
		other = l
		other.Pin[0] ^= 1
		ts.Setenv("WRONG_PIN", other.Text())
		return
	}
	ts.Fatalf("no join link in %s", args[0])
}

// occupy ADDR:PORT takes a port. Who asks there gets an HTTP page.
func (s *script) occupy(ts *testscript.TestScript, neg bool, args []string) {
	s.listen(ts, func(f func() error) error { return f() }, args[0])
}

// serve ADDR:PORT starts a final server on the far side.
func (s *script) serve(ts *testscript.TestScript, neg bool, args []string) {
	s.listen(ts, s.far.do, args[0])
}

// served is what those servers say.
const served = "hello from the final server\n"

func (s *script) listen(ts *testscript.TestScript, in func(func() error) error, addr string) {
	var l net.Listener
	ts.Check(in(func() (err error) { l, err = net.Listen("tcp", addr); return err }))
	server := &http.Server{Handler: http.HandlerFunc(serveBytes)}
	go server.Serve(l)
	ts.Defer(func() { server.Close() })
}
