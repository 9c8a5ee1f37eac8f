package manual

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// rooms are those below internal, by their paths.
const rooms = ".."

// sources parses the Go files of a room and of those below it, without the tests.
func sources(t *testing.T, room string) (files []*ast.File) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(rooms, room), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("room %s has no files", room)
	}
	return files
}

// names are the identifiers of another package that a piece of code uses, but those that
// something is compared with.
func names(code ast.Node, pkg string) (list []string) {
	ast.Inspect(code, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CaseClause:
			for _, statement := range n.Body {
				list = append(list, names(statement, pkg)...)
			}
			return false
		case *ast.BinaryExpr:
			return n.Op == token.LAND || n.Op == token.LOR
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == pkg {
				list = append(list, n.Sel.Name)
			}
		}
		return true
	})
	return list
}

// terms are the first column of the table below a heading of a page.
func terms(t *testing.T, p Page, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(string(source(t, p)), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", p.Source, heading)
	}
	section, _, _ := strings.Cut(after, "\n## ")
	var list []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(section, -1) {
		list = append(list, row[1])
	}
	return " " + strings.ReplaceAll(strings.Join(list, " "), ",", "") + " "
}

// programs are the pages of what is run.
func programs() []Page {
	return slices.DeleteFunc(Pages(), func(p Page) bool { return p.Section != 1 })
}

// statuses are the rooms that answer the requests of a page, and codes that must be found in them: else the test does not see what it
// should.
var statuses = []struct {
	page  string
	rooms []string
	sure  []int
}{
	{
		"sluice",
		[]string{"gws", "admin", "auth", "httpx", "request", "engine", "endpoint"},
		[]int{200, 302, 400, 401, 403, 404, 405, 409, 414, 500, 503, 504},
	},
	{
		"sluice-origin",
		[]string{"origin", "receive", "serve", "live", "creds", "script", "auth", "httpx"},
		[]int{200, 201, 204, 206, 304, 400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 415, 416, 500, 501, 502, 503, 504, 507},
	},
}

// TestEveryStatus: the manual explains each HTTP status that something answers with.
func TestEveryStatus(t *testing.T) {
	for _, tt := range statuses {
		p := Pages()[slices.IndexFunc(Pages(), func(p Page) bool { return p.Name == tt.page })]
		used := usedCodes(t, tt.rooms)
		for _, code := range tt.sure {
			if used[code] == "" {
				t.Errorf("%s: no use of %d was found: this test does not see what it should", p.Name, code)
			}
		}
		used[http.StatusRequestHeaderFieldsTooLarge] = "of net/http"
		explained := terms(t, p, "HTTP status")
		for code, name := range used {
			if !strings.Contains(explained, " "+strconv.Itoa(code)+" ") {
				t.Errorf("%s does not explain %d (%s)", p.Source, code, name)
			}
		}
		for _, word := range strings.Fields(explained) {
			if code, err := strconv.Atoi(word); err == nil && used[code] == "" {
				t.Errorf("%s explains %d, with which nothing answers", p.Source, code)
			}
		}
	}
}

// usedCodes are the codes that the rooms name, with their names.
func usedCodes(t *testing.T, rooms []string) map[int]string {
	codes, used := statusCodes(), make(map[int]string)
	for _, room := range rooms {
		for _, f := range sources(t, room) {
			for _, name := range names(f, "http") {
				if code, ok := codes[name]; ok {
					used[code] = name
				}
			}
		}
	}
	return used
}

// statusCodes are the constants of net/http, by name: the texts of all codes tell.
func statusCodes() map[string]int {
	codes := map[string]int{"StatusOK": http.StatusOK}
	for code := 100; code < 600; code++ {
		if text := http.StatusText(code); text != "" {
			name := strings.NewReplacer(" ", "", "-", "", "'", "").Replace(text)
			codes["Status"+name] = code
		}
	}
	return codes
}

// TestEverySignal: each page of a program says what each signal does that it takes.
func TestEverySignal(t *testing.T) {
	var signals []string
	for _, f := range sources(t, "process") {
		for _, name := range names(f, "syscall") {
			if signal, ok := strings.CutPrefix(name, "SIG"); ok && unix.SignalNum(name) != 0 && signal != "KILL" && !slices.Contains(signals, signal) {
				signals = append(signals, signal)
			}
		}
	}
	if len(signals) < 6 {
		t.Fatalf("only %v were found: this test does not see what it should", signals)
	}
	for _, p := range programs() {
		explained := terms(t, p, "Signals")
		for _, signal := range signals {
			if !strings.Contains(explained, " "+signal+" ") {
				t.Errorf("%s does not explain the signal %s", p.Source, signal)
			}
		}
	}
}

// TestEveryExitCode: each page of a program explains the codes that it ends with: tcprelay
// has its own, which are constants, the others have those of the command.
func TestEveryExitCode(t *testing.T) {
	var ours, theirs []string
	for _, f := range sources(t, "app") {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "execute" {
					ours = append(ours, returned(n)...)
				}
			case *ast.ValueSpec:
				if len(n.Names) == 1 && len(n.Values) == 1 && regexp.MustCompile("^ex[A-Z]").MatchString(n.Names[0].Name) {
					theirs = append(theirs, n.Values[0].(*ast.BasicLit).Value)
				}
			}
			return true
		})
	}
	if !slices.Contains(ours, "0") || len(ours) < 3 || len(theirs) < 5 {
		t.Fatalf("only %v and %v were found: this test does not see what it should", ours, theirs)
	}
	for _, p := range programs() {
		codes := ours
		if p.Name == "tcprelay" {
			codes = append([]string{"0"}, theirs...)
		}
		explained := terms(t, p, "Exit status")
		for _, code := range codes {
			if !strings.Contains(explained, " "+code+" ") {
				t.Errorf("%s does not explain the exit code %s", p.Source, code)
			}
		}
	}
}

// returned are the numbers that a function returns.
func returned(fn *ast.FuncDecl) (list []string) {
	ast.Inspect(fn, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) == 1 {
			if literal, ok := r.Results[0].(*ast.BasicLit); ok {
				list = append(list, literal.Value)
			}
		}
		return true
	})
	return list
}

// TestEveryParameter: the manual explains each parameter of a request that is read here.
func TestEveryParameter(t *testing.T) {
	var keys []string
	for _, f := range sources(t, "request") {
		ast.Inspect(f, func(n ast.Node) bool { // key == "start"
			if b, ok := n.(*ast.BinaryExpr); ok && b.Op == token.EQL {
				x, isName := b.X.(*ast.Ident)
				y, isText := b.Y.(*ast.BasicLit)
				if isName && isText && x.Name == "key" {
					key, _ := strconv.Unquote(y.Value)
					keys = append(keys, key)
				}
			}
			return true
		})
	}
	if len(keys) < 5 {
		t.Fatalf("only %v were found: this test does not see what it should", keys)
	}
	for _, key := range append(keys, "token", "expires", "sign", "ip") {
		if !strings.Contains(terms(t, Pages()[0], "Requests"), "`"+key+"=") {
			t.Errorf("the manual does not explain the parameter %s", key)
		}
	}
}
