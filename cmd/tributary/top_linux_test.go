package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"tributary/dashboard/screen"
)

// The live view in a terminal, from the first frame to the last key.
func TestTop(t *testing.T) {
	api := startStub(t)
	p := onPTY(t, 80, 24, nil, "tributary", "top", "--api", api.addr)
	p.until("a frame", func() bool { return p.shows("web.example:443") })
	if f := p.frame(); len(f) != 24 || !strings.Contains(f[0], "relay up 40 ms") || !strings.Contains(f[2], "dsl") || !strings.Contains(f[23], "q quit") {
		t.Errorf("frame %q", f)
	}
	if !p.raw() || !strings.Contains(p.written(), enterScreen) {
		t.Error("the terminal was not taken over")
	}
	if p.shows("lte to :8443") {
		t.Error("subflows are shown before anybody asks")
	}
	p.press("e")
	p.until("subflows", func() bool { return p.shows("lte to :8443") })

	p.resize(60, 15)
	p.until("a smaller frame", func() bool { return len(p.frame()) == 15 })
	p.press("?")
	p.until("help", func() bool { return p.shows("any key goes back") })
	p.press("x")

	api.server.Close()
	p.until("the gateway has gone", func() bool { return p.shows("no answer from "+api.addr) && p.shows("web.example:443") })
	api.start()
	p.until("the gateway is back", func() bool { return p.shows("answers again") })

	for _, stop := range []func(){func() { p.press("\x1a") }, func() { p.signal(syscall.SIGTSTP) }} {
		seen := len(p.written())
		stop()
		p.until("stopped", func() bool { return p.stopped() })
		p.until("the terminal's own screen is back", func() bool { return strings.HasSuffix(p.written(), leaveScreen) })
		if p.termios() != p.before {
			t.Errorf("stopped, and the terminal is not as it was: %q", p.written()[seen:])
		}
		p.signal(syscall.SIGCONT)
		p.until("a frame again", func() bool { return strings.Count(p.written()[seen:], "web.example:443") > 2 && p.raw() })
	}
	p.press("q")
	p.gone(0)
	p.left()
}

func (p *pty) stopped() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err == nil && strings.HasPrefix(rest, "T")
}

// Whatever ends it, the terminal is as it was.
func TestTopRestoresTheTerminal(t *testing.T) {
	api := startStub(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			p := onPTY(t, 80, 24, nil, "tributary", "top", "--api", api.addr)
			p.until("a frame", func() bool { return p.shows("web.example:443") })
			p.signal(s)
			p.gone(0)
			p.left()
		})
	}
	t.Run("Ctrl-C", func(t *testing.T) {
		p := onPTY(t, 80, 24, nil, "tributary", "top", "--api", api.addr)
		p.until("a frame", func() bool { return p.shows("web.example:443") })
		p.press("\x03")
		p.gone(0)
		p.left()
	})
	for _, where := range []string{"here", "beside"} {
		t.Run("panic "+where, func(t *testing.T) {
			p := onPTY(t, 80, 24, nil, "top-panics", where)
			p.gone(2)
			p.left()
			p.until("what went wrong is to be seen afterwards", func() bool {
				_, after, _ := strings.Cut(p.written(), leaveScreen)
				return strings.Contains(after, "panic: planted")
			})
		})
	}
}

// topPanics is a program that takes over the terminal and fails.
func topPanics() {
	s, err := openScreen(os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer s.close()
	s.write("\x1b[H")
	if os.Args[1] == "beside" {
		go func() {
			defer s.onPanic()
			panic("planted")
		}()
		<-context.Background().Done()
	}
	panic("planted")
}

// On a terminal the status is shown again in its place, in colours unless nobody wants
// them, and Ctrl-C is an orderly end.
func TestWatchOnATerminal(t *testing.T) {
	api := startStub(t)
	for _, env := range [][]string{nil, {"NO_COLOR=1"}} {
		p := onPTY(t, 100, 30, env, "tributary", "status", "--api", api.addr, "--watch=0.1", "--sessions")
		p.until("three pictures", func() bool { return strings.Count(p.written(), "web.example:443") >= 3 })
		if n := strings.Count(p.written(), "\x1b["); (n < 20) != (env != nil) {
			t.Errorf("with %v: %q", env, p.written())
		}
		rows := strings.Count(strings.Split(p.written(), "\x1b[")[0], "\n")
		if env != nil && !strings.Contains(p.written(), fmt.Sprintf("\x1b[%dA\r\x1b[J", rows)) {
			t.Errorf("not in its place: %q", p.written())
		}
		api.server.Close()
		p.until("the gateway has gone", func() bool { return strings.Contains(p.written(), "asking again") })
		api.start()
		seen := len(p.written())
		p.until("the gateway is back", func() bool { return strings.Contains(p.written()[seen:], "web.example:443") })
		p.press("\x03") // the terminal makes it a signal
		p.gone(0)
	}
}

func TestLooks(t *testing.T) {
	if got := lookOf(&strings.Builder{}); got != (screen.Look{}) {
		t.Errorf("%+v of no terminal", got)
	}
	for _, c := range []struct {
		all, ctype, lang string
		want             bool
	}{
		{"", "", "", true}, {"", "", "C", false}, {"", "", "de_DE.UTF-8", true}, {"C", "", "de_DE.UTF-8", false}, {"", "en_US.utf8", "C", true},
	} {
		t.Setenv("LC_ALL", c.all)
		t.Setenv("LC_CTYPE", c.ctype)
		t.Setenv("LANG", c.lang)
		if got := speaksUTF8(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestFirstRows(t *testing.T) {
	const text = "one\n\x1b[32mtwo two two\x1b[0m\nthree\n"
	for _, c := range []struct {
		width, height int
		want          string
	}{
		{80, 3, text},
		{80, 2, "one\n...\n"},
		{10, 4, text},
		{10, 3, "one\n...\n"},
		{10, 2, "one\n...\n"},
		{80, 1, "...\n"},
	} {
		if got := firstRows(text, c.width, c.height); got != c.want {
			t.Errorf("%d x %d: %q, want %q", c.width, c.height, got, c.want)
		}
	}
}
