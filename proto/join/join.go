// Package join reads and writes the join link, the one line that makes a gateway
// know its relay:
//
//	tributary://ACCOUNT:SECRET@HOST:PORT?pin=sha256/BASE64URL[&ss=PORT][&also=PORT,…][&ip=ADDRESS][&name=TEXT]
//
// It holds the account and its secret, where the relay listens, the SHA-256 of the
// relay's public key, which the gateway pins, the port of the relay's Shadowsocks
// listener if there is one, further ports at which the relay listens, its address of
// the other family, and a name for people.
//
// A join link is a password. Errors of this package show no part of it, and
// printing a [Link] leaves the secret out.
package join

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"tributary/proxy"
)

// Chosen by us.
const (
	scheme     = "tributary://"
	pinPrefix  = "sha256/"
	maxText    = 4096 // a link pasted by accident with a whole page is refused early
	maxAccount = 255  // the SOCKS5 user field, RFC 1929
	maxName    = 128

	// MaxAlso is how many further ports there may be: a gateway probes each of them
	// over each link when the first does not serve.
	MaxAlso = 4
)

// A Link is what a join link says. It is comparable.
type Link struct {
	Account     string
	Secret      Secret
	Host        string   // the relay's name or IP address, without brackets
	Port        uint16   // the relay's TCP port
	Pin         [32]byte // SHA-256 of the relay's public key (SubjectPublicKeyInfo)
	Shadowsocks uint16   // the relay's Shadowsocks port, or 0
	Name        string   // for people, may be ""

	Other netip.Addr // a second address of the relay, of the other family where Host is one; may be zero

	Also [MaxAlso]uint16 // further ports like Port, in the order in which to try them; 0 is none
}

// Ports returns all ports of the relay, the preferred one first.
func (l Link) Ports() []uint16 {
	all := []uint16{l.Port}
	for _, p := range l.Also {
		if p != 0 {
			all = append(all, p)
		}
	}
	return all
}

// Parse reads a join link, with white space around it or not. Parameters that it
// does not know are ignored, so that an older gateway can use the link of a newer
// relay. An error says which part is wrong and never shows the link.
func Parse(text string) (Link, error) {
	l, err := parse(strings.TrimSpace(text))
	if err != nil {
		return Link{}, fmt.Errorf("join link: %w", err)
	}
	return l, nil
}

func parse(text string) (l Link, err error) {
	switch {
	case text == "":
		return l, errors.New("is empty")
	case len(text) > maxText:
		return l, fmt.Errorf("is longer than %d bytes", maxText)
	case len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme):
		return l, fmt.Errorf("does not start with %s", scheme)
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return l, errors.New("has white space inside; was a line cut?")
	case strings.Contains(text, "#"):
		return l, errors.New("has a part behind #, which join links do not have")
	}
	place, query, _ := strings.Cut(text[len(scheme):], "?")
	at := strings.LastIndexByte(place, '@')
	if at < 0 {
		return l, errors.New("has no account and secret: want ACCOUNT:SECRET@HOST:PORT")
	}
	if err := l.parseUser(place[:at]); err != nil {
		return l, err
	}
	if err := l.parseHost(strings.TrimSuffix(place[at+1:], "/")); err != nil {
		return l, err
	}
	return l, l.parseQuery(query)
}

// parseUser reads ACCOUNT:SECRET.
func (l *Link) parseUser(s string) (err error) {
	account, secret, ok := strings.Cut(s, ":")
	if !ok {
		return errors.New("has no secret: want ACCOUNT:SECRET@HOST:PORT")
	}
	if l.Account, err = url.PathUnescape(account); err != nil { // the error would show the text
		return errors.New("account has a broken % escape")
	}
	switch {
	case l.Account == "":
		return errors.New("account is empty")
	case len(l.Account) > maxAccount:
		return fmt.Errorf("account is longer than %d bytes", maxAccount)
	case !printable(l.Account):
		return errors.New("account has characters that cannot be printed")
	}
	l.Secret, err = ParseSecret(secret)
	return err
}

