package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"tributary/speed"
)

// Chosen by us.
const (
	// Step is how far apart samples are.
	Step = 100 * time.Millisecond
	// gapFrom is what counts as a gap: longer than a round trip over most links.
	gapFrom = 100 * time.Millisecond
	// upStep is how often the relay reports an upload, and so how exact its gaps are.
	upStep = 20 * time.Millisecond
	// readSize is what one read takes at most.
	readSize = 256 << 10
)

// A Transfer is what to move.
type Transfer struct {
	Up    bool
	For   time.Duration // since the first byte
	Bytes int64         // at most; 0 is as many as come
	Rate  int64         // of a download, in bytes a second; 0 is as fast as it goes
	// Seen is told of each sample, by the goroutine that Run was called in; nil does
	// without.
	Seen func(Sample)
}

// A Sample is how much had come by a time since the first byte.
type Sample struct {
	At    time.Duration
	Bytes int64
}

// A Gap is a time in which nothing came.
type Gap struct{ At, For time.Duration }

// A Result is what came when. The first sample is the first byte's, or of the last
// moment before it; the last one is of the end.
type Result struct {
	Began   time.Time // the first byte
	Samples []Sample
	Gaps    []Gap // those of 100 ms and more
}

// Bytes returns how many came.
func (r Result) Bytes() int64 {
	if len(r.Samples) == 0 {
		return 0
	}
	return r.Samples[len(r.Samples)-1].Bytes
}

// Longest returns the longest gap, or the zero Gap.
func (r Result) Longest() (longest Gap) {
	for _, g := range r.Gaps {
		if g.For > longest.For {
			longest = g
		}
	}
	return longest
}

// Steady returns the rate in Mbit/s without the time at the beginning in which
// senders find out what the links carry. Of a transfer that is hardly longer it is
// the second half's.
func (r Result) Steady(ramp time.Duration) float64 {
	if len(r.Samples) < 2 {
		return 0
	}
	last := r.Samples[len(r.Samples)-1]
	ramp = min(ramp, last.At/2)
	first := r.Samples[0]
	for _, s := range r.Samples {
		if s.At <= ramp {
			first = s
		}
	}
	return Mbit(last.Bytes-first.Bytes, last.At-first.At)
}

// Mbit returns a rate in Mbit/s.
func Mbit(bytes int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(bytes) * 8 / 1e6 / d.Seconds()
}

// Run moves bytes by a way. What had come before an error is in the result.
func (t Transfer) Run(ctx context.Context, way Way) (Result, error) {
	r, err := t.run(ctx, way)
	if errors.Is(err, errEarly) && ctx.Err() == nil {
		// A gateway may have said "open" before it knew; the second time it knows better.
		r, err = t.run(ctx, way)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// errEarly is an end before the answer.
var errEarly = errors.New("the connection ended before the relay answered")

func (t Transfer) run(ctx context.Context, way Way) (Result, error) {
	c, err := way(ctx)
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	c.SetDeadline(time.Now().Add(openTime))
	if _, err := c.Write(t.request()); err != nil {
		return Result{}, fmt.Errorf("%w: %w", errEarly, err)
	}
	in := bufio.NewReaderSize(c, readSize)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", errEarly, err)
	}
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return Result{}, fmt.Errorf("the relay answers %s: %s", resp.Status, strings.TrimSpace(string(why)))
	}
	c.SetWriteDeadline(time.Time{})
	c.SetReadDeadline(time.Now().Add(openTime)) // until the first byte: the link may die now
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	m := &meter{seen: t.Seen}
	if t.Up {
		err = t.up(c, resp.Body, m)
	} else {
		err = t.down(c, resp.Body, m)
	}
	return m.r, err
}

func (t Transfer) request() []byte {
	if t.Up {
		size := t.Bytes
		if size <= 0 {
			size = 1 << 50
		}
		return fmt.Appendf(nil, "POST /up?every=%d HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", upStep.Milliseconds(), speed.Host, size)
	}
	query := ""
	if t.Bytes > 0 {
		query = fmt.Sprintf("?bytes=%d&rate=%d", t.Bytes, t.Rate)
	} else if t.Rate > 0 {
		query = fmt.Sprintf("?rate=%d", t.Rate)
	}
	return fmt.Appendf(nil, "GET /down%s HTTP/1.1\r\nHost: %s\r\n\r\n", query, speed.Host)
}

