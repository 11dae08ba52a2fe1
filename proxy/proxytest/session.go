package proxytest

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tributary/proxy"
)

// accept is one session from opening to end.
func (in Inbound) accept(t *testing.T, to proxy.Addr, early string, firstSize int, byteByByte bool) {
	client, server := Wire(oneWay)
	began := time.Now()
	served := make(chan struct{})
	go func() {
		defer close(served)
		in.serve(t, server, to, early, firstSize)
	}()

	opening := append(in.Opening(to), early...)
	step := len(opening)
	if byteByByte {
		step = 1
	}
	for i := 0; i < len(opening); i += step {
		if i > 0 {
			time.Sleep(time.Millisecond)
		}
		if _, err := client.Write(opening[i : i+step]); err != nil {
			t.Fatalf("write opening: %v", err)
		}
	}
	if err := in.Answer(client); err != nil {
		t.Errorf("the client reads %v", err)
	}
	if took := time.Since(began); !byteByByte && took != 2*oneWay {
		t.Errorf("the answer took %v, want one round trip of %v", took, 2*oneWay)
	}
	if n := server.Count().Writes; !byteByByte && n != 1 {
		t.Errorf("the answer to an opening in one piece took %d writes", n)
	}
	got := make([]byte, len(hello))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != hello {
		t.Errorf("after the answer the client reads %q, %v; want %q", got, err, hello)
	}
	client.Write([]byte(more))
	client.CloseWrite()
	if got, err := io.ReadAll(client); err != nil || string(got) != bye {
		t.Errorf("after its own end the client reads %q, %v; want %q", got, err, bye)
	}
	client.Close()
	<-served
}

// serve is the server's side of accept.
func (in Inbound) serve(t *testing.T, server *End, to proxy.Addr, early string, firstSize int) {
	defer server.Close()
	req, err := in.request(server, firstSize)
	if err != nil {
		t.Errorf("Accept: %v", err)
		return
	}
	if req.To != to || req.Inbound != in.Name || req.User != in.User || req.From.String() != server.RemoteAddr().String() {
		t.Errorf("the request is from %v to %v by %q for %q", req.From, req.To, req.Inbound, req.User)
	}
	if len(req.Early) > len(early) || !strings.HasPrefix(early, string(req.Early)) {
		t.Errorf("early data %.80q, want %.80q", req.Early, early)
	}
	if n := server.Count().Reads; firstSize == Window && n != 1 {
		t.Errorf("an opening in one piece took %d reads", n)
	}
	c, err := req.Accept(netip.MustParseAddrPort("192.0.2.3:5000"))
	if err != nil {
		t.Errorf("Request.Accept: %v", err)
		return
	}
	if c != proxy.Conn(server) {
		t.Errorf("Request.Accept returns a %T around the connection", c)
	}
	time.Sleep(2 * oneWay) // the answer is there, and was counted
	c.Write([]byte(hello))
	rest, err := io.ReadAll(c)
	if got := string(req.Early) + string(rest); err != nil || got != early+more {
		t.Errorf("the server reads %d bytes %.80q, %v; want %d", len(got), got, err, len(early+more))
	}
	c.Write([]byte(bye))
	c.CloseWrite()
}

// request is what the caller of an inbound does.
func (in Inbound) request(server *End, firstSize int) (*proxy.Request, error) {
	server.SetDeadline(time.Now().Add(patient))
	first := make([]byte, firstSize)
	n, err := server.Read(first)
	if err != nil {
		server.Close()
		return nil, err
	}
	req, err := in.Accept(server, first[:n])
	if err == nil {
		clear(first) // it is the caller's
		server.SetDeadline(time.Time{})
	}
	return req, err
}

// refuse looks that a reason arrives, however late the client looks for it.
func (in Inbound) refuse(t *testing.T, to proxy.Addr, reason proxy.Reason, early int, stays bool) {
	client, server := Wire(oneWay)
	served := make(chan struct{})
	go func() {
		defer close(served)
		req, err := in.request(server, 1)
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		began := time.Now()
		if err := req.Refuse(reason); err != nil {
			t.Errorf("Refuse: %v", err)
		}
		if took := time.Since(began); took > closing || !stays && took > 2*time.Second {
			t.Errorf("Refuse took %v", took)
		}
		if _, err := server.Write([]byte("x")); err == nil {
			t.Error("Refuse leaves the connection open")
		}
	}()
	client.Write(append(in.Opening(to), make([]byte, early)...))
	time.Sleep(time.Second)
	if err := in.Answer(client); err == nil || proxy.ReasonOf(err) != in.Seen(reason) {
		t.Errorf("the client reads %v (%v), want %v", err, proxy.ReasonOf(err), in.Seen(reason))
	}
	if stays {
		time.Sleep(closing)
		if _, err := io.Copy(io.Discard, client); err != nil {
			t.Errorf("behind the refusal comes %v, want the end", err)
		}
	}
	client.Close()
	<-served
}

// cuts are the ways in which an opening breaks off.
var cuts = []struct {
	name string
	do   func(*End)
}{
	{"its end", func(c *End) { c.CloseWrite() }},
	{"a reset", func(c *End) { time.Sleep(2 * oneWay); c.SetLinger(0); c.Close() }},
	{"silence", func(c *End) {}},
}

// cut sends the start of an opening and breaks off.
func (in Inbound) cut(t *testing.T, start []byte, breakOff func(*End)) {
	client, server := Wire(oneWay)
	served := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(served)
		req, err := in.request(server, 1)
		if err == nil {
			t.Errorf("%q alone is accepted as a request for %v", start, req.To)
			server.Close()
		}
		if _, err := server.Write([]byte("x")); err == nil {
			t.Errorf("Accept failed on %q and leaves the connection open", start)
		}
	}()
	client.Write(start)
	breakOff(client)
	io.Copy(io.Discard, client) // ends when the server hangs up
	<-served
	if took := time.Since(began); took > patient+closing {
		t.Errorf("%q held the server for %v", start, took)
	}
	client.Close()
}
