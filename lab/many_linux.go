package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A crowd, and what the gateway may open meanwhile.
const (
	crowd      = 5000
	crowdFiles = 1024
	crowdWait  = 20 * time.Second // for an answer of any kind
	crowdBytes = 30e6             // of a download that goes on meanwhile
)

func many(ctx context.Context, t *trial) error {
	// Our own ends of all those connections are in this process.
	if err := allowFiles(3 * crowd); err != nil {
		return err
	}
	t.step(time.Second, "start relay and gateway")
	if err := t.StartRelay(ctx); err != nil {
		return err
	}
	t.Files = crowdFiles
	if err := t.StartGateway(ctx); err != nil {
		return err
	}
	if err := t.Warm(ctx); err != nil {
		return err
	}
	t.step(25*time.Second, "open %d connections during a download", crowd)
	type outcome struct {
		Result
		error
	}
	download := make(chan outcome, 1)
	go func() {
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		r, err := Download(limited, t.through(bytesURL(crowdBytes), 0))
		download <- outcome{r, err}
	}()
	err := sleep(ctx, time.Second)
	if err == nil {
		t.crowd(ctx)
	}
	d := <-download
	if err != nil {
		return err
	}
	t.check("a download goes on meanwhile", d.error == nil && d.SHA256 == Sum(crowdBytes), "%v", orOK(d.error))
	t.figure("longest gap of that download", ms(d.LongestGap), "ms", nil)
	t.step(5*time.Second, "ask when they are gone")
	return t.worksAfterCrowd(ctx)
}

// crowd opens the connections, asks on each for the echo and holds those that work
// until all have their answer.
func (t *trial) crowd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, crowdWait)
	defer cancel()
	began := time.Now()
	conns, outcomes := t.dialCrowd(ctx)
	t.figure("connections opened", float64(len(conns)), "", nil)
	t.figure("time to open them", time.Since(began).Seconds(), "s", nil)
	atOnce := len(outcomes)
	outcomes = append(outcomes, make([]error, len(conns))...)
	var asking sync.WaitGroup
	for i, c := range conns {
		asking.Go(func() { outcomes[atOnce+i] = useEcho(c) })
	}
	asking.Wait()
	took := time.Since(began)
	var served, coded, closed, hung int
	var last error
	for _, err := range outcomes {
		var code refusedCode
		switch {
		case err == nil:
			served++
		case errors.As(err, &code):
			coded++
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EPIPE):
			closed++
		default:
			hung++
			last = err
		}
	}
	for _, c := range conns {
		c.Close()
	}
	t.figure("served", float64(served), "", nil)
	t.figure("refused with a code", float64(coded), "", nil)
	t.figure("closed without an answer", float64(closed), "", nil)
	t.figure("left waiting", float64(hung), "", nil)
	t.figure("all had their answer after", took.Seconds(), "s", nil)
	t.check("as many are served as the files allow, about", served > crowdFiles/4, "%d", served)
	t.check("nobody is left waiting", hung == 0, "%d of %d %v", hung, len(outcomes), orOK(last))
}

// dialCrowd opens the connections on a few threads, for each costs one. It returns
// those that opened and why others did not.
func (t *trial) dialCrowd(ctx context.Context) (conns []net.Conn, errs []error) {
	const threads = 20
	var dialing sync.WaitGroup
	var mu sync.Mutex
	for range threads {
		dialing.Go(func() {
			t.Network.Host("home").Do(func() error {
				deadline, _ := ctx.Deadline()
				for range crowd / threads {
					c, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", ProxyPort))
					mu.Lock()
					if err != nil {
						errs = append(errs, err)
					} else {
						c.SetDeadline(deadline)
						conns = append(conns, c)
					}
					mu.Unlock()
				}
				return nil
			})
		})
	}
	dialing.Wait()
	return conns, errs
}

func useEcho(c net.Conn) error {
	if err := askSOCKS5.open(c, ServerName, PortEcho); err != nil {
		return err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func (t *trial) worksAfterCrowd(ctx context.Context) error {
	began := time.Now()
	for {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		c, err := t.echo(limited, askSOCKS5)
		cancel()
		took := time.Since(began)
		if err == nil {
			c.Close()
		}
		if err == nil || took > 30*time.Second || ctx.Err() != nil {
			t.figure("a request works again after", took.Seconds(), "s", nil)
			t.check("a request works afterwards", err == nil && took < 10*time.Second, "%v", orOK(err))
			return ctx.Err()
		}
	}
}

// allowFiles raises this process's limit on open files.
func allowFiles(n uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("ask for the limit on open files: %w", err)
	}
	if now.Cur >= n {
		return nil
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: max(n, now.Max)}); err != nil {
		return fmt.Errorf("raise the limit on open files to %d: %w", n, err)
	}
	return nil
}
