package manual

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/testkit"
)

//go:generate go test . -run TestPagesAreUpToDate -update

var update = flag.Bool("update", false, "write the pages of docs/man")

const docs = "../../docs"

// source is the text of a page.
func source(t *testing.T, p Page) []byte {
	t.Helper()
	markdown, err := os.ReadFile(filepath.Join(docs, p.Source))
	if err != nil {
		t.Fatal(err)
	}
	return markdown
}

// made are all files of docs/man, as they should be.
func made(t *testing.T) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, p := range Pages() {
		page, err := Convert(p, source(t, p))
		if err != nil {
			t.Fatal(err)
		}
		files[p.File()] = page
		for file, text := range p.Links() {
			files[file] = []byte(text)
		}
	}
	return files
}

func TestPagesAreUpToDate(t *testing.T) {
	files := made(t)
	man := os.DirFS(filepath.Join(docs, "man"))
	for name, want := range files {
		path := filepath.Join(docs, "man", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if is, err := fs.ReadFile(man, name); err != nil || !bytes.Equal(is, want) {
			t.Errorf("docs/man/%s is not what docs says (%v): make docs", name, err)
		}
	}
	err := fs.WalkDir(man, ".", func(path string, d fs.DirEntry, err error) error {
		if _, known := files[path]; err == nil && !d.IsDir() && !known {
			t.Errorf("docs/man/%s is made of nothing", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLint: mandoc, which is strict, has nothing to say.
func TestLint(t *testing.T) {
	testkit.Need(t, "mandoc")
	for _, p := range Pages() {
		cmd := exec.Command("mandoc", "-T", "lint", "-W", "warning", p.File())
		cmd.Dir = filepath.Join(docs, "man")
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// TestLinks: under its other names a page is the same.
func TestLinks(t *testing.T) {
	testkit.Need(t, "mandoc")
	read := func(file string) string {
		cmd := exec.Command("mandoc", "-T", "utf8", file)
		cmd.Dir = filepath.Join(docs, "man")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, p := range Pages() {
		for link := range p.Links() {
			if read(link) != read(p.File()) {
				t.Errorf("%s does not show %s", link, p.File())
			}
		}
	}
}

// rendered is a page as a reader sees it, each line without the blanks that only place it,
// and without head and foot.
func rendered(t *testing.T, page []byte) (lines []string) {
	t.Helper()
	cmd := exec.Command("mandoc", "-T", "utf8", "-O", "width=200")
	cmd.Stdin = bytes.NewReader(page)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(".\x08").ReplaceAllString(string(out), "") // how a terminal is told of fonts
	for l := range strings.Lines(plain) {
		if words := strings.Fields(l); len(words) > 0 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	return lines[1 : len(lines)-1]
}

func TestConvert(t *testing.T) {
	testkit.Need(t, "mandoc")
	const markdown = "# Title\n\n" +
		"Text with `code-1`, **bold, `code-2` too**, *slanted* and a [link](x.md), see docs/reference.md.\n.not a request\n'nor this: 'a' ~ ^ \\ …\n\n" +
		"<!-- a comment -->\n" +
		"## A section\n\n" +
		"| term | one | |\n|---|---|---|\n| `a\\|b` | 1 |  the rest  |\n| c | | |\n\n" +
		"| what | is |\n|---|---|\n| `k` | v-w |\n\n" +
		"- first\n  goes on\n- second\n\n" +
		"### Code\n\n```sh\n# it's `a` \\ \"b\" ~ ^ -x\n\n    .dot\n```\n\n    indented-1\n"
	page, err := Convert(Page{Name: "x.conf", Section: 5, Source: "x.md", About: "a thing"}, []byte(markdown))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"NAME", "x.conf - a thing",
		"DESCRIPTION", `Text with code-1, bold, code-2 too, slanted and a link, see sluice.conf(5). .not a request 'nor this: 'a' ~ ^ \ …`,
		"A SECTION", "a|b the rest", "(one: 1)", "c", "k v-w", "• first goes on", "• second",
		"Code", "# it's `a` \\ \"b\" ~ ^ -x", ".dot", "indented-1",
		"SEE ALSO", "sluice(1), gws(1), gng(1), sluice-relay(1), tcprelay(1), sluice-origin(1), sluice.conf(5), channels.conf(5), sluice.auth(5), sluice.relay-admin(5), sluice.origin-admin(5), sluice.rules(5),",
		"sluice.script(5), sluice.access(5)",
	}
	if diff := cmp.Diff(want, rendered(t, page)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, line := range []string{`\fBbold, \fBcode\-2\fB too\fR, `, "\n    .dot\n", "\nindented\\-1\n"} {
		if !bytes.Contains(page, []byte(line)) {
			t.Errorf("%q is missing: code keeps the blanks before it, and bold is bold to its end", line)
		}
	}
}

func TestConvertRefuses(t *testing.T) {
	for markdown, want := range map[string]string{
		"text\n```sh\nno end\n": "x.md:2: code without an end",
		"<!-- no end\n":         "x.md:1: comment without an end",
		"| a |\n\n":             "x.md:1: table of 1 lines: want titles, dashes and rows",
		"\n| a | b |\n|---|---|\n| c | d | e |\n": "x.md:2: row 1 of the table has 3 cells, want 2",
	} {
		_, err := Convert(Page{Name: "x", Section: 1, Source: "x.md"}, []byte(markdown))
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", markdown, err, want)
		}
	}
}
