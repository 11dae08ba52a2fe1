package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"

	"golang.org/x/term"

	"tributary/dashboard/screen"
)

// lookOf is what an output can show. Colours are for people at a terminal who have not
// said that they want none (no-color.org).
func lookOf(out io.Writer) screen.Look {
	if !isTerminal(out) {
		return screen.Look{}
	}
	kind := os.Getenv("TERM")
	return screen.Look{
		Color: os.Getenv("NO_COLOR") == "" && kind != "dumb",
		ASCII: kind == "linux" || !speaksUTF8(),
	}
}

// speaksUTF8 reports whether the locale has UTF-8 (locale(7)). Who has set none is
// taken for somebody of this century.
func speaksUTF8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(os.Getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}

// terminalSize returns columns and rows of an output that is a terminal.
func terminalSize(out io.Writer) (width, height int, ok bool) {
	f, isFile := out.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	err := control(f, func(fd int) (err error) {
		width, height, err = term.GetSize(fd)
		return err
	})
	return width, height, err == nil && width > 0 && height > 0
}

// What a terminal is told (ECMA-48, and xterm's private modes): a screen of its own
// without a cursor, on which lines that are too long are cut; and the way back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// A screenTerminal is a terminal taken over as a whole, until it is closed.
type screenTerminal struct {
	out     *os.File
	in      *os.File
	keys    chan string    // what is typed; closed at the end of the terminal
	resized chan os.Signal // never, where the system has no signal for that
	stopped chan os.Signal // somebody wants us to stop for a while, likewise

	mu    sync.Mutex
	state *term.State // how it was before, nil while it is as before
}

// openScreen takes over the terminal that out is. Keys come from the terminal, too,
// whatever standard input is.
func openScreen(out io.Writer) (*screenTerminal, error) {
	t := &screenTerminal{
		out: out.(*os.File), in: openKeys(), keys: make(chan string),
		resized: make(chan os.Signal, 1), stopped: make(chan os.Signal, 1),
	}
	watchTerminal(t.resized, t.stopped)
	if err := t.enter(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *screenTerminal) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := control(t.in, func(fd int) (err error) {
		t.state, err = term.MakeRaw(fd)
		return err
	})
	if err != nil {
		return fmt.Errorf("take over the terminal: %w", err)
	}
	_, err = io.WriteString(t.out, enterScreen)
	return err
}

// control calls f with a file's descriptor. File.Fd would make it one whose reading
// cannot be ended.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = raw.Control(func(fd uintptr) { done = f(int(fd)) })
	return errors.Join(err, done)
}

// leave gives the terminal back as it was. Twice does no harm.
func (t *screenTerminal) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == nil {
		return
	}
	io.WriteString(t.out, leaveScreen)
	control(t.in, func(fd int) error { return term.Restore(fd, t.state) })
	t.state = nil
}

// close gives the terminal back for good.
func (t *screenTerminal) close() {
	t.leave()
	signal.Stop(t.resized)
	signal.Stop(t.stopped)
	t.in.Close() // ends read, where the system can; elsewhere the end of the process does
}

// onPanic is deferred where a panic would end the process past close.
func (t *screenTerminal) onPanic() {
	if p := recover(); p != nil {
		t.leave()
		panic(p)
	}
}

func (t *screenTerminal) size() (width, height int, ok bool) { return terminalSize(t.out) }

func (t *screenTerminal) write(text string) error {
	_, err := io.WriteString(t.out, text)
	return err
}

// read passes on what is typed, until ctx ends or the terminal goes. Where the system
// cannot end the reading of a terminal it lasts as long as the process.
func (t *screenTerminal) read(ctx context.Context) {
	defer close(t.keys)
	buf := make([]byte, 256)
	for {
		n, err := t.in.Read(buf)
		if err != nil {
			return
		}
		select {
		case t.keys <- string(buf[:n]):
		case <-ctx.Done():
			return
		}
	}
}

// suspend gives the terminal back, stops the process as Ctrl-Z does, and takes the
// terminal again when somebody lets it go on.
func (t *screenTerminal) suspend() error {
	t.leave()
	stopProcess()
	return t.enter()
}
