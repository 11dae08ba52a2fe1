package splice

import (
	"io"
	"testing"
	"time"
)

// What is left lying leaves in front of the next write, in the same frame; before
// the end; or when its time is over.
func TestWriteLater(t *testing.T) {
	for name, c := range map[string]struct {
		then func(f *FramedConn)
		want string
		fast bool
	}{
		"a write": {func(f *FramedConn) { f.Write([]byte("hello")) }, "\x00\x00\x06+hello", true},
		"the end": {func(f *FramedConn) { f.CloseWrite() }, "\x00\x00\x01+\x00\x00\x00", true},
		"time":    {func(f *FramedConn) {}, "\x00\x00\x01+", false},
	} {
		server, client := tlsLeg(false)(t)
		f := Framed(client.(*TLSConn), nil, nil, nil)
		within := 50 * time.Millisecond
		if c.fast {
			within = time.Hour
		}
		f.WriteLater([]byte("+"), within)
		c.then(f)
		got := make([]byte, len(c.want))
		server.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(server, got); err != nil || string(got) != c.want {
			t.Errorf("%s: read %q, %v, want %q", name, got, err, c.want)
		}
		f.Write([]byte("once"))
		if c.want = "\x00\x00\x04once"; name != "the end" {
			got = got[:0]
			got = append(got, make([]byte, len(c.want))...)
			if _, err := io.ReadFull(server, got); err != nil || string(got) != c.want {
				t.Errorf("%s: then %q, %v", name, got, err)
			}
		}
	}
}

func TestWriteLaterSealed(t *testing.T) {
	for name, then := range map[string]func(f *SealedConn){
		"a write":       func(f *SealedConn) { f.Write([]byte("hello")) },
		"a large write": func(f *SealedConn) { f.Write(make([]byte, 100_000)) },
		"the end":       func(f *SealedConn) {},
	} {
		si, client := sealedLeg(false)(t)
		f := si.(*SealedConn)
		f.WriteLater([]byte("+"), time.Hour)
		then(f)
		f.CloseWrite()
		want := map[string]int{"a write": 6, "a large write": 100_001, "the end": 1}[name]
		if b, err := io.ReadAll(client); err != nil || len(b) != want || b[0] != '+' {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	si, client := sealedLeg(false)(t)
	si.(*SealedConn).WriteLater([]byte("+"), 50*time.Millisecond)
	client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Errorf("time: %v", err)
	}
}