// parseHost reads HOST:PORT.
func (l *Link) parseHost(s string) (err error) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || strings.HasSuffix(s, "]") {
		return errors.New("has no port: want HOST:PORT, IPv6 in brackets")
	}
	host, inBrackets := strings.CutPrefix(s[:colon], "[")
	if inBrackets {
		if host, inBrackets = strings.CutSuffix(host, "]"); !inBrackets {
			return errors.New("host has an opening bracket and no closing one")
		}
	}
	if l.Port, err = parsePort(s[colon+1:]); err != nil {
		return err
	}
	addr, err := proxy.NameAddr(host, l.Port)
	switch {
	case err != nil && host == "":
		return errors.New("host is empty")
	case err != nil && strings.Contains(host, ":"):
		return errors.New("host has colons and is no IPv6 address")
	case err != nil || strings.Contains(host, "%"):
		return errors.New("host is neither a name nor an IP address")
	case inBrackets != addr.IP().Is6() && !addr.IP().Is4():
		return errors.New("host: an IPv6 address has brackets around it, and nothing else has")
	}
	l.Host = addr.Host()
	return nil
}

// parseQuery reads what is behind the question mark.
func (l *Link) parseQuery(s string) error {
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(s, "&") {
		key, text, _ := strings.Cut(part, "=")
		value, err := url.QueryUnescape(text)
		switch key {
		case "pin":
			if err == nil {
				err = l.parsePin(value)
			}
		case "ss":
			if err == nil {
				l.Shadowsocks, err = parsePort(value)
			}
		case "also":
			if err == nil {
				err = l.parseAlso(value)
			}
		case "ip":
			if err == nil {
				if l.Other, err = netip.ParseAddr(value); err != nil || l.Other.Zone() != "" || l.Other.Is4In6() {
					l.Other, err = netip.Addr{}, errors.New("is no IP address")
				}
			}
		case "name":
			if l.Name = value; err == nil && (len(value) > maxName || !printable(value)) {
				err = fmt.Errorf("want at most %d bytes that can be printed", maxName)
			}
		default:
			continue
		}
		var escape url.EscapeError
		switch {
		case seen[key]:
			return fmt.Errorf("%s is given twice", key)
		case errors.As(err, &escape): // would show the text
			return fmt.Errorf("%s has a broken %% escape", key)
		case err != nil:
			return fmt.Errorf("%s: %w", key, err)
		}
		seen[key] = true
	}
	if !seen["pin"] {
		return errors.New("has no pin, the hash of the relay's key")
	}
	return nil
}

func (l *Link) parsePin(s string) error {
	s, ok := strings.CutPrefix(s, pinPrefix)
	if !ok {
		return fmt.Errorf("does not start with %s", pinPrefix)
	}
	b, err := base64url.DecodeString(s)
	switch {
	case err != nil:
		return errors.New("is not base64url without padding")
	case len(b) != len(l.Pin):
		return fmt.Errorf("has %d bytes, want %d", len(b), len(l.Pin))
	}
	l.Pin = [32]byte(b)
	return nil
}

func (l *Link) parseAlso(s string) (err error) {
	ports := strings.Split(s, ",")
	if len(ports) > MaxAlso {
		return fmt.Errorf("has %d ports, at most %d are possible", len(ports), MaxAlso)
	}
	for i, p := range ports {
		if l.Also[i], err = parsePort(p); err != nil {
			return err
		}
	}
	return nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("port is not a number from 1 to 65535")
	}
	return uint16(n), nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Text returns the whole join link, with the secret. It is for the person who
// asked for it, and for the state directory; everything else takes
// [Link.String]. Parse(l.Text()) is l for every l that Parse can return.
func (l Link) Text() string { return l.text(l.Secret.Text()) }

// String returns the join link with "…" for the secret.
func (l Link) String() string { return l.text(redacted) }

// GoString returns what [Link.String] does, for %#v.
func (l Link) GoString() string { return l.String() }

// LogValue returns what [Link.String] does, for slog.
func (l Link) LogValue() slog.Value { return slog.StringValue(l.String()) }

func (l Link) text(secret string) string {
	var b strings.Builder
	b.WriteString(scheme + url.User(l.Account).String() + ":" + secret + "@")
	if strings.Contains(l.Host, ":") {
		b.WriteString("[" + l.Host + "]")
	} else {
		b.WriteString(l.Host)
	}
	b.WriteString(":" + strconv.Itoa(int(l.Port)))
	b.WriteString("?pin=" + pinPrefix + base64url.EncodeToString(l.Pin[:]))
	if l.Shadowsocks != 0 {
		b.WriteString("&ss=" + strconv.Itoa(int(l.Shadowsocks)))
	}
	for i, p := range l.Ports()[1:] {
		b.WriteString(map[bool]string{true: "&also=", false: ","}[i == 0] + strconv.Itoa(int(p)))
	}
	if l.Other.IsValid() {
		b.WriteString("&ip=" + l.Other.String())
	}
	if l.Name != "" {
		b.WriteString("&name=" + strings.ReplaceAll(url.QueryEscape(l.Name), "+", "%20"))
	}
	return b.String()
}
