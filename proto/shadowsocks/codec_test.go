package shadowsocks

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"tributary/proxy"
)

func TestBothSides(t *testing.T) {
	for _, own := range []bool{true, false} {
		for _, early := range []string{"", "question", strings.Repeat("x", earlyMost+MaxChunk+1)} {
			cl := NewClient(identity, user, address("server.test:22"), own, at(noon))
			opening, err := cl.Seal(nil, []byte(early))
			if err != nil {
				t.Fatal(err)
			}
			for _, whole := range []bool{true, false} {
				first, rest := opening, []byte(nil)
				if !whole {
					first, rest = opening[:HeadSize], opening[HeadSize:]
				}
				r := bytes.NewReader(rest)
				st, err := newServer(0).Accept(first, iotest.OneByteReader(r), at(noon))
				if err != nil {
					t.Fatalf("own %v, %d bytes early, whole %v: %v", own, len(early), whole, err)
				}
				behind, _ := io.ReadAll(r)
				got, err := readAll(&st.Opener, append(st.Rest, behind...))
				if got = string(st.Early) + got; got != early || err != nil || st.Own != own {
					t.Errorf("own %v: %d bytes early became %d, %v", own, len(early), len(got), err)
				}
				if whole && own {
					response(t, cl, st)
				}
			}
			again, _ := NewClient(identity, user, address("server.test:22"), own, at(noon)).Seal(nil, []byte(early))
			if bytes.Equal(again[:KeySize], opening[:KeySize]) {
				t.Error("two openings have one salt")
			}
		}
	}
}

