package lab

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Cmd is an [exec.Cmd] that runs on a host. Set its fields before Start. It
// dies with this process, however that ends, and with its Network.
type Cmd struct {
	*exec.Cmd
	// Processors are those that the program may use; nil leaves it all.
	Processors *unix.CPUSet
	// Unprivileged takes CAP_NET_ADMIN from the program, so that it cannot change
	// the host's addresses, routes, endpoints and sysctls.
	Unprivileged bool

	host  *Host
	wait  func() error
	ended chan struct{}
}

// Command returns a command that runs name inside the host's namespaces. It is
// killed when ctx ends; set Cancel and WaitDelay to end it more gently.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	c := &Cmd{Cmd: exec.CommandContext(ctx, name, args...), host: h, ended: make(chan struct{})}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.WaitDelay = 2 * time.Second // else a grandchild that keeps our pipe would hold up Wait
	c.wait = sync.OnceValue(func() error {
		defer close(c.ended)
		err := c.Cmd.Wait()
		h.forget(c)
		return err
	})
	return c
}

// Start starts the program. Its thread stays until Wait is through, for the
// kernel takes the end of that thread for the death of the parent.
func (c *Cmd) Start() error {
	result := make(chan error, 1)
	go func() {
		running := false
		err := c.host.ns.do(func() error {
			if err := c.host.start(c); err != nil {
				return err
			}
			running = true
			result <- nil
			<-c.ended
			return nil
		})
		if !running {
			result <- err
		}
	}()
	if err := <-result; err != nil {
		return fmt.Errorf("start %s on host %s: %w", c.Path, c.host.Name, err)
	}
	return nil
}

// start starts c unless the host is closed, after which nobody would end it.
func (h *Host) start(c *Cmd) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	if c.Processors != nil {
		// The thread is this command's, and the program inherits from it.
		if err := unix.SchedSetaffinity(0, c.Processors); err != nil {
			return fmt.Errorf("choose its processors: %w", err)
		}
	}
	if c.Unprivileged {
		// Root's program gets what the bounding set of the thread leaves: capabilities(7).
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_ADMIN, 0, 0, 0); err != nil {
			return fmt.Errorf("take its right to change the network: %w", err)
		}
	}
	if err := c.Cmd.Start(); err != nil {
		return err
	}
	h.commands[c] = struct{}{}
	return nil
}

func (h *Host) forget(c *Cmd) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.commands, c)
}

// Wait waits for the end of a started program and its output, as
// [exec.Cmd.Wait] does; unlike there, any number of goroutines may call it.
func (c *Cmd) Wait() error { return c.wait() }

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns its standard output and error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
