package measure

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tributary/proto/httpconnect"
	"tributary/proto/socks"
	"tributary/proxy"
)

// A world is a web server and a proxy in front of it, on loopback.
type world struct {
	web    *httptest.Server
	target string
	proxy  net.Listener
	asked  atomic.Int32 // of the proxy
}

func newWorld(t *testing.T, auth bool) *world {
	w := &world{web: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		switch {
		case r.URL.Path == "/cut":
			w.Header().Set("Content-Length", "100")
		case err != nil:
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Length", strconv.Itoa(n))
			io.CopyN(w, zeros{}, int64(n))
		}
	}))}
	t.Cleanup(w.web.Close)
	w.target = w.web.URL + "/bytes?n=%d"
	var check func(string, string) (string, bool)
	if auth {
		check = func(user, password string) (string, bool) { return user, user == "alice" && password == "s3cret" }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w.proxy = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c.(*net.TCPConn), check)
		}
	}()
	return w
}

func (w *world) serve(c *net.TCPConn, check func(string, string) (string, bool)) {
	defer c.Close()
	first := make([]byte, 2048)
	n, err := c.Read(first)
	if err != nil {
		return
	}
	var req *proxy.Request
	if first[0] == 5 {
		req, err = (&socks.Server{Auth: check}).Accept(c, first[:n])
	} else {
		req, err = (&httpconnect.Server{Auth: check}).Accept(c, first[:n])
	}
	if err != nil {
		return
	}
	w.asked.Add(1)
	far, err := net.Dial("tcp", req.To.String())
	if err != nil {
		req.Refuse(proxy.Refused)
		return
	}
	defer far.Close()
	far.Write(req.Early)
	near, err := req.Accept(netip.AddrPort{})
	if err != nil {
		return
	}
	go io.Copy(far, near)
	io.Copy(near, far)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func setup(t *testing.T, target, via string, change func(*Setup)) Setup {
	t.Helper()
	to, err := ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ParseVia(via)
	if err != nil {
		t.Fatal(err)
	}
	s := Setup{Target: to, Via: v, Count: 3, Sizes: []int64{1000, 300_000}}
	if change != nil {
		change(&s)
	}
	return s
}

// TestWays goes each way and sees each step.
func TestWays(t *testing.T) {
	open, locked := newWorld(t, false), newWorld(t, true)
	for _, row := range []struct {
		name, via string
		world     *world
		change    func(*Setup)
		steps     string
	}{
		{"direct", "direct", open, nil, "connect, first byte, last byte"},
		{"socks5", "socks5://", open, nil, "connect, greeting, open, first byte, last byte"},
		{"socks5 with password", "socks5://alice:s3cret@", locked, nil, "connect, greeting, password, open, first byte, last byte"},
		{"pipelined", "socks5://", open, func(s *Setup) { s.Pipelined = true }, "connect, login, open, first byte, last byte"},
		{"pipelined with password", "socks5://alice:s3cret@", locked, func(s *Setup) { s.Pipelined = true }, "connect, login, open, first byte, last byte"},
		{"http", "http://", open, nil, "connect, open, first byte, last byte"},
		{"http with password", "http://alice:s3cret@", locked, nil, "connect, open, first byte, last byte"},
		{"mptcp", "socks5://", open, func(s *Setup) { s.Multipath = true }, "connect, greeting, open, first byte, last byte"},
		{"burst", "socks5://", open, func(s *Setup) { s.Count, s.Opens, s.Within = 0, 3, 20*time.Millisecond }, "connect, greeting, open, first byte, last byte"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before, via := row.world.asked.Load(), row.via
			if via != "direct" {
				via += row.world.proxy.Addr().String()
			}
			r, err := setup(t, row.world.target, via, row.change).Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Runs) != 2 || r.Runs[1].Size != 300_000 || len(r.Runs[1].Samples) != 3 {
				t.Fatalf("%+v", r)
			}
			var names []string
			for _, s := range r.Runs[0].Steps {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, ", "); got != row.steps {
				t.Errorf("steps %s, want %s", got, row.steps)
			}
			for _, run := range r.Runs {
				for _, s := range run.Samples {
					sum := 0.0
					for _, step := range s.Steps {
						sum += step.Ms
					}
					if s.Error != "" || s.Bytes != run.Size || s.FirstByteMs <= 0 || s.LastByteMs < s.FirstByteMs || sum < s.LastByteMs-0.05 || sum > s.LastByteMs+0.05 {
						t.Errorf("steps make %v: %+v", sum, s)
					}
				}
			}
			want := int32(6)
			if row.via == "direct" {
				want = 0
			}
			if got := row.world.asked.Load() - before; got != want {
				t.Errorf("the proxy was asked %d times, want %d", got, want)
			}
			holdsNoSecret(t, r)
		})
	}
}

