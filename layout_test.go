// Package layout_test holds the shape of the tree: who may import whom, where
// system calls live, how large things get, under which licences we build, and
// that the documents speak of what exists. The laws and their reasons are in
// docs/architecture.md and CONTRIBUTING.md; layout_faults_test.go plants a fault
// for each of them.
//
// The tree is read with go/parser, never with "go list": a test that starts
// another program is answered from the test cache although the tree has changed.
package layout_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// module is our own import path.
const module = "tributary"

// imports says which of our packages a package may import; "proto/*" is all that
// is directly below proto, and "*" anything. The same table is in
// docs/architecture.md. A package without a row may not exist.
var imports = map[string][]string{
	"account":         {},
	"allowance":       {"durable"},
	"dashboard":       {},
	"lab":             {"lab/load", "lab/packet", "lab/page", "lab/soak", "measure", "measure/figure", "measure/phone", "mptcp/diag", "mptcp/pm"},
	"lab/load":        {},
	"lab/packet":      {},
	"lab/page":        {},
	"measure":         {"measure/figure", "mptcp", "proto/*", "proxy"},
	"measure/figure":  {},
	"measure/phone":   {},
	"mptcp":           {},
	"mptcp/diag":      {},
	"mptcp/fastopen":  {"mptcp", "mptcp/pm"},
	"mptcp/stale":     {"mptcp", "mptcp/diag", "mptcp/pm"},
	"mptcp/pm":        {},
	"speed":           {"proxy"},
	"splice":          {},
	"proxy":           {"splice"},
	"proxy/proxytest": {"proxy"},
	"proto/*":         {"proxy"},
	"egress":          {"egress/resolve", "proxy"},
	"egress/resolve":  {},
	"durable":         {},
	"bundle":          {"health", "link"},
	"health":          {"proto/probe"},
	"history":         {},
	"passage":         {},
	"link":            {"durable", "mptcp/pm"},
	"upkeep":          {"durable"},
	"relay":           {"account", "durable", "egress", "mptcp", "mptcp/stale", "proto/*", "proxy", "speed", "splice"},
	"gateway":         {"allowance", "bundle", "egress", "health", "history", "link", "mptcp", "mptcp/diag", "mptcp/stale", "passage", "proto/*", "proxy", "splice", "upkeep"},
	"config":          {"account", "allowance", "gateway", "link", "proto/*", "proxy", "relay"},
	"cmd/tributary":   {"*"},

	"dashboard/screen": {"gateway"},

	"lab/soak":           {},
	"measure/transfer":   {"mptcp", "proto/*", "proxy", "speed"},
	"measure/throughput": {"measure/figure", "measure/transfer", "proxy", "speed"},
	"measure/handover":   {"measure/figure", "measure/transfer", "proxy", "speed"},
}

// testImports may be imported by every package's tests besides: fakes, and the
// kernel's own view of what was done to it.
var testImports = []string{"proxy/proxytest", "mptcp/pm"}

// onlyFrom says which packages may be imported by one other alone.
var onlyFrom = map[string]string{"config": "cmd/tributary"}

// kernelPackages may make system calls.
var kernelPackages = []string{"lab", "lab/load", "link", "mptcp", "mptcp/diag", "mptcp/fastopen", "mptcp/pm", "splice"}

// kernelFiles may as well, for a reason.
var kernelFiles = map[string]string{
	"account/lock_unix.go":        "flock(2), and the owner of the account file",
	"cmd/tributary/hide_linux.go": "blanks a secret in the process's own arguments",
	"egress/fastopen_linux.go":    "TCP_FASTOPEN_CONNECT, and TCP_INFO to see what became of it",
}

// Limits in lines, comments included.
const (
	fileLimit    = 500
	packageLimit = 1500
)

// largePackages have a limit of their own, for a reason.
var largePackages = map[string]struct {
	limit int
	why   string
}{
	"cmd/tributary": {3600, "one file per sub-command; they share next to nothing"},
	"lab":           {13500, "an instrument: emulator, hosts, final server and scenarios stay behind one door"},
	"mptcp":         {1650, "a connection, what the kernel tells of it, and its buffers, which follow from that"},
	"splice":        {1550, "a pair of streams, and what carries their bytes: bare, in TLS, framed, sealed"},
	"relay":         {1600, "sessions, Shadowsocks, probes and identity are one server: its parts are of no use alone"},
	"health":        {1670, "a link's record, its pace and its verdict know each other; knocks and ports are in both"},
	"link":          {3110, "observation, plan, steps and journal name each other's types throughout"},
	"gateway":       {6000, "one loop from client to relay; the pool, the cold ways, the early answers and the links meet in it"},
}

