package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"tributary/gateway"
)

// hold ADDR:PORT TO BYTES opens a tunnel through the proxy there to a server that
// sends that many bytes, reads them, and keeps it open until the script ends.
func (s *script) hold(ts *testscript.TestScript, neg bool, args []string) {
	c, err := net.Dial("tcp", args[0])
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", args[1], args[1])
	head := make([]byte, 0, 256)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		b := make([]byte, 1)
		_, err := io.ReadFull(c, b)
		ts.Check(err)
		head = append(head, b...)
	}
	fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n", args[2], args[1])
	var n int64
	fmt.Sscan(args[2], &n)
	_, err = io.CopyN(io.Discard, c, n)
	ts.Check(err)
}

// session ADDR:PORT FILE TO BYTES LINK... wants one session to TO in the gateway's list,
// which it writes to a file, that has carried so many bytes down, over an established
// subflow on each of the links. A session's bytes are counted a moment after they came.
func (s *script) session(ts *testscript.TestScript, neg bool, args []string) {
	var l gateway.SessionList
	var text string
	var least, sum uint64
	fmt.Sscan(args[3], &least)
	eventually(ts, "a session has carried "+args[3]+" bytes", func() bool {
		l = gateway.SessionList{}
		s.ask(ts, false, []string{args[0], "/api/sessions", args[1]})
		text = ts.ReadFile(args[1])
		ts.Check(json.Unmarshal([]byte(text), &l))
		return len(l.List) != 1 || uint64(l.List[0].BytesDown) >= least
	})
	if len(l.List) != 1 || l.Open != 1 || l.LeftOut != 0 {
		ts.Fatalf("want one session in\n%s", text)
	}
	got := l.List[0]
	if got.To != args[2] || got.State != "open" || got.Inbound != "http" || got.MPTCP != "ok" || got.ID <= 1 || got.AgeS <= 0 {
		ts.Fatalf("want an open session to %s in\n%s", args[2], text)
	}
	if client, err := netip.ParseAddrPort(got.Client); err != nil || !client.Addr().IsLoopback() {
		ts.Fatalf("client %q", got.Client)
	}
	var links []string
	for _, f := range got.Subflows {
		if remote, err := netip.ParseAddrPort(f.Remote); err != nil || remote.Port() != 8443 || f.State != "established" || f.Backup || f.RTTms <= 0 {
			ts.Fatalf("subflow %+v", f)
		}
		links = append(links, f.Link)
		sum += f.BytesDown
	}
	slices.Sort(links) // the connection may have begun over any of them
	if want := strings.Join(args[4:], " "); strings.Join(links, " ") != want {
		ts.Fatalf("subflows over %q, want %q in\n%s", links, want, text)
	}
	// The kernel's counts have TLS and the server's head in them, and what went twice.
	if uint64(got.BytesDown) < least || sum < least || sum > least+least/4+20_000 {
		ts.Fatalf("%d bytes, %d over the subflows, want %d and a little in\n%s", got.BytesDown, sum, least, text)
	}
}

// serveBytes answers a GET of /N with N bytes, and others with the final server's words.
func serveBytes(w http.ResponseWriter, r *http.Request) {
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
		io.WriteString(w, served)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(n))
	w.Write(make([]byte, n))
}

// wrote FILE COUNT REGEXP waits until a file has that many lines of a kind.
func (s *script) wrote(ts *testscript.TestScript, neg bool, args []string) {
	kind := regexp.MustCompile("(?m)" + args[2])
	var want int
	fmt.Sscan(args[1], &want)
	eventually(ts, args[0]+" has them", func() bool { return len(kind.FindAllString(ts.ReadFile(args[0]), -1)) >= want })
}