// Connections end as they are told to, and not all at once.
func TestEnds(t *testing.T) {
	const pause = 20 * time.Millisecond
	for _, reset := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			var before time.Time
			for i := range 2 {
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				if i > 0 && time.Since(before) < pause {
					t.Errorf("the next one came after %v", time.Since(before))
				}
				before = time.Now()
				http.ReadRequest(bufio.NewReader(c))
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				if _, err = c.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) != reset {
					t.Errorf("with Reset %v it ends with %v", reset, err)
				}
				c.Close()
			}
		}()
		change := func(s *Setup) { s.Count, s.Sizes, s.Reset, s.Pause = 2, nil, reset, pause }
		r, err := setup(t, "http://"+l.Addr().String()+"/", "direct", change).Run(t.Context())
		if err != nil || r.Reset != reset || r.PauseMs != ms(pause) {
			t.Errorf("%+v, %v", r, err)
		}
		<-done
	}
}

// holdsNoSecret looks at all that can be printed.
func holdsNoSecret(t *testing.T, r *Report) {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{string(b), text.String(), string(r.SVG())} {
		if strings.Contains(out, "s3cret") || strings.Contains(out, "alice") {
			t.Errorf("holds the password: %s", out)
		}
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t, true)
	proxyAddr := w.proxy.Addr().String()
	for _, row := range []struct{ name, target, via, want string }{
		{"wrong password", w.target, "socks5://alice:wr0ng@" + proxyAddr, "refuses user or password"},
		{"no password", w.target, "socks5://" + proxyAddr, "no offered authentication method"},
		{"http, wrong password", w.target, "http://alice:wr0ng@" + proxyAddr, "407"},
		{"not found", w.web.URL + "/nothing", "direct", "404"},
		{"cut", w.web.URL + "/cut", "direct", "read the answer"},
		{"refused", "http://127.0.0.1:1/", "direct", "refused"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := setup(t, row.target, row.via, func(s *Setup) {
				if s.Count = 2; !s.Target.Sized() {
					s.Sizes = nil
				}
			})
			r, err := s.Run(t.Context())
			if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("error %v, want %q", err, row.want)
			}
			var text strings.Builder
			r.Print(&text)
			if !strings.Contains(text.String(), "2 FAILED") || strings.Contains(text.String()+err.Error(), "wr0ng") {
				t.Error(text.String())
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*Setup){
		"only SOCKS5 can be pipelined": func(s *Setup) { s.Pipelined = true },
		"needs sizes":                  func(s *Setup) { s.Sizes = nil },
		"nothing to do":                func(s *Setup) { s.Count = 0 },
		"burst cannot be negative":     func(s *Setup) { s.Opens = -1 },
		"pause cannot be negative":     func(s *Setup) { s.Pause = -1 },
		"a burst has no pauses":        func(s *Setup) { s.Opens, s.Pause = 2, time.Second },
	} {
		if err := setup(t, "http://h/%d", "direct", change).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := setup(t, "http://h/", "direct", nil).Check(); err == nil {
		t.Error("sizes without a place for them")
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"", "https://h/", "ftp://h", "http://", "http://u@h/", "http://h:99999/", "http://h/a b", "http://h/%d?%d"} {
		if got, err := ParseTarget(text); err == nil {
			t.Errorf("target %q: %+v", text, got)
		}
	}
	target, err := ParseTarget("http://[::1]:81/a?n=%d#x")
	if err != nil || target.To.String() != "[::1]:81" || !strings.HasPrefix(string(target.request(7)), "GET /a?n=7 HTTP/1.1\r\nHost: [::1]:81\r\n") {
		t.Errorf("%+v %v %s", target, err, target.request(7))
	}
	for _, text := range []string{"h:1", "socks4://h:1", "socks5://", "socks5://u:s3cret@h:1/path", "socks5://u:s3cret@h:port", "socks5://u:s3cret%zz@h:1", "socks5://" + strings.Repeat("x", 300) + ":p@h:1"} {
		if got, err := ParseVia(text); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("via %q: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"": "direct", "direct": "direct", "socks5://h": "socks5://h:1080", "socks5h://u:p@[::1]:3": "socks5://[::1]:3", "http://h/": "http://h:8080"} {
		if got, err := ParseVia(text); err != nil || got.String() != want {
			t.Errorf("via %q: %v, %v, want %s", text, got, err, want)
		}
	}
	if got, err := ParseSizes("1k, 20k,1.5M,7"); err != nil || len(got) != 4 || got[2] != 1500000 || SizeText(got[2]) != "1.5 MB" || SizeText(7) != "7 B" {
		t.Errorf("%v %v", got, err)
	}
	for _, text := range []string{"", "0", "-1", "1kk", "k", "NaN", "1e99", "1T"} {
		if got, err := ParseSizes(text); err == nil {
			t.Errorf("sizes %q: %v", text, got)
		}
	}
}

func TestSpread(t *testing.T) {
	var values []float64
	for i := 100; i > 0; i-- {
		values = append(values, float64(i))
	}
	if got, want := NewSpread(values), (Spread{1, 50, 90, 95, 99, 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := NewSpread([]float64{3}), (Spread{3, 3, 3, 3, 3, 3}); got != want || NewSpread(nil) != (Spread{}) {
		t.Errorf("%+v", got)
	}
}
