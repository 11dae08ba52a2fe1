package layout_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// sound returns a small tree without a fault: a package for each row of the
// import table, and what the other laws ask for.
func sound() map[string]string {
	files := map[string]string{
		"go.mod":    "module tributary\n\nrequire golang.org/x/sys v0.1.0 // indirect\n",
		"README.md": "# T\n\n```sh\nmake demo   # first\nmake test\n```\n\nSee [the map](docs/architecture.md#who-may-import-whom) and `proxy/doc.go`.\n",
		"Makefile":  "all:\ndemo:\n\techo\ntest:\n\techo\n",
		".ci/run":   "#!/bin/sh\nmake test\n",
	}
	table := "# A\n\n" + importTableTitle + "\n\n| package | imports |\n|---|---|\n"
	for pkg, may := range imports {
		table += "| `" + pkg + "` | " + rowText(may) + " |\n"
		dir := strings.ReplaceAll(pkg, "*", "wire")
		name := dir[strings.LastIndex(dir, "/")+1:]
		clause, comment := name, "Package "+name
		if strings.HasPrefix(dir, "cmd/") {
			clause, comment = "main", "Command "+name
		}
		files[dir+"/doc.go"] = "// " + comment + " is sound.\npackage " + clause + "\n"
	}
	files["docs/operations.md"] = "# O\n\n## Logs\n\n| field | meaning |\n|---|---|\n| `err` | what went wrong |\n"
	files["relay/log.go"] = "package relay\n\nfunc f(r *Relay) { r.Log.Info(\"ready\", \"err\", nil) }\n"
	files["docs/architecture.md"] = table + "\n## After\n\n| `other` | table |\n"
	for name := range kernelFiles {
		clause := "main"
		if !strings.HasPrefix(name, "cmd/") {
			clause, _, _ = strings.Cut(name, "/")
		}
		files[name] = "package " + clause + "\n\nimport _ \"unsafe\"\n"
	}
	return files
}

