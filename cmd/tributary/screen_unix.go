//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// openKeys opens the terminal of this process anew: so that reading it can be ended,
// and that standard input may be something else.
func openKeys() *os.File {
	if f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return f
	}
	return os.Stdin
}

func watchTerminal(resized, stopped chan os.Signal) {
	signal.Notify(resized, syscall.SIGWINCH)
	signal.Notify(stopped, syscall.SIGTSTP)
}

// stopProcess stops this process until somebody sends it SIGCONT.
func stopProcess() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Signal(syscall.SIGSTOP)
		time.Sleep(50 * time.Millisecond) // another thread may be the one to take it
	}
}
