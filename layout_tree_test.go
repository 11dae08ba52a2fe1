package layout_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A tree is what the laws look at.
type tree struct {
	goFiles []goFile
	texts   map[string]string // all files that are text, by name
}

// A goFile is what the laws need to know of a source file. All build tags count.
type goFile struct {
	name     string // from the module's root
	pkg      string // its directory
	clause   string // the name in its package clause
	test     bool
	doc      string   // its package comment
	imports  []string // import paths
	syscalls []string // names used of package syscall
	logKeys  []string // names of fields in calls of a logger
	init     bool
	lines    int
}

// ours returns the imports that are of this module, without its name.
func (f goFile) ours() (pkgs []string) {
	for _, imp := range f.imports {
		if rest, ok := strings.CutPrefix(imp, module+"/"); ok {
			pkgs = append(pkgs, rest)
		}
	}
	return pkgs
}

// readTree reads everything but what git and the build keep for themselves.
func readTree(fsys fs.FS) (*tree, error) {
	tr := &tree{texts: map[string]string{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "dist"):
			return fs.SkipDir
		case !d.Type().IsRegular() || name == "tributary": // the program
			return nil
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
			return nil
		}
		tr.texts[name] = string(b)
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
			return nil
		}
		f, err := parseGo(name, b)
		tr.goFiles = append(tr.goFiles, f)
		return err
	})
	return tr, err
}

func parseGo(name string, b []byte) (goFile, error) {
	f := goFile{
		name: name, pkg: path.Dir(name),
		test:  strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(b, []byte("\n")),
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, b, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return f, err
	}
	f.clause, f.doc = parsed.Name.Name, parsed.Doc.Text()
	syscallName := ""
	for _, spec := range parsed.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, imp)
		if imp == "syscall" {
			if syscallName = "syscall"; spec.Name != nil {
				syscallName = spec.Name.Name
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			f.init = f.init || n.Recv == nil && n.Name.Name == "init"
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && syscallName != "" && x.Name == syscallName {
				f.syscalls = append(f.syscalls, n.Sel.Name)
			}
		case *ast.CallExpr:
			f.logKeys = append(f.logKeys, logKeys(n)...)
		}
		return true
	})
	if syscallName == "." || syscallName == "_" {
		f.syscalls = append(f.syscalls, "all of it")
	}
	return f, nil
}

// logKeys returns the names of fields in a call such as x.log.Info(msg, "name",
// value), or nothing if it is another call.
func logKeys(call *ast.CallExpr) (keys []string) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) {
		return nil
	}
	var logger string
	switch x := method.X.(type) {
	case *ast.Ident:
		logger = x.Name
	case *ast.SelectorExpr:
		logger = x.Sel.Name
	}
	if !strings.EqualFold(logger, "log") {
		return nil
	}
	for i := 1; i < len(call.Args); i += 2 {
		if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if key, err := strconv.Unquote(lit.Value); err == nil {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// machinePath is a place on somebody's machine. The parts are joined here so that
// this file does not name one.
var machinePath = regexp.MustCompile(`(?m)(^|[^a-z])/` + `(work|farm|root|Users|home/[a-z]+)/`)

func checkMachinePaths(tr *tree) (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(tr.texts)) {
		for i, line := range strings.Split(tr.texts[name], "\n") {
			if machinePath.MatchString(line) {
				faults = append(faults, fmt.Sprintf("%s:%d: names a path of one machine", name, i+1))
			}
		}
	}
	return faults
}

var (
	mdLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdCode = regexp.MustCompile("`([^`\n]+)`")
	// mdFile is a file of the tree as documents name it, from the module's root.
	mdFile = regexp.MustCompile(`^[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)*\.(go|md|toml|service|conf)$`)
)

// checkReferences: what a document links to or names is there. Files are named
// from the root or from the document.
func checkReferences(tr *tree) (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(tr.texts)) {
		if path.Ext(name) != ".md" {
			continue
		}
		text := tr.texts[name]
		for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue
			}
			at := name
			if target != "" {
				at = path.Join(path.Dir(name), target)
			}
			if !tr.has(at) {
				faults = append(faults, fmt.Sprintf("%s: links to %s, which does not exist", name, m[1]))
			} else if anchor != "" && !slices.Contains(anchors(tr.texts[at]), anchor) {
				faults = append(faults, fmt.Sprintf("%s: links to %s, and there is no such heading", name, m[1]))
			}
		}
		for _, m := range mdCode.FindAllStringSubmatch(text, -1) {
			if mdFile.MatchString(m[1]) && !tr.has(m[1]) && !tr.has(path.Join(path.Dir(name), m[1])) {
				faults = append(faults, fmt.Sprintf("%s: names %s, which does not exist", name, m[1]))
			}
		}
	}
	return faults
}