// licences of the modules that go.mod names, as SPDX identifiers. The name of a
// licence is put here by a person who has read it.
var licences = map[string]string{
	"github.com/BurntSushi/toml":      "MIT",
	"github.com/google/go-cmp":        "BSD-3-Clause",
	"github.com/klauspost/cpuid":      "MIT",
	"github.com/mdlayher/genetlink":   "MIT",
	"github.com/mdlayher/netlink":     "MIT",
	"github.com/mdlayher/socket":      "MIT",
	"github.com/pelletier/go-toml":    "MIT",
	"github.com/rogpeppe/go-internal": "BSD-3-Clause",
	"github.com/vishvananda/netlink":  "Apache-2.0",
	"github.com/vishvananda/netns":    "Apache-2.0",
	"golang.org/x/exp":                "BSD-3-Clause",
	"golang.org/x/exp/typeparams":     "BSD-3-Clause",
	"golang.org/x/mod":                "BSD-3-Clause",
	"golang.org/x/net":                "BSD-3-Clause",
	"golang.org/x/sync":               "BSD-3-Clause",
	"golang.org/x/sys":                "BSD-3-Clause",
	"golang.org/x/term":               "BSD-3-Clause",
	"golang.org/x/tools":              "BSD-3-Clause",
	"honnef.co/go/tools":              "MIT",
	"lukechampine.com/blake3":         "MIT",
	"rsc.io/qr":                       "BSD-3-Clause",
}

// permitted are the licences that let us stay Apache-2.0 and users do as it says.
var permitted = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// A law looks at a tree and returns one line per fault.
type law struct {
	name  string
	check func(*tree) []string
}

var laws = []law{
	{"imports", checkImports},
	{"rows", checkRows},
	{"codecs", checkCodecs},
	{"system calls", checkSystemCalls},
	{"package comments", checkPackageComments},
	{"init", checkInit},
	{"sizes", checkSizes},
	{"modules", checkModules},
	{"machine paths", checkMachinePaths},
	{"references", checkReferences},
	{"import table", checkImportTable},
	{"first commands", checkFirstCommands},
	{"log fields", checkLogFields},
}

func TestLayout(t *testing.T) {
	tr, err := readTree(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			for _, fault := range l.check(tr) {
				t.Error(fault)
			}
		})
	}
}

// row returns a package's row of the import table.
func row(pkg string) (may []string, ok bool) {
	if may, ok = imports[pkg]; !ok {
		may, ok = imports[path.Dir(pkg)+"/*"]
	}
	return may, ok
}

func covers(may []string, pkg string) bool {
	return slices.Contains(may, "*") || slices.Contains(may, pkg) || slices.Contains(may, path.Dir(pkg)+"/*")
}

func checkImports(tr *tree) (faults []string) {
	for _, f := range tr.goFiles {
		if f.pkg == "." {
			continue
		}
		may, ok := row(f.pkg)
		if !ok {
			faults = append(faults, fmt.Sprintf("%s: package %s has no row in the import table", f.name, f.pkg))
			continue
		}
		for _, imp := range f.ours() {
			switch {
			case f.test && (imp == f.pkg || slices.Contains(testImports, imp)):
			case !covers(may, imp):
				faults = append(faults, fmt.Sprintf("%s: %s may not import %s", f.name, f.pkg, imp))
			case onlyFrom[imp] != "" && onlyFrom[imp] != f.pkg:
				faults = append(faults, fmt.Sprintf("%s: only %s may import %s", f.name, onlyFrom[imp], imp))
			}
		}
	}
	// These hold whatever the table says.
	for pkg, never := range map[string]string{"relay": "gateway", "gateway": "relay"} {
		if covers(imports[pkg], never) {
			faults = append(faults, fmt.Sprintf("import table: %s must never import %s", pkg, never))
		}
	}
	return faults
}

func checkRows(tr *tree) (faults []string) {
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		exists := slices.ContainsFunc(tr.goFiles, func(f goFile) bool {
			return f.pkg == pkg || path.Dir(f.pkg)+"/*" == pkg
		})
		if !exists {
			faults = append(faults, fmt.Sprintf("import table: there is no package %s", pkg))
		}
	}
	return faults
}

// checkCodecs: bytes in, bytes out; a codec that opens sockets or files is none.
func checkCodecs(tr *tree) (faults []string) {
	for _, f := range tr.goFiles {
		if f.test || path.Dir(f.pkg) != "proto" {
			continue
		}
		for _, imp := range f.imports {
			if imp == "net" || imp == "os" {
				faults = append(faults, fmt.Sprintf("%s: wire formats never import %q", f.name, imp))
			}
		}
	}
	return faults
}