func response(t *testing.T, cl *Client, st *Stream) {
	t.Helper()
	answer := strings.Repeat("answer ", 20_000)
	b, err := st.Seal(nil, AppendOutcome(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	b, _ = st.Seal(b, []byte(answer))
	got, err := readAll(&cl.Opener, st.End(b))
	if err != io.EOF || got != "\x00"+answer {
		t.Errorf("read %d bytes, %v, want %d and the end", len(got), err, 1+len(answer))
	}
	if cl.Need() != 0 || !cl.Whole() {
		t.Error("something may follow the end")
	}
}

func TestResponseOfAnotherRequest(t *testing.T) {
	s := newServer(0)
	one, two := NewClient(identity, user, address("a.test:1"), true, at(noon)), NewClient(identity, user, address("a.test:1"), true, at(noon))
	opening, _ := one.Seal(nil, []byte("x"))
	two.Seal(nil, []byte("x"))
	st, err := s.Accept(opening, nil, at(noon))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := st.Seal(nil, []byte("x"))
	if _, err := readAll(&two.Opener, bytes.Clone(b)); !errors.Is(err, ErrFormat) {
		t.Errorf("taken for one's own: %v", err)
	}
	if _, err := readAll(&one.Opener, b); err != nil {
		t.Error(err)
	}
}

func TestResponseOfAnotherTime(t *testing.T) {
	cl := NewClient(identity, user, address("a.test:1"), true, at(noon))
	opening, _ := cl.Seal(nil, []byte("x"))
	now := noon
	st, err := newServer(0).Accept(opening, nil, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	now = noon.Add(31 * time.Second)
	b, _ := st.Seal(nil, []byte("x"))
	if _, err := readAll(&cl.Opener, b); !errors.Is(err, ErrClock) {
		t.Errorf("got %v, want %v", err, ErrClock)
	}
}

// An opening cut anywhere is refused, and so is one with any bit changed.
func TestCutAndChanged(t *testing.T) {
	opening, _ := NewClient(identity, user, address("server.test:22"), true, at(noon)).Seal(nil, []byte("early"))
	for i := range opening {
		if _, err := newServer(0).Accept(opening[:i], bytes.NewReader(nil), at(noon)); err == nil {
			t.Fatalf("accepted %d bytes of %d", i, len(opening))
		} else if want := i < HeadSize; want != errors.Is(err, ErrShort) {
			t.Fatalf("%d bytes: %v", i, err)
		}
		changed := bytes.Clone(opening)
		changed[i] ^= 1 << (i % 8)
		if _, err := newServer(0).Accept(changed, bytes.NewReader(nil), at(noon)); !errors.Is(err, ErrForged) && !errors.Is(err, ErrUser) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	if _, err := newServer(0).Accept(opening[:HeadSize-1], bytes.NewReader(opening[HeadSize-1:]), at(noon)); !errors.Is(err, ErrShort) {
		t.Errorf("headers in two reads: %v", err)
	}
}

func TestStreamCutAndChanged(t *testing.T) {
	for i := 0; ; i++ {
		cl := NewClient(identity, user, address("a.test:1"), true, at(noon))
		opening, _ := cl.Seal(nil, nil)
		st, err := newServer(0).Accept(opening, nil, at(noon))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := cl.Seal(nil, []byte("first"))
		b, _ = cl.Seal(b, []byte("second"))
		b = cl.End(b)
		if i == len(b) {
			break
		}
		if got, err := readAll(&st.Opener, bytes.Clone(b[:i])); err == io.EOF || st.Whole() {
			t.Fatalf("%d bytes of %d read as %q, whole", i, len(b), got)
		}
	}
}

func TestReplay(t *testing.T) {
	s := newServer(0)
	var openings [][]byte
	for i := range 1000 {
		cl := NewClient(identity, user, address("a.test:1"), true, at(noon.Add(time.Duration(i%61-30)*time.Second)))
		opening, _ := cl.Seal(nil, []byte("x"))
		openings = append(openings, opening)
		if _, err := s.Accept(opening, nil, at(noon)); err != nil {
			t.Fatal(err)
		}
	}
	restarted := newServer(s.Replay.Newest())
	for _, d := range []time.Duration{0, time.Second, 30 * time.Second, 59 * time.Second, 61 * time.Second, 0, -time.Hour, 0, time.Hour, 0} {
		for _, opening := range openings {
			for _, s := range []*Server{s, restarted} {
				if _, err := s.Accept(opening, nil, at(noon.Add(d))); !errors.Is(err, ErrReplay) && !errors.Is(err, ErrClock) {
					t.Fatalf("after %v: %v", d, err)
				}
			}
		}
	}
	if later := noon.Add(time.Hour); s.Replay.Check(Salt{1}, later.Unix(), later) != nil || s.Replay.count != 1 {
		t.Errorf("%d salts are kept an hour later", s.Replay.count)
	}
	// Who comes later is let in.
	opening, _ := NewClient(identity, user, address("a.test:1"), true, at(noon.Add(31*time.Second))).Seal(nil, nil)
	if _, err := restarted.Accept(opening, nil, at(noon.Add(31*time.Second))); err != nil {
		t.Error(err)
	}
}

func TestReplayForgetsWithTheFloor(t *testing.T) {
	r := NewReplay(0)
	var salt Salt
	if err := r.Check(salt, 100, time.Unix(100, 0)); err != nil {
		t.Fatal(err)
	}
	r.count = maxSalts // as if there were so many
	salt[0] = 1
	r.salts[99] = map[Salt]struct{}{}
	if err := r.Check(salt, 101, time.Unix(101, 0)); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(Salt{}, 99, time.Unix(101, 0)); !errors.Is(err, ErrReplay) {
		t.Errorf("below what was forgotten: %v", err)
	}
}

func TestOutcome(t *testing.T) {
	if err := ReadOutcome(bytes.NewReader(AppendOutcome(nil, nil))); err != nil {
		t.Error(err)
	}
	for _, reason := range proxy.Reasons() {
		if err := ReadOutcome(bytes.NewReader(AppendOutcome(nil, &reason))); proxy.ReasonOf(err) != reason {
			t.Errorf("%v became %v", reason, err)
		}
	}
	var refused *proxy.Error
	if err := ReadOutcome(strings.NewReader("\xff")); !errors.As(err, &refused) || refused.Reason != proxy.Failed {
		t.Errorf("a reason of the future: %v", err)
	}
	if err := ReadOutcome(strings.NewReader("")); err != io.ErrUnexpectedEOF {
		t.Errorf("nothing: %v", err)
	}
}

func FuzzAccept(f *testing.F) {
	for _, own := range []bool{true, false} {
		opening, _ := NewClient(identity, user, address("server.test:22"), own, at(noon)).Seal(nil, []byte("early"))
		f.Add(opening, []byte{})
		f.Add(opening[:HeadSize], opening[HeadSize:])
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), []byte{})
	f.Fuzz(func(t *testing.T, first, rest []byte) {
		before := bytes.Clone(first)
		if st, err := newServer(0).Accept(first, bytes.NewReader(rest), at(noon)); err == nil && !st.To.IsValid() {
			t.Error("no address and no error")
		}
		if !bytes.Equal(first, before) {
			t.Error("the input was changed")
		}
	})
}

// The header inside is what only a holder of the key can send; it is read all the same.
func FuzzHeader(f *testing.F) {
	f.Add(appendHeader(nil, address("server.test:22"), true, proxy.Flow{1, 2, 3}, nil))
	f.Add(appendHeader(nil, address("[2001:db8::1]:22"), false, proxy.Flow{}, []byte("early")))
	f.Add(appendHeader(nil, address("192.0.2.1:22"), true, proxy.Flow{}, []byte("early")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var st Stream
		if st.readHeader(b) != nil {
			return
		}
		var again Stream
		if err := again.readHeader(appendHeader(nil, st.To, st.Own, st.Flow, st.Early)); err != nil {
			t.Fatal(err)
		}
		if again.To != st.To || again.Own != st.Own || again.Flow != st.Flow || !bytes.Equal(again.Early, st.Early) && len(st.Early) < earlyMost {
			t.Errorf("%+v became %+v", st, again)
		}
	})
}

// What is sealed is opened, in whatever pieces it is written.
func FuzzStream(f *testing.F) {
	f.Add([]byte("one two three"), 4, true)
	f.Add([]byte(strings.Repeat("x", 1000)), 999, false)
	f.Fuzz(func(t *testing.T, text []byte, cut int, own bool) {
		cut = min(max(cut, 0), len(text))
		cl := NewClient(identity, user, address("a.test:1"), own, at(noon))
		b, _ := cl.Seal(nil, text[:cut])
		b, _ = cl.Seal(b, text[cut:])
		st, err := newServer(0).Accept(b, nil, at(noon))
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(&st.Opener, cl.End(st.Rest))
		if all := string(st.Early) + got; all != string(text) || (err == io.EOF) != own || !st.Whole() {
			t.Errorf("%d bytes became %d, %v", len(text), len(all), err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(strings.Repeat("x", 200)), true)
	f.Fuzz(func(t *testing.T, in []byte, own bool) {
		cl := NewClient(identity, user, address("a.test:1"), own, at(noon))
		if _, err := readAll(&cl.Opener, bytes.Clone(in)); err == nil && len(in) > 0 {
			t.Error("accepted")
		}
		if err := ReadOutcome(bytes.NewReader(in)); err == nil && in[0] != 0 {
			t.Error("a refusal is success")
		}
	})
}