// has reports whether there is such a text file or directory.
func (tr *tree) has(name string) bool {
	if _, ok := tr.texts[name]; ok {
		return true
	}
	for other := range tr.texts {
		if strings.HasPrefix(other, strings.TrimSuffix(name, "/")+"/") {
			return true
		}
	}
	return false
}

// anchors returns the names under which a document's headings can be linked to.
func anchors(text string) (names []string) {
	drop := regexp.MustCompile("[^a-z0-9 _-]")
	for _, line := range strings.Split(text, "\n") {
		if title := strings.TrimLeft(line, "#"); title != line {
			title = drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			names = append(names, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return names
}

// importTableTitle is the heading above the table in docs/architecture.md.
const importTableTitle = "## Who may import whom"

// checkImportTable holds the document's table against ours, both ways.
func checkImportTable(tr *tree) (faults []string) {
	_, section, ok := strings.Cut(tr.texts["docs/architecture.md"], importTableTitle+"\n")
	if !ok {
		return []string{"docs/architecture.md: no section " + importTableTitle}
	}
	section, _, _ = strings.Cut(section, "\n## ")
	told := map[string]string{}
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, pkg := range mdCode.FindAllStringSubmatch(cells[1], -1) {
			told[pkg[1]] = rowText(strings.Fields(strings.ReplaceAll(cells[2], "`", "")))
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		want := rowText(imports[pkg])
		if got, ok := told[pkg]; !ok {
			faults = append(faults, fmt.Sprintf("docs/architecture.md: the import table lacks %s", pkg))
		} else if got != want {
			faults = append(faults, fmt.Sprintf("docs/architecture.md: %s may import %s, the test says %s", pkg, got, want))
		}
		delete(told, pkg)
	}
	for _, pkg := range slices.Sorted(maps.Keys(told)) {
		faults = append(faults, fmt.Sprintf("docs/architecture.md: the import table has %s, the test has not", pkg))
	}
	return faults
}

func rowText(may []string) string {
	switch {
	case len(may) == 0:
		return "none"
	case slices.Equal(may, []string{"*"}):
		return "anything"
	}
	return strings.Join(slices.Sorted(slices.Values(may)), " ")
}

// checkFirstCommands: the README's first two commands are the demo and the tests,
// make knows both, and the tests are what the checks of every change run.
func checkFirstCommands(tr *tree) (faults []string) {
	var commands []string
	for i, block := range strings.Split(tr.texts["README.md"], "```") {
		if i%2 == 1 {
			for _, line := range strings.Split(block, "\n")[1:] {
				if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
					commands = append(commands, strings.TrimSpace(line))
				}
			}
		}
	}
	if want := []string{"make demo", "make test"}; len(commands) < 2 || !slices.Equal(commands[:2], want) {
		faults = append(faults, fmt.Sprintf("README.md: the first commands are not %q", want))
	}
	for _, target := range []string{"demo", "test"} {
		if !strings.Contains(tr.texts["Makefile"], "\n"+target+":") {
			faults = append(faults, "Makefile: has no target "+target)
		}
	}
	if !strings.Contains(tr.texts[".ci/run"], "make test\n") {
		faults = append(faults, ".ci/run: does not call make test")
	}
	return faults
}
