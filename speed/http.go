package speed

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Chosen by us.
const (
	maxHead = 8 << 10 // of a request; browsers send less

	// paceStep is in what steps a paced download goes: an interactive flow, not a
	// tone of packets.
	paceStep = 10 * time.Millisecond

	// How often an upload is reported, unless asked for, and at most.
	defaultEvery = 100 * time.Millisecond
	minEvery     = 10 * time.Millisecond
)

// request looks whether the head is complete, and chooses the answer.
func (c *stream) request() {
	end := bytes.Index(c.head, []byte("\r\n\r\n"))
	if end < 0 {
		if len(c.head) > maxHead {
			c.refuse("431 Request Header Fields Too Large", "the request is too long")
		}
		return
	}
	body := c.head[end+4:]
	head := c.head[:end+4]
	c.head = nil
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		c.refuse("400 Bad Request", "this is no HTTP request")
		return
	}
	c.choose(req)
	c.body(len(body))
	c.wake()
}

func (c *stream) choose(req *http.Request) {
	query := req.URL.Query()
	switch {
	case req.URL.Path == "/down" && req.Method == http.MethodGet:
		c.down(query)
	case req.URL.Path == "/up" && req.Method == http.MethodPost:
		c.up(req, query)
	case req.URL.Path == "/":
		c.begin("200 OK", "text/plain", -1)
		c.answer = text{}
		c.pending = append(c.pending, "Bytes to measure links with: GET /down?bytes=N or POST /up\n"...)
	default:
		c.refuse("404 Not Found", "there are /down and /up")
	}
}

// number reads a number of the query; missing is what an absent one means.
func number(query url.Values, key string, missing int64) (int64, bool) {
	text := query.Get(key)
	if text == "" {
		return missing, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

func (c *stream) down(query url.Values) {
	size, ok := number(query, "bytes", -1)
	rate, ok2 := number(query, "rate", 0)
	switch {
	case !ok || !ok2:
		c.refuse("400 Bad Request", "bytes and rate are whole numbers")
	case c.admit():
		c.begin("200 OK", "application/octet-stream", size)
		now := time.Now()
		c.answer = &down{size: size, rate: rate, began: now}
	}
}

func (c *stream) up(req *http.Request, query url.Values) {
	every, ok := number(query, "every", defaultEvery.Milliseconds())
	switch {
	case !ok:
		c.refuse("400 Bad Request", "every is a whole number")
	case req.ContentLength <= 0:
		c.refuse("411 Length Required", "want Content-Length")
	case c.admit():
		if req.Header.Get("Expect") != "" {
			c.pending = append(c.pending, "HTTP/1.1 100 Continue\r\n\r\n"...)
		}
		c.begin("200 OK", "text/plain", -1)
		now := time.Now()
		step := max(minEvery, time.Duration(min(every, 60e3))*time.Millisecond)
		c.answer = &up{size: req.ContentLength, every: step, began: now, next: now.Add(step)}
	}
}

// admit counts the transfer, or refuses it.
func (c *stream) admit() bool {
	if c.entered = c.service.enter(c.account); !c.entered {
		c.refuse("429 Too Many Requests", "this account measures too much at once, or has measured too much: wait some minutes")
	}
	return c.entered
}

func (c *stream) refuse(status, why string) {
	c.head = nil
	c.begin(status, "text/plain", int64(len(why)+1))
	c.pending = append(append(c.pending, why...), '\n')
	c.answer = text{}
	c.wake()
}

// begin writes the head of an answer that ends with the stream.
func (c *stream) begin(status, kind string, size int64) {
	c.pending = fmt.Appendf(c.pending, "HTTP/1.1 %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nConnection: close\r\n", status, kind)
	if size >= 0 {
		c.pending = fmt.Appendf(c.pending, "Content-Length: %d\r\n", size)
	}
	c.pending = append(c.pending, "\r\n"...)
}

// text is an answer of which all is pending.
type text struct{}

func (text) take(int) bool { return false }
func (text) give([]byte, time.Time) (int, time.Time, error) {
	return 0, time.Time{}, io.EOF
}

// down is a download. Its bytes are zeros: what encrypts them on their way makes
// them as hard to compress as any.
type down struct {
	size  int64 // -1 is until MaxTime
	rate  int64 // bytes in a second; 0 is as fast as it goes
	sent  int64
	began time.Time
}

func (d *down) take(int) bool { return false }

func (d *down) give(p []byte, now time.Time) (n int, again time.Time, err error) {
	age := now.Sub(d.began)
	n = len(p)
	switch {
	case d.sent == d.size || d.size < 0 && age >= MaxTime:
		return 0, again, io.EOF
	case age >= MaxTime:
		return 0, again, io.ErrUnexpectedEOF
	case d.size >= 0:
		n = int(min(int64(n), d.size-d.sent))
	}
	if d.rate > 0 {
		due := float64(d.rate)*(age/paceStep*paceStep+paceStep).Seconds() - float64(d.sent) // may be more than an int64 holds
		if due < 1 {
			return 0, d.began.Add((age/paceStep + 1) * paceStep), nil
		}
		n = int(min(float64(n), due))
	}
	clear(p[:n])
	d.sent += int64(n)
	return n, again, nil
}

// up is an upload: a line every so often, with the milliseconds since its beginning
// and the bytes so far, and the last one when the body has ended.
type up struct {
	size  int64
	every time.Duration
	got   int64
	over  bool // the client has ended its direction
	said  bool // the last line
	line  []byte
	began time.Time
	next  time.Time
}

func (u *up) take(n int) bool {
	u.got += int64(n)
	return u.got >= u.size
}

func (u *up) give(p []byte, now time.Time) (n int, again time.Time, err error) {
	if len(u.line) == 0 {
		last := u.over || u.got >= u.size || now.Sub(u.began) >= MaxTime
		switch {
		case u.said:
			return 0, again, io.EOF
		case !last && now.Before(u.next):
			return 0, u.next, nil
		}
		u.said = last
		for !now.Before(u.next) {
			u.next = u.next.Add(u.every)
		}
		u.line = fmt.Appendf(nil, "%d %d\n", now.Sub(u.began).Milliseconds(), u.got)
	}
	n = copy(p, u.line)
	u.line = u.line[n:]
	return n, again, nil
}