// down reads until the time is over.
func (t Transfer) down(c net.Conn, body io.Reader, m *meter) error {
	buf := make([]byte, readSize)
	for {
		n, err := body.Read(buf)
		now := time.Now()
		if n > 0 {
			if m.r.Began.IsZero() {
				c.SetReadDeadline(now.Add(t.For))
			}
			m.add(now, m.total+int64(n))
		}
		switch {
		case err == nil:
		case m.r.Began.IsZero() && err != io.EOF:
			return fmt.Errorf("nothing arrived: %w", err)
		case errors.Is(err, os.ErrDeadlineExceeded):
			m.end(t.over(m, now))
			return nil
		case err == io.EOF:
			m.end(now)
			return nil
		default:
			m.end(now)
			return fmt.Errorf("read: %w", err)
		}
	}
}

// over is when a transfer ended that its time ended, or the context before that.
func (t Transfer) over(m *meter, now time.Time) time.Time {
	if end := m.r.Began.Add(t.For); now.After(end) {
		return end
	}
	return now
}

// up writes until the time is over, and reads what the relay says of it.
func (t Transfer) up(c net.Conn, body io.Reader, m *meter) error {
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		left, block := t.Bytes, make([]byte, 64<<10)
		for t.Bytes <= 0 || left > 0 {
			b := block
			if t.Bytes > 0 {
				b = b[:min(int64(len(b)), left)]
			}
			n, err := c.Write(b)
			if err != nil {
				return
			}
			left -= int64(n)
		}
	}()
	defer func() {
		c.Close()
		<-wrote
	}()
	lines := bufio.NewScanner(body)
	var zero int64 // the relay's clock when nothing had arrived yet
	for lines.Scan() {
		var at, total int64
		if _, err := fmt.Sscan(lines.Text(), &at, &total); err != nil {
			return fmt.Errorf("the relay's report %.40q: %w", lines.Text(), err)
		}
		if total == 0 {
			zero = at
			continue
		}
		if m.r.Began.IsZero() {
			m.begin(time.Now().Add(-time.Duration(at-zero) * time.Millisecond))
			c.SetReadDeadline(m.r.Began.Add(t.For + 2*time.Second)) // a stalled link reports late
		}
		since := time.Duration(at-zero) * time.Millisecond
		if since > t.For {
			break
		}
		m.add(m.r.Began.Add(since), total)
	}
	if m.r.Began.IsZero() {
		return errors.Join(errors.New("nothing arrived"), lines.Err())
	}
	if err := lines.Err(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		m.end(time.Now())
		return fmt.Errorf("read the relay's report: %w", err)
	}
	if t.Bytes <= 0 || m.total < t.Bytes {
		m.end(t.over(m, time.Now()))
	} else {
		m.end(m.at)
	}
	return nil
}

// A meter makes samples and gaps of what comes.
type meter struct {
	r     Result
	at    time.Time // of the last byte
	total int64
	seen  func(Sample)
}

// begin says when nothing had come yet.
func (m *meter) begin(now time.Time) {
	m.r.Began, m.at = now, now
	m.sample(now)
}

// add notes that so much had come in all by now.
func (m *meter) add(now time.Time, total int64) {
	if total <= m.total {
		return
	}
	if m.r.Began.IsZero() {
		m.r.Began = now
	}
	if m.at.IsZero() {
		m.at = now
	}
	if gap := now.Sub(m.at); gap >= gapFrom {
		m.sample(m.at) // flat until now
		m.r.Gaps = append(m.r.Gaps, Gap{m.at.Sub(m.r.Began), gap})
	}
	first := m.total == 0
	m.at, m.total = now, total
	if n := len(m.r.Samples); first || now.Sub(m.r.Began)-m.r.Samples[n-1].At >= Step {
		m.sample(now)
	}
}

func (m *meter) sample(now time.Time) {
	s := Sample{now.Sub(m.r.Began), m.total}
	m.r.Samples = append(m.r.Samples, s)
	if m.seen != nil {
		m.seen(s)
	}
}

// end closes the last gap and takes the last sample.
func (m *meter) end(now time.Time) {
	if m.r.Began.IsZero() {
		return
	}
	if gap := now.Sub(m.at); gap >= gapFrom {
		m.r.Gaps = append(m.r.Gaps, Gap{m.at.Sub(m.r.Began), gap})
	}
	m.sample(now)
}
