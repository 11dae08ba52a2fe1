package resolve

import (
	"bytes"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// filesFor is how long what the files said is believed before they are looked at
// again, chosen by us; the standard library's resolver takes the same.
const filesFor = 5 * time.Second

// maxServers is how many name servers resolv.conf may name; resolv.conf(5) says
// 3, and further ones are ignored there too.
const maxServers = 3

// The files tell which name servers to ask and which names are known without
// asking. They are read again when they have changed.
type files struct {
	resolv, names *watched

	mu      sync.Mutex
	servers []netip.AddrPort
	version int
	known   map[string][]netip.Addr
}

// systemFiles returns the files of this host, or nil where its name servers are
// in none.
func systemFiles() *files {
	switch runtime.GOOS {
	case "windows", "darwin", "ios", "plan9", "js", "wasip1":
		return nil
	}
	return newFiles("/etc/resolv.conf", "/etc/hosts")
}

func newFiles(resolv, hosts string) *files {
	return &files{resolv: &watched{path: resolv}, names: &watched{path: hosts}}
}

// nameservers returns the name servers, at least one. While the file names none,
// as in the moment when another program writes it, they are those it named last,
// and at first this host (resolv.conf(5)).
func (f *files) nameservers() []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readServers()
	return f.servers
}

// serversVersion changes with the name servers.
func (f *files) serversVersion() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readServers()
	return f.version
}

func (f *files) readServers() {
	text, changed := f.resolv.read()
	if !changed {
		return
	}
	servers := parseResolv(text)
	if len(servers) == 0 && f.servers == nil {
		servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")}
	}
	if len(servers) > 0 && !slices.Equal(servers, f.servers) {
		f.servers = servers
		f.version++
	}
}

// hosts returns the names of the hosts file, in lower case. It is not to be
// changed. A file that cannot be read has none.
func (f *files) hosts() map[string][]netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	if text, changed := f.names.read(); changed {
		f.known = parseHosts(text)
	}
	return f.known
}

// parseResolv reads the lines "nameserver ADDRESS" of resolv.conf(5). Search
// lists and options are for programs that ask on behalf of this host's users.
func parseResolv(text []byte) (servers []netip.AddrPort) {
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if len(words) < 2 || words[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		if ip, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(ip, 53))
		}
	}
	return servers
}

// parseHosts reads the lines "ADDRESS NAME…" of hosts(5).
func parseHosts(text []byte) map[string][]netip.Addr {
	known := map[string][]netip.Addr{}
	for line := range bytes.Lines(text) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		words := strings.Fields(string(line))
		if len(words) < 2 {
			continue
		}
		ip, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		for _, name := range words[1:] {
			if name, ok := canonical(name); ok {
				known[name] = append(known[name], ip.Unmap().WithZone(""))
			}
		}
	}
	return known
}

// A watched file is read when it has changed by its time or size, and looked at
// every few seconds at most. One that cannot be read is empty.
type watched struct {
	path string
	next time.Time // to look
	mod  time.Time
	size int64
	seen bool
}

// read returns the text if it is another than at the last read, or the first.
func (w *watched) read() (text []byte, changed bool) {
	now := time.Now()
	if w.seen && now.Before(w.next) {
		return nil, false
	}
	w.next = now.Add(filesFor)
	mod, size := time.Time{}, int64(-1)
	if info, err := os.Stat(w.path); err == nil {
		mod, size = info.ModTime(), info.Size()
	}
	if w.seen && mod.Equal(w.mod) && size == w.size {
		return nil, false
	}
	text, _ = os.ReadFile(w.path)
	w.seen, w.mod, w.size = true, mod, size
	return text, true
}
