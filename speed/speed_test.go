package speed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tributary/proxy"
)

// nobody is an egress that is not to be asked.
func nobody(t *testing.T) proxy.Dialer {
	return proxy.DialerFunc(func(_ context.Context, to proxy.Addr, _ []byte) (proxy.Conn, error) {
		t.Errorf("dialled %v", to)
		return nil, errors.New("nobody")
	})
}

func open(t *testing.T, s *Service, early string) proxy.Conn {
	t.Helper()
	c, err := s.DialStream(For(t.Context(), "alice"), Addr(), []byte(early))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func answerOf(t *testing.T, c proxy.Conn) (*http.Response, string, error) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestOtherNamesAreDialled(t *testing.T) {
	var dialled []string
	s := New(proxy.DialerFunc(func(_ context.Context, to proxy.Addr, _ []byte) (proxy.Conn, error) {
		dialled = append(dialled, to.String())
		return nil, errors.New("no")
	}))
	for _, to := range []string{Host + ":443", "x" + Host + ":80", "192.0.2.1:80"} {
		a, err := proxy.ParseAddr(to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.DialStream(t.Context(), a, nil); err == nil {
			t.Errorf("%s was answered", to)
		}
	}
	if len(dialled) != 3 {
		t.Errorf("dialled %v", dialled)
	}
	if a, _ := proxy.ParseAddr("SPEED.tributary.INVALID:80"); !Is(a) {
		t.Error("names have no case")
	}
}

func TestDownload(t *testing.T) {
	for _, size := range []int{0, 1, 100_000} {
		// In one piece, and byte by byte.
		request := fmt.Sprintf("GET /down?bytes=%d HTTP/1.1\r\nHost: x\r\n\r\n", size)
		for _, early := range []int{len(request), 1, 0} {
			c := open(t, New(nobody(t)), request[:early])
			for _, b := range []byte(request[early:]) {
				if _, err := c.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			resp, body, err := answerOf(t, c)
			if err != nil || resp.StatusCode != 200 || len(body) != size || resp.ContentLength != int64(size) {
				t.Errorf("%d bytes: %s, %d bytes, %v", size, resp.Status, len(body), err)
			}
		}
	}
}

func TestDownloadEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for query, want := range map[string]error{"?rate=1000": nil, "?rate=1000&bytes=1000000": io.ErrUnexpectedEOF} {
			c := open(t, New(nobody(t)), "GET /down"+query+" HTTP/1.1\r\n\r\n")
			began := time.Now()
			_, body, err := answerOf(t, c)
			if took := time.Since(began); !errors.Is(err, want) || took < MaxTime || took > MaxTime+time.Second {
				t.Errorf("%s: %v after %v", query, err, took)
			}
			if n := int(MaxTime.Seconds()) * 1000; len(body) < n-20 || len(body) > n+20 {
				t.Errorf("%s: %d bytes", query, len(body))
			}
		}
	})
}

// The greatest rates are as fast as it goes.
func TestGreatestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, New(nobody(t)), fmt.Sprintf("GET /down?rate=%d HTTP/1.1\r\n\r\n", int64(math.MaxInt64)))
		buf := make([]byte, 64<<10)
		if _, err := c.Read(buf); err != nil { // the head
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		c.SetReadDeadline(time.Now().Add(time.Second))
		for range 9 {
			if n, err := c.Read(buf); n != len(buf) || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}
	})
}

// A paced download comes in small steps, and what was not fetched in time comes at
// once.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, New(nobody(t)), "GET /down?rate=125000 HTTP/1.1\r\n\r\n")
		buf := make([]byte, 64<<10)
		if _, err := c.Read(buf); err != nil { // the head
			t.Fatal(err)
		}
		began := time.Now()
		for i := range 20 {
			n, err := c.Read(buf)
			if at := time.Since(began); n != 1250 || err != nil || at != time.Duration(i)*10*time.Millisecond {
				t.Fatalf("step %d: %d bytes at %v, %v", i, n, at, err)
			}
		}
		time.Sleep(time.Second)
		if n, _ := c.Read(buf); n != 65536 && n < 120_000 {
			t.Errorf("%d bytes after a second", n)
		}
	})
}

func TestUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, New(nobody(t)), "POST /up?every=50 HTTP/1.1\r\nContent-Length: 10000\r\n\r\nabc")
		go func() {
			for sent := 3; sent < 8000; sent += 1000 {
				time.Sleep(19 * time.Millisecond)
				c.Write(make([]byte, 1000))
			}
			c.CloseWrite() // earlier than it said
		}()
		resp, body, err := answerOf(t, c)
		if want := "50 2003\n100 5003\n150 7003\n152 8003\n"; resp.StatusCode != 200 || body != want || err != nil {
			t.Errorf("%s, %v\n%s", resp.Status, err, body)
		}
	})
}

