package measure

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"tributary/proxy"
)

// A Target is what is fetched: http://host[:port]/path. A %d in the path or query
// stands for the size of the answer in bytes.
type Target struct {
	To   proxy.Addr
	path string // with its query, as in the request line
	host string // as in the Host header
}

// ParseTarget reads a URL. Only http is possible: TLS would hide the first byte.
func ParseTarget(text string) (Target, error) {
	rest, ok := strings.CutPrefix(text, "http://")
	if !ok {
		return Target{}, errors.New("target: want http://HOST[:PORT]/PATH")
	}
	host, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(host, "@?#") {
		return Target{}, errors.New("target: want http://HOST[:PORT]/PATH, without a user")
	}
	to, err := proxy.ParseAddr(withPort(host, "80"))
	if err != nil {
		return Target{}, fmt.Errorf("target: %w", err)
	}
	path, _, _ = strings.Cut("/"+path, "#")
	if i := strings.IndexFunc(path, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 {
		return Target{}, errors.New("target: space or control byte in the path")
	}
	if strings.Count(path, "%d") > 1 {
		return Target{}, errors.New("target: more than one %d")
	}
	return Target{to, path, host}, nil
}

// Sized reports whether the size of the answer can be chosen.
func (t Target) Sized() bool { return strings.Contains(t.path, "%d") }

// request is the whole of an HTTP request.
func (t Target) request(size int64) []byte {
	path := strings.Replace(t.path, "%d", strconv.FormatInt(size, 10), 1)
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tributary\r\nConnection: close\r\n\r\n", path, t.host)
}

// A Via is the way to the target. The zero Via is none: direct.
type Via struct {
	// Protocol is "socks5", "http" or "".
	Protocol string
	// Server is the proxy's address.
	Server proxy.Addr
	// User and Password are for the proxy; no User is no authentication.
	User, Password string
}

// ParseVia reads "direct", socks5://[USER:PASSWORD@]HOST[:PORT] or
// http://[USER:PASSWORD@]HOST[:PORT]. Its errors hold nothing of the text, which
// may be a secret.
func ParseVia(text string) (Via, error) {
	if text == "" || text == "direct" {
		return Via{}, nil
	}
	wrong := errors.New("proxy: want direct, socks5://[USER:PASSWORD@]HOST:PORT or http://[USER:PASSWORD@]HOST:PORT")
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return Via{}, wrong
	}
	v, port := Via{}, ""
	switch u.Scheme {
	case "socks5", "socks5h": // names are the proxy's to resolve in both
		v.Protocol, port = "socks5", "1080"
	case "http":
		v.Protocol, port = "http", "8080"
	default:
		return Via{}, wrong
	}
	if v.Server, err = proxy.ParseAddr(withPort(u.Host, port)); err != nil {
		return Via{}, wrong
	}
	v.User = u.User.Username()
	v.Password, _ = u.User.Password()
	if len(v.User) > 255 || len(v.Password) > 255 {
		return Via{}, errors.New("proxy: user or password is longer than 255 bytes")
	}
	return v, nil
}

// String names the way without user and password.
func (v Via) String() string {
	if v.Protocol == "" {
		return "direct"
	}
	return v.Protocol + "://" + v.Server.String()
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// ParseSizes reads a list such as "1k,20k,1M" of bytes; k, M and G are powers of
// 1,000.
func ParseSizes(text string) (sizes []int64, err error) {
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		digits := strings.TrimRight(word, "kMG")
		factor := map[string]float64{"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[word[len(digits):]]
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || factor == 0 || !(n*factor >= 1 && n*factor <= 1e12) {
			return nil, fmt.Errorf("size %q: want a number of bytes such as 500, 20k or 1.5M", word)
		}
		sizes = append(sizes, int64(n*factor))
	}
	return sizes, nil
}

// SizeText writes a size as [ParseSizes] reads it, with a unit.
func SizeText(n int64) string {
	switch {
	case n >= 1e6 && n%1e5 == 0:
		return strconv.FormatFloat(float64(n)/1e6, 'f', -1, 64) + " MB"
	case n >= 1e3 && n%100 == 0:
		return strconv.FormatFloat(float64(n)/1e3, 'f', -1, 64) + " kB"
	}
	return strconv.FormatInt(n, 10) + " B"
}
