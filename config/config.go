// Package config reads the configuration file of a relay or gateway: TOML text
// becomes a raw form in which what is not set stays unset, and that becomes the
// packages' own Configs, checked.
//
// The file is read strictly: a key that this program does not know is an error,
// for a setting that has no effect is worse than none. Every error names the
// file, the line, the section and the key. None repeats a value: it may be a
// secret that was pasted into the wrong place.
//
// reference.toml has every key with its default and what it means;
// docs/config.md is made from it.
package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"

	"tributary/gateway"
	"tributary/link"
	"tributary/proto/join"
	"tributary/relay"
)

// A Config is what both commands start from. A file may hold the settings of
// both; each command takes its own.
type Config struct {
	Relay   relay.Config   // all but Accounts and Log
	Gateway gateway.Config // all but Links, StateDir and Log; Relay is the zero join.Link unless the file has one
	Links   link.Config    // of the gateway, all but Log
	API     netip.AddrPort // where the gateway serves its status
}

// Default returns the settings of an empty file. It is the one place that has
// defaults. Empty state directories and links mean what their packages say.
func Default() Config {
	return Config{
		Relay: relay.Config{
			Listen:      netip.AddrPortFrom(netip.Addr{}, 8443),
			Shadowsocks: netip.AddrPortFrom(netip.Addr{}, 8388),
			PerAccount:  relay.DefaultPerAccount,
			Speed:       true,
		},
		Gateway: gateway.Config{SOCKS: netip.MustParseAddrPort("127.0.0.1:1080"), Opening: gateway.Auto},
		API:     netip.MustParseAddrPort("127.0.0.1:8081"),
	}
}

//go:embed reference.toml
var reference string

// Reference returns a commented file that sets every key.
func Reference() string { return reference }

// maxSize bounds the file. Configurations have some kilobytes; a disk image
// named by mistake is refused early.
const maxSize = 1 << 20

// Read reads the file at path over the defaults. A file with a join link in it
// must not be readable by every user of the host, where the system knows such
// rights.
func Read(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := Parse(path, text)
	if err != nil {
		return Config{}, err
	}
	everybody := runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
	if c.Gateway.Relay != (join.Link{}) && everybody {
		at := find(text).nearest("gateway", "join")
		return Config{}, &readableError{problem{path, at, errors.New("is a secret, and every user of this host can read this file")}}
	}
	return c, nil
}

// Parse reads text over the defaults. Name is what errors call the file. An
// error has one line for each thing that is wrong, in the order of the file.
func Parse(name string, text []byte) (Config, error) {
	if len(text) > maxSize {
		return Config{}, fmt.Errorf("%s: has more than %d bytes, that is no configuration", name, maxSize)
	}
	places := find(text)
	raw, err := decode(name, text, places)
	if err != nil {
		return Config{}, err
	}
	ck := checker{name: name, places: places}
	c := ck.config(raw)
	if err := ck.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// A readableError is a secret that is none.
type readableError struct{ problem }

// Hint says what to do.
func (e *readableError) Hint() string { return "chmod 600 " + e.file }