// The last line of a whole body does not wait for its time.
func TestUploadToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := open(t, New(nobody(t)), "POST /up HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		r := bufio.NewReader(c)
		if line, _ := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Errorf("first %q", line)
		}
		r.ReadString('\n')
		time.AfterFunc(10*time.Millisecond, func() { c.Write([]byte("abc")) })
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "10 3\n" || err != nil || time.Since(began) != 10*time.Millisecond {
			t.Errorf("%q, %v after %v", b, err, time.Since(began))
		}
	})
}

func TestRefusals(t *testing.T) {
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\n":                                                200,
		"GET /x HTTP/1.1\r\n\r\n":                                               404,
		"POST /down HTTP/1.1\r\n\r\n":                                           404,
		"GET /down?bytes=-1 HTTP/1.1\r\n\r\n":                                   400,
		"GET /down?bytes=many HTTP/1.1\r\n\r\n":                                 400,
		"POST /up HTTP/1.1\r\n\r\n":                                             411,
		"POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n":               411,
		"POST /up?every=x HTTP/1.1\r\nContent-Length: 1\r\n\r\n":                400,
		"\x16\x03\x01\r\n\r\n":                                                  400,
		"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", maxHead) + "\r\nY: 1\r\n": 431,
	} {
		resp, body, err := answerOf(t, open(t, New(nobody(t)), request))
		if resp.StatusCode != want || err != nil || !strings.HasSuffix(body, "\n") {
			t.Errorf("%.60q: %s %q, %v", request, resp.Status, body, err)
		}
	}
	c := open(t, New(nobody(t)), "GET /do")
	c.CloseWrite()
	if resp, _, _ := answerOf(t, c); resp.StatusCode != 400 {
		t.Errorf("half a request: %s", resp.Status)
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(nobody(t))
		const request = "GET /down?rate=1 HTTP/1.1\r\n\r\n"
		status := func(c proxy.Conn) string {
			b := make([]byte, 12)
			io.ReadFull(c, b)
			return string(b[9:])
		}
		var all []proxy.Conn
		for range MaxOpen {
			all = append(all, open(t, s, request))
			if got := status(all[len(all)-1]); got != "200" {
				t.Fatalf("%d are open: %s", len(all), got)
			}
		}
		if got := status(open(t, s, request)); got != "429" {
			t.Errorf("one too many: %s", got)
		}
		other, _ := s.DialStream(For(t.Context(), "bob"), Addr(), []byte(request))
		if got := status(other); got != "200" {
			t.Errorf("another account: %s", got)
		}
		all[0].Close()
		all[0].Close()
		if got := status(open(t, s, request)); got != "200" {
			t.Errorf("when one has ended: %s", got)
		}
		if got := status(open(t, s, request)); got != "429" {
			t.Errorf("one too many again: %s", got)
		}
	})
}

func TestAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(nobody(t))
		s.take("alice", Allowance-200_000)
		const request = "GET /down?bytes=1000000 HTTP/1.1\r\n\r\n"
		_, body, err := answerOf(t, open(t, s, request))
		if len(body) < 150_000 || len(body) > 300_000 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		if resp, _, _ := answerOf(t, open(t, s, request)); resp.StatusCode != 429 {
			t.Errorf("nothing is left: %s", resp.Status)
		}
		time.Sleep(time.Minute)
		if _, body, err := answerOf(t, open(t, s, request)); len(body) != 1_000_000 || err != nil {
			t.Errorf("a minute later %d bytes, %v", len(body), err)
		}
	})
}

func TestDeadlineAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, New(nobody(t)), "")
		c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %v", err)
		}
		c.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { c.Close() })
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a closed stream can be read")
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("a closed stream can be written")
		}
	})
}

// Whatever a client sends, in pieces of any size, the answer is HTTP and ends.
func FuzzRequest(f *testing.F) {
	f.Add("GET /down?bytes=10 HTTP/1.1\r\n\r\n", 3)
	f.Add("POST /up?every=5 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 1)
	f.Add("GET http://speed.tributary.invalid/ HTTP/1.0\r\n\r\n", 100)
	f.Fuzz(func(t *testing.T, text string, piece int) {
		s := New(nobody(t))
		c, err := s.DialStream(t.Context(), Addr(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		piece = 1 + max(0, piece)%100
		for rest := text; rest != ""; {
			n := min(piece, len(rest))
			c.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		c.CloseWrite()
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // a download may be large
		b, err := io.ReadAll(io.LimitReader(c, 1<<16))
		if !strings.HasPrefix(string(b), "HTTP/1.1 ") {
			t.Errorf("%q is answered %.80q, %v", text, b, err)
		}
	})
}
