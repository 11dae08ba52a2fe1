package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// fetch socks5|connect ADDR:PORT URL gets a page through the proxy there, and
// wants the final server's words, or zeros. "! fetch" wants it refused.
func (s *script) fetch(ts *testscript.TestScript, neg bool, args []string) {
	body, err := get(args[0], args[1], args[2])
	switch {
	case neg && err == nil:
		ts.Fatalf("fetched %q", body)
	case neg:
		ts.Logf("%v", err)
	default:
		ts.Check(err)
		if body != served && strings.Trim(body, "\x00") != "" {
			ts.Fatalf("got %q", body)
		}
	}
}

func get(how, via, target string) (string, error) {
	tr := &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: patience}
	switch how {
	case "socks5":
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "socks5", Host: via})
	case "connect":
		tr.DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) { return connect(ctx, via, addr) }
	default:
		return "", fmt.Errorf("no way %q", how)
	}
	resp, err := (&http.Client{Transport: tr}).Get(target)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// connect opens a tunnel as curl --proxytunnel does: net/http uses one for https only.
func connect(ctx context.Context, via, to string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", via)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) // the server does not speak first
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("CONNECT %s: %s", to, resp.Status)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// members FILE NAME... wants these members in a JSON document: "links.0.name",
// or "links.0.name=dsl" for its value too.
func (s *script) members(ts *testscript.TestScript, neg bool, args []string) {
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	for _, arg := range args[1:] {
		name, want, compare := strings.Cut(arg, "=")
		got, ok := member(doc, name)
		if !ok {
			ts.Fatalf("no member %s in\n%s", name, ts.ReadFile(args[0]))
		}
		if compare && fmt.Sprint(got) != want {
			ts.Fatalf("%s is %v, want %s in\n%s", name, got, want, ts.ReadFile(args[0]))
		}
	}
}

func member(doc any, name string) (any, bool) {
	for more := true; more; {
		var first string
		first, name, more = strings.Cut(name, ".")
		switch d := doc.(type) {
		case map[string]any:
			v, ok := d[first]
			if !ok {
				return nil, false
			}
			doc = v
		case []any:
			i, err := strconv.Atoi(first)
			if err != nil || i >= len(d) {
				return nil, false
			}
			doc = d[i]
		default:
			return nil, false
		}
	}
	return doc, true
}

// up ADDR:PORT waits until the gateway with that API has warm connections.
func (s *script) up(ts *testscript.TestScript, neg bool, args []string) {
	eventually(ts, "warm connections", func() bool {
		resp, err := http.Get("http://" + args[0] + "/api/status")
		ts.Check(err)
		defer resp.Body.Close()
		var doc any
		ts.Check(json.NewDecoder(resp.Body).Decode(&doc))
		warm, _ := member(doc, "pool.warm")
		n, _ := warm.(float64)
		return n > 0
	})
}

// ask ADDR:PORT PATH FILE keeps what an API serves.
func (s *script) ask(ts *testscript.TestScript, neg bool, args []string) {
	resp, err := http.Get("http://" + args[0] + args[1])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", args[1], resp.Status)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), body, 0o600))
}
