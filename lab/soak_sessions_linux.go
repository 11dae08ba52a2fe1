package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"time"

	"tributary/lab/soak"
)

// Of the sessions at a time, so many talk, so many download, and the others upload.
const (
	soakTalks     = 130
	soakDownloads = 45
)

// A worker is one of the clients: it has one session after the other.
type worker struct {
	*soakRun
	rng      *rand.Rand
	stopping chan struct{}
}

// work has sessions until stopping is closed. The last one ends by itself, or with
// ctx.
func (r *soakRun) work(ctx context.Context, i int, stopping chan struct{}) {
	w := &worker{r, rand.New(rand.NewPCG(r.options.Seed, uint64(i))), stopping}
	for ctx.Err() == nil {
		select {
		case <-stopping:
			return
		case <-time.After(time.Duration(w.rng.Int64N(int64(2 * time.Second)))):
		}
		s := soak.Session{Began: time.Now()}
		switch {
		case i < soakTalks:
			s.Kind = "talk"
			s.Bytes, s.Err = w.talk(ctx)
		case i < soakTalks+soakDownloads:
			s.Kind = "download"
			s.Bytes, s.Err = w.download(ctx)
		default:
			s.Kind = "upload"
			s.Bytes, s.Err = w.upload(ctx)
		}
		s.Ended, s.Opened = time.Now(), s.Bytes > 0
		if s.Err != nil && ctx.Err() != nil {
			s.Err = context.Cause(ctx)
		}
		r.book.Ended(s)
	}
}

// size draws from low to high, small ones as often as large ones.
func (w *worker) size(low, high float64) int64 {
	return int64(low * math.Exp(w.rng.Float64()*math.Log(high/low)))
}

// talk sends something every now and then, and hears the same.
func (w *worker) talk(ctx context.Context) (heard int64, err error) {
	opening, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := w.ask(opening, askSOCKS5, ServerName, PortEcho)
	if err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	rounds := int(w.size(2, 100))
	for range rounds {
		said := make([]byte, w.size(10, 4000))
		for i := range said {
			said[i] = byte(w.rng.Uint32())
		}
		got := make([]byte, len(said))
		c.SetDeadline(time.Now().Add(soak.Bearable + time.Minute))
		if _, err := c.Write(said); err != nil {
			return heard, err
		}
		n, err := io.ReadFull(c, got)
		if heard += int64(n); err != nil {
			return heard, fmt.Errorf("after %d bytes of an answer of %d: %w", n, len(said), err)
		}
		if !bytes.Equal(said, got) {
			return heard, soak.ErrWrong
		}
		select {
		case <-ctx.Done():
			return heard, context.Cause(ctx)
		case <-w.stopping:
			return heard, endOf(c)
		case <-time.After(time.Duration(w.size(100, 5000)) * time.Millisecond):
		}
	}
	return heard, endOf(c)
}

// endOf ends our direction, and waits for the end of the other.
func endOf(c net.Conn) error {
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return fmt.Errorf("at the end %d bytes, %w", n, err)
	}
	return nil
}

func (w *worker) download(ctx context.Context) (int64, error) {
	n := w.size(10e3, 2e6)
	r, err := Download(ctx, w.through(bytesURL(n), 0))
	if err == nil && r.SHA256 != Sum(n) {
		err = soak.ErrWrong
	}
	return r.Bytes, err
}

func (w *worker) upload(ctx context.Context) (int64, error) {
	t := w.through(uploadURL, 0)
	t.Bytes = w.size(10e3, 300e3)
	r, err := Upload(ctx, t)
	if errors.Is(err, errAnswer) || err == nil && (r.Bytes != t.Bytes || r.SHA256 != Sum(t.Bytes)) {
		err = soak.ErrWrong
	}
	return r.Bytes, err
}
