package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The house rules that a machine can judge. The sources are read with os.ReadFile, so
// that the test cache sees every change (the answer of `go list` it would not).

const module = "sluice"

// testRooms are the rooms that only test files import; every room may.
var testRooms = []string{"testkit", "endpoint/endtest"}

// file is one parsed Go source.
type file struct {
	path string // slash-separated, from the root of the repository
	test bool
	ast  *ast.File
}

// room is one line of imports.txt.
type room struct {
	floor   string
	imports []string
}

func TestImportsFollowTheTable(t *testing.T) {
	table, _ := readTable(t)
	sources := readSources(t)
	for name, files := range sources {
		r, ok := table[name]
		if !ok {
			t.Errorf("room %s has no line in imports.txt", name)
			continue
		}
		for _, f := range files {
			for _, imp := range imports(t, f) {
				if !allowed(name, r, f.test, imp) {
					t.Errorf("%s imports %s, which imports.txt does not allow room %s", f.path, imp, name)
				}
			}
		}
	}
	for name := range table {
		if len(sources[name]) == 0 {
			t.Errorf("imports.txt names room %s, which has no Go file", name)
		}
	}
}

// allowed says whether a file of the room may import imp: a room by its name, or
// another module's package by its path.
func allowed(name string, r room, test bool, imp string) bool {
	if test && (imp == name || foreign(imp) || slices.Contains(testRooms, imp)) {
		return true
	}
	return slices.ContainsFunc(r.imports, func(entry string) bool {
		return imp == entry || foreign(entry) && strings.HasPrefix(imp, entry+"/")
	})
}

// foreign says whether an import is of another module: its first element is a domain.
func foreign(imp string) bool {
	domain, _, _ := strings.Cut(imp, "/")
	return strings.Contains(domain, ".")
}

func TestTableGoesDown(t *testing.T) {
	table, order := readTable(t)
	for i, name := range order {
		for _, imp := range table[name].imports {
			below, isRoom := table[imp]
			if !isRoom {
				continue
			}
			if slices.Index(order, imp) >= i {
				t.Errorf("imports.txt: %s names %s, which does not stand above it", name, imp)
			}
			if table[name].floor == "roles" && below.floor == "roles" {
				t.Errorf("imports.txt: role %s names role %s; roles never import each other", name, imp)
			}
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	for name, files := range readSources(t) {
		onlyTests := !slices.ContainsFunc(files, func(f file) bool { return !f.test })
		var with []string
		for _, f := range files {
			if f.ast.Doc != nil && (onlyTests || !f.test) {
				with = append(with, f.path)
			}
		}
		switch len(with) {
		case 1:
		case 0:
			t.Errorf("room %s has no package comment", name)
		default:
			t.Errorf("room %s has package comments in %s; want one", name, strings.Join(with, ", "))
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, files := range readSources(t) {
		for _, f := range files {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init function; call what it does where it is needed", f.path)
				}
			}
		}
	}
}

func TestDependenciesAreExplained(t *testing.T) {
	required := map[string]bool{} // module -> direct
	for line := range strings.Lines(readFile(t, "go.mod")) {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			required[fields[0]] = !strings.Contains(line, "// indirect")
		}
	}
	explained := map[string]bool{} // first cells of the tables: | `module` | …
	for line := range strings.Lines(readFile(t, "docs/dependencies.md")) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ := strings.Cut(rest, "`")
			explained[name] = true
		}
	}
	for name, direct := range required {
		if direct && !explained[name] {
			t.Errorf("go.mod requires %s, which docs/dependencies.md does not explain", name)
		}
	}
	for name := range explained {
		if _, ok := required[name]; !ok {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require", name)
		}
	}
}

// readTable reads imports.txt; order is that of its lines.
func readTable(t *testing.T) (table map[string]room, order []string) {
	t.Helper()
	table = map[string]room{}
	floor := ""
	for line := range strings.Lines(readFile(t, "imports.txt")) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if name, ok := strings.CutPrefix(line, "floor "); ok {
			floor = name
			continue
		}
		if line == "" {
			continue
		}
		name, rest, ok := strings.Cut(line, ":")
		if _, twice := table[name]; !ok || twice {
			t.Fatalf("imports.txt: bad or repeated line %q", line)
		}
		table[name] = room{floor: floor, imports: strings.Fields(rest)}
		order = append(order, name)
	}
	return table, order
}

// readSources parses every Go file of the module, by room.
func readSources(t *testing.T) map[string][]file {
	t.Helper()
	sources := map[string][]file{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		if d.IsDir() {
			if p != "." && (skipped(d.Name()) || isModule(p)) {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(p) != ".go" {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name := roomName(path.Dir(p))
		sources[name] = append(sources[name], file{path: p, test: strings.HasSuffix(p, "_test.go"), ast: parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func skipped(dir string) bool {
	return dir == "testdata" || dir == "bin" || strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_")
}

func isModule(dir string) bool {
	_, err := os.Stat(path.Join(dir, "go.mod"))
	return err == nil
}

// roomName is the name imports.txt gives the package in a folder.
func roomName(dir string) string {
	if dir == "." {
		return "main"
	}
	return strings.TrimPrefix(dir, "internal/")
}

// imports are the rooms (by name) and foreign packages (by path) a file imports; the
// standard library is left out.
func imports(t *testing.T, f file) []string {
	t.Helper()
	var list []string
	for _, spec := range f.ast.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if inside, ok := strings.CutPrefix(imp, module+"/"); ok {
			list = append(list, roomName(inside))
		} else if foreign(imp) {
			list = append(list, imp)
		}
	}
	return list
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
