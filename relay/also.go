package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tributary/durable"
	"tributary/mptcp"
	"tributary/proto/join"
)

// alsoFile is where, in the state directory, the further ports are, for join links that
// are made while the relay does not run.
const alsoFile = "ports"

// listenAlso binds the further ports and remembers them.
func listenAlso(config Config) (all []*net.TCPListener, err error) {
	if len(config.Also) > join.MaxAlso {
		return nil, fmt.Errorf("%d further ports, at most %d are possible", len(config.Also), join.MaxAlso)
	}
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
		}
	}()
	var text strings.Builder
	for _, port := range config.Also {
		at := mptcp.ListenText(netip.AddrPortFrom(config.Listen.Addr(), port))
		l, err := mptcp.Listen(context.Background(), "tcp", at, true, nil)
		if err != nil {
			return all, &AlsoError{fmt.Errorf("listen on %s: %w", at, err)}
		}
		all = append(all, l)
		fmt.Fprintln(&text, l.Addr().(*net.TCPAddr).Port)
	}
	path := filepath.Join(config.StateDir, alsoFile)
	if len(all) > 0 {
		err = durable.WriteFile(path, []byte(text.String()))
	} else if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return all, fmt.Errorf("remember the further ports: %w", err)
	}
	return all, nil
}

// An AlsoError says that a further port cannot be had.
type AlsoError struct{ err error }

func (e *AlsoError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *AlsoError) Unwrap() error { return e.err }

// readAlso returns the ports that a relay there had last.
func readAlso(dir string) (ports [join.MaxAlso]uint16, err error) {
	b, err := os.ReadFile(filepath.Join(dir, alsoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return ports, nil
	}
	if err != nil {
		return ports, fmt.Errorf("read the further ports: %w", err)
	}
	for i, text := range strings.Fields(string(b)) {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || i == len(ports) {
			return ports, fmt.Errorf("%s in the state directory is damaged: start the relay again", alsoFile)
		}
		ports[i] = uint16(n)
	}
	return ports, nil
}