// A door leads to the kernel past the standard library.
var door = regexp.MustCompile(`^(C|unsafe|golang\.org/x/sys/.*|github\.com/mdlayher/.*|github\.com/vishvananda/.*)$`)

// plainSyscall are the names of package syscall that make no call: error numbers,
// signals, and the types in which the standard library hands them out.
var plainSyscall = regexp.MustCompile(`^(E[A-Z0-9]+|SIG[A-Z0-9]+|Errno|Signal|Conn|RawConn)$`)

func checkSystemCalls(tr *tree) (faults []string) {
	needed := map[string]bool{}
	for _, f := range tr.goFiles {
		if f.test {
			continue
		}
		var calls []string
		for _, imp := range f.imports {
			if door.MatchString(imp) {
				calls = append(calls, "imports "+imp)
			}
		}
		for _, name := range f.syscalls {
			if !plainSyscall.MatchString(name) {
				calls = append(calls, "uses syscall."+name)
			}
		}
		if len(calls) == 0 || slices.Contains(kernelPackages, f.pkg) {
			continue
		}
		if needed[f.name] = true; kernelFiles[f.name] == "" {
			faults = append(faults, fmt.Sprintf("%s: %s; system calls stay in %s", f.name, strings.Join(calls, ", "), strings.Join(kernelPackages, ", ")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kernelFiles)) {
		if !needed[name] {
			faults = append(faults, fmt.Sprintf("%s: is excepted from the law on system calls and need not be", name))
		}
	}
	return faults
}

func checkPackageComments(tr *tree) (faults []string) {
	comments := map[string][]string{}
	for _, f := range tr.goFiles {
		if f.test {
			continue
		}
		in := comments[f.pkg]
		if f.doc == "" {
			comments[f.pkg] = in // so that the package is known
			continue
		}
		comments[f.pkg] = append(in, f.name)
		start := "Package " + f.clause + " "
		if f.clause == "main" {
			start = "Command " + path.Base(f.pkg) + " "
		}
		if !strings.HasPrefix(f.doc, start) {
			faults = append(faults, fmt.Sprintf("%s: package comment does not start with %q", f.name, start))
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(comments)) {
		if in := comments[pkg]; len(in) != 1 {
			faults = append(faults, fmt.Sprintf("package %s has %d package comments, want one %v", pkg, len(in), in))
		}
	}
	return faults
}

func checkInit(tr *tree) (faults []string) {
	for _, f := range tr.goFiles {
		if f.init {
			faults = append(faults, f.name+": has an init function; what runs must be read from main")
		}
	}
	return faults
}

func checkSizes(tr *tree) (faults []string) {
	sum := map[string]int{}
	for _, f := range tr.goFiles {
		if f.test {
			continue
		}
		sum[f.pkg] += f.lines
		if f.lines > fileLimit {
			faults = append(faults, fmt.Sprintf("%s: %d lines, at most %d; are these two ideas?", f.name, f.lines, fileLimit))
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(sum)) {
		limit := packageLimit
		if l, ok := largePackages[pkg]; ok {
			limit = l.limit
		}
		if sum[pkg] > limit {
			faults = append(faults, fmt.Sprintf("package %s: %d lines, at most %d", pkg, sum[pkg], limit))
		}
	}
	return faults
}

// majorSuffix is what a module path has behind its name from version 2 on.
var majorSuffix = regexp.MustCompile(`/v[0-9]+$`)

func checkModules(tr *tree) (faults []string) {
	block := ""
	for _, line := range strings.Split(tr.texts["go.mod"], "\n") {
		line, _, _ = strings.Cut(line, "//")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			continue
		case len(words) == 2 && words[1] == "(":
			block = words[0]
			continue
		case words[0] == ")":
			block = ""
			continue
		case block != "":
			words = append([]string{block}, words...)
		}
		switch words[0] {
		case "replace":
			faults = append(faults, "go.mod: replace "+words[1]+"; nobody who imports or installs us would get it")
		case "require":
			name := majorSuffix.ReplaceAllString(words[1], "")
			if l := licences[name]; !slices.Contains(permitted, l) {
				faults = append(faults, fmt.Sprintf("go.mod: %s has licence %q, want one of %v; read it and add it to the table", name, l, permitted))
			}
		}
	}
	if _, ok := tr.texts["go.work"]; ok {
		faults = append(faults, "go.work: is a person's own and stays out of the tree")
	}
	return faults
}
