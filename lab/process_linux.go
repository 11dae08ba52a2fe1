package lab

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
)

// A process is a running program that said it was ready.
type process struct {
	*Cmd
	name    string
	stdout  *os.File // what it writes there
	stopped bool     // by us
}

// stop ends the program with a signal and waits for it. It fails if the program
// did not end in good order, unless it was killed.
func (p *process) stop(sig syscall.Signal) error {
	if p == nil || p.stopped {
		return nil
	}
	p.stopped = true
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

// A readyWriter passes a program's log on and sees the line that says ready.
type readyWriter struct {
	to      io.Writer
	logging *sync.Mutex // guards to
	name    string
	ready   chan struct{}

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
		w.logging.Lock()
		fmt.Fprintf(w.to, "%-7s %s\n", w.name, text)
		w.logging.Unlock()
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