func check(t *testing.T, l law, files map[string]string) []string {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tr, err := readTree(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return l.check(tr)
}

// TestLawsBite breaks every law and sees that it, and the sound tree not, fails.
func TestLawsBite(t *testing.T) {
	big := strings.Repeat("// line\n", fileLimit)
	faults := []struct {
		law   string
		want  string            // in the one fault found
		plant map[string]string // files on top of the sound tree; "" removes one
	}{
		{"imports", "relay may not import gateway", map[string]string{"relay/a.go": "package relay\n\nimport _ \"tributary/gateway\"\n"}},
		{"imports", "gateway may not import relay", map[string]string{"gateway/a_test.go": "package gateway\n\nimport _ \"tributary/relay\"\n"}},
		{"imports", "proxy may not import proto/wire", map[string]string{"proxy/a.go": "package proxy\n\nimport _ \"tributary/proto/wire\"\n"}},
		{"imports", "splice may not import proxy", map[string]string{"splice/a_windows.go": "//go:build windows\n\npackage splice\n\nimport _ \"tributary/proxy\"\n"}},
		{"imports", "egress may not import proxy/proxytest", map[string]string{"egress/a.go": "package egress\n\nimport _ \"tributary/proxy/proxytest\"\n"}},
		{"imports", "lab may not import config", map[string]string{"lab/a.go": "package lab\n\nimport _ \"tributary/config\"\n"}},
		{"imports", "package util has no row", map[string]string{"util/a.go": "// Package util is.\npackage util\n"}},
		{"rows", "no package splice", map[string]string{"splice/doc.go": ""}},
		{"codecs", `never import "net"`, map[string]string{"proto/wire/a.go": "package wire\n\nimport _ \"net\"\n"}},
		{"codecs", `never import "os"`, map[string]string{"proto/wire/a.go": "package wire\n\nimport \"os\"\n\nvar _ = os.Args\n"}},
		{"system calls", "relay/a_linux.go: imports golang.org/x/sys/unix", map[string]string{"relay/a_linux.go": "package relay\n\nimport _ \"golang.org/x/sys/unix\"\n"}},
		{"system calls", "imports github.com/vishvananda/netlink", map[string]string{"gateway/a.go": "package gateway\n\nimport _ \"github.com/vishvananda/netlink\"\n"}},
		{"system calls", "uses syscall.Socket", map[string]string{"egress/a.go": "package egress\n\nimport sys \"syscall\"\n\nvar _, _ = sys.Socket, sys.EPERM\n"}},
		{"system calls", "account/lock_unix.go: is excepted", map[string]string{"account/lock_unix.go": "package account\n"}},
		{"package comments", "package splice has 0 package comments", map[string]string{"splice/doc.go": "package splice\n"}},
		{"package comments", "package splice has 2 package comments", map[string]string{"splice/a.go": "// Package splice again.\npackage splice\n"}},
		{"package comments", `does not start with "Package splice "`, map[string]string{"splice/doc.go": "// This is splice.\npackage splice\n"}},
		{"init", "splice/a.go: has an init", map[string]string{"splice/a.go": "package splice\n\nfunc init() {}\n"}},
		{"sizes", "splice/a.go: 501 lines", map[string]string{"splice/a.go": big + "package splice\n"}},
		{"sizes", "package proxy: 1503 lines", map[string]string{
			"proxy/a.go": big[8:] + "package proxy\n", "proxy/b.go": big[8:] + "package proxy\n", "proxy/c.go": big[8:] + "package proxy\n", "proxy/d.go": "package proxy\n"}},
		{"modules", "example.org/gpl has licence", map[string]string{"go.mod": "module tributary\n\nrequire (\n\texample.org/gpl/v2 v2.0.0\n)\n"}},
		{"modules", "replace golang.org/x/sys", map[string]string{"go.mod": "module tributary\n\nreplace (\n\tgolang.org/x/sys => ../sys\n)\n"}},
		{"modules", "go.work", map[string]string{"go.work": "go 1.26\n"}},
		{"machine paths", "docs/a.md:2:", map[string]string{"docs/a.md": "x\nsee /" + "work/main\n"}},
		{"machine paths", ".ci/run:2:", map[string]string{".ci/run": "make test\ncd /" + "home/someone/x\n"}},
		{"references", "links to gone.md", map[string]string{"docs/a.md": "[x](gone.md)\n"}},
		{"references", "links to architecture.md#gone", map[string]string{"docs/a.md": "[x](architecture.md#gone)\n"}},
		{"references", "names relay/gone.go", map[string]string{"docs/a.md": "see `relay/gone.go`\n"}},
		{"import table", "lacks proxy", map[string]string{"docs/architecture.md": strings.Replace(sound()["docs/architecture.md"], "| `proxy` | splice |\n", "", 1)}},
		{"import table", "proxy may import none", map[string]string{"docs/architecture.md": strings.Replace(sound()["docs/architecture.md"], "| `proxy` | splice |", "| `proxy` | none |", 1)}},
		{"import table", "has util", map[string]string{"docs/architecture.md": strings.Replace(sound()["docs/architecture.md"], "\n## After", "| `util` | none |\n## After", 1)}},
		{"import table", "no section", map[string]string{"docs/architecture.md": "# A\n"}},
		{"first commands", "first commands are not", map[string]string{"README.md": "```\nmake test\nmake demo\n```\n"}},
		{"first commands", "no target demo", map[string]string{"Makefile": "all:\ntest:\n"}},
		{"log fields", `log field "oops" is not`, map[string]string{"relay/a.go": "package relay\n\nfunc g() { log.Debug(\"x\", \"err\", 1, \"oops\", 2) }\n"}},
		{"log fields", `nothing logs the field "err"`, map[string]string{"relay/log.go": ""}},
		{"first commands", "does not call make test", map[string]string{".ci/run": "go test ./...\n"}},
	}
	bitten := map[string]bool{}
	for _, f := range faults {
		i := slices.IndexFunc(laws, func(l law) bool { return l.name == f.law })
		if i < 0 {
			t.Fatalf("no law %q", f.law)
		}
		bitten[f.law] = true
		files := sound()
		for name, text := range f.plant {
			if files[name] = text; text == "" {
				delete(files, name)
			}
		}
		if got := check(t, laws[i], files); len(got) != 1 || !strings.Contains(got[0], f.want) {
			t.Errorf("%s: planted %v, want one fault with %q, got %q", f.law, slices.Sorted(maps.Keys(f.plant)), f.want, got)
		}
	}
	for _, l := range laws {
		if got := check(t, l, sound()); len(got) != 0 {
			t.Errorf("%s: faults in a sound tree: %q", l.name, got)
		}
		if !bitten[l.name] {
			t.Errorf("%s: no fault was planted for it", l.name)
		}
	}
}

// TestEndsStayApart: not even a row of the table lets the two ends meet.
func TestEndsStayApart(t *testing.T) {
	for one, other := range map[string]string{"relay": "gateway", "gateway": "relay"} {
		may := imports[one]
		imports[one] = append(slices.Clone(may), other)
		got := check(t, law{check: checkImports}, sound())
		imports[one] = may
		if len(got) != 1 || !strings.Contains(got[0], one+" must never import "+other) {
			t.Errorf("%s allowed to import %s: %q", one, other, got)
		}
	}
}
