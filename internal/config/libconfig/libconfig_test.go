package libconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/config/tree"
)

// form is a text and whether libconfig takes it.
type form struct {
	text string
	want string // what is read, as write has it; "" = refused
}

// forms are those of which libconfig's own behaviour was looked at, one by one.
func forms() []form {
	return []form{
		{"", "\n"},
		{"a = 1;", "a int 1\n"},
		{"a : 1;", "a int 1\n"},
		{"a = 1, b = 2", "a int 1\nb int 2\n"},
		{"a = { b = 1 } c = 2", "a group\nb int 1\nend\nc int 2\n"},
		{"a = 1 # one\nb = 2 // two\nc = /* 3 */ 4", "a int 1\nb int 2\nc int 4\n"},
		{"a = {}; b = (); c = [];", "a group\nend\nb list\nend\nc list\nend\n"},
		{`a = ( 1, "x", [true, FALSE], { b = 2; } )`, "a list\nint 1\nstring x\nlist\nbool true\nbool false\nend\ngroup\nb int 2\nend\nend\n"},
		{"a = 0x1F; b = +5; c = -5; d = 010", "a int 31\nb int 5\nc int -5\nd int 10\n"},
		{"a = 5000000000L; b = 7LL; c = 0xFFL", "a int 5000000000\nb int 7\nc int 255\n"},
		{"a = 1.; b = 1e3; c = .5; d = -2.5e-1; e = .", "a float 1\nb float 1000\nc float 0.5\nd float -0.25\ne float 0\n"},
		{"a = tRuE b = False", "a bool true\nb bool false\n"},
		{`a = "one" "two" /* and */ "three"`, "a string onetwothree\n"},
		{`a = "1\t2\\3\"4\x35\q"`, "a string 1\t2\\3\"45\\q\n"},
		{"a = \"one\ntwo\"", "a string one\ntwo\n"},
		{"A-b*c_1 = 1 *=2", "A-b*c_1 int 1\n* int 2\n"},
		{"A = 1 a = 2", "A int 1\na int 2\n"},
		{"a=1b=2", "a int 1\nb int 2\n"},
		{"a = [1, 0x2]", "a list\nint 1\nint 2\nend\n"},
		{" \t @include \"one.conf\" a = 2", "one int 1\na int 2\n"},
		{"a = {\n@include \"one.conf\"\n}", "a group\none int 1\nend\n"},
		{"a = (\n@include \"items.conf\"\n)", "a list\nint 1\nint 2\nend\n"},

		{"a.b = 1", ""},
		{"a = 1; a = 2;", ""},
		{"a = { b = 1; b = 2; }", ""},
		{`a = [1, "x"]`, ""},
		{"a = [1, 2L]", ""},
		{"a = [1, 2.0]", ""},
		{"a = [[1]]", ""},
		{"a = [1, 2, ]", ""},
		{"a = (1, 2, )", ""},
		{"a = (1 2)", ""},
		{"a = yes", ""},
		{"a = no", ""},
		{"a = 'x'", ""},
		{"a = x", ""},
		{"a = 10M", ""},
		{"a = 10s;", ""},
		{"1a = 1", ""},
		{"_a = 1", ""},
		{"true = 1", ""},
		{"a", ""},
		{"a =", ""},
		{"a == 1", ""},
		{"a = 1;;", ""},
		{"a = {", ""},
		{"a = 1 }", ""},
		{`a = "x`, ""},
		{"a = 1 b", ""},
		{`"a" = 1`, ""},
		{"a = -0x1", ""},
		{"a = 1\vb = 2", ""},
		{"@include \"none.conf\"", ""},
		{"a = 1 @include \"one.conf\"", ""},
		{"@include one.conf", ""},
		{"@include \"one.conf\"\n@include \"one.conf\"", ""},
	}
}

// included are the files beside those of the tests.
func included() map[string]string {
	return map[string]string{"one.conf": "one = 1;\n", "items.conf": "1, 2\n"}
}

// read gives the included files.
func read(path string) ([]byte, error) {
	s, ok := included()[path]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", path, fs.ErrNotExist)
	}
	return []byte(s), nil
}

// What gigapxy's format accepts and refuses: a test says the same of libconfig itself.
func TestAcceptance(t *testing.T) {
	t.Run("10", func(t *testing.T) {
		for _, f := range forms() {
			top, err := Parse("a.conf", []byte(f.text), read)
			switch {
			case f.want == "" && err == nil:
				t.Errorf("%q is accepted: %s", f.text, write(top, plain))
			case f.want == "":
				var bad *tree.Error
				if !errors.As(err, &bad) || bad.Line == 0 {
					t.Errorf("%q: the error has no place: %v", f.text, err)
				}
			case err != nil:
				t.Errorf("%q: %v", f.text, err)
			case write(top, plain) != strings.TrimPrefix(f.want, "\n"):
				t.Errorf("%q is read as\n%swant\n%s", f.text, write(top, plain), f.want)
			}
		}
	})
	t.Run("12", func(t *testing.T) {
		top, err := Parse("a.conf", []byte("a = 5000000000; b = 0xFFFFFFFF; c = -3000000000; d = [1, 5000000000]"), read)
		if err != nil {
			t.Fatal(err)
		}
		want := "a int 5000000000\nb int 4294967295\nc int -3000000000\nd list\nint 1\nint 5000000000\nend\n"
		if got := write(top, plain); got != want {
			t.Errorf("%s", got)
		}
	})
}

func plain(s string) string { return s }

// write lists what a group holds, a line for each value; texts are written by quote.
func write(group *tree.Node, quote func(string) string) string {
	var b strings.Builder
	for _, m := range group.Members {
		b.WriteString(quote(m.Name) + " ")
		writeValue(&b, m.Value, quote)
	}
	return b.String()
}

func writeValue(b *strings.Builder, n *tree.Node, quote func(string) string) {
	switch n.Kind {
	case tree.Group:
		b.WriteString("group\n" + write(n, quote) + "end\n")
	case tree.List:
		b.WriteString("list\n")
		for _, x := range n.Items {
			writeValue(b, x, quote)
		}
		b.WriteString("end\n")
	case tree.String:
		b.WriteString("string " + quote(n.Text) + "\n")
	case tree.Boolean:
		b.WriteString("bool " + n.Text + "\n")
	case tree.Number:
		b.WriteString(number(n.Text) + "\n")
	}
}

// What libconfig says nothing of, or too little: the words of an error.
func TestErrorsTeach(t *testing.T) {
	deep := strings.Repeat("(", maxNesting+1)
	for _, c := range []struct{ text, want string }{
		{"a = 1;\nb = 10M;", "a.conf:2:7: a number with a unit is a text: write it in double quotes, such as \"10s\"\n   2 | b = 10M;\n     |       ^"},
		{"a.b = 1", "a.conf:1:2: a dot belongs to no name: write a: { b = 1; } for a.b"},
		{"a = yes", "a.conf:1:5: yes stands without quotes"},
		{"a = 'x'", "a.conf:1:5: texts stand in double quotes"},
		{"a = (1,)", `a.conf:1:8: want a value, not ")"`},
		{"a = [1, true]", `a.conf:1:9: "true" is not of the type of the first value`},
		{"a = 1\nb = 2\na = 3", "a.conf:3:1: a is there twice"},
		{"ä = 1", "a.conf:1:1: unexpected character 'ä'"},
		{"a = \"ä\" €", "a.conf:1:9: unexpected character '€'"},
		{"a = {\n b = 1;\n", "a.conf:3:1: want a setting or }, not the end of the file"},
		{"a 1", `a.conf:1:3: want = or : behind a, not "1"`},
		{"a = /* b", "a.conf:1:5: a comment without its end"},
		{`a = "b`, "a.conf:1:5: a text without its second quote"},
		{"a = 99999999999999999999", "a.conf:1:5: the number 99999999999999999999 does not fit into 64 bits"},
		{"a = " + deep, "a.conf:1:105: groups and lists more than 100 deep"},
		{"\n@include \"none.conf\"", "a.conf:2:1: include: open none.conf: file does not exist"},
		{"a = 1 @include \"one.conf\"", "a.conf:1:7: @include stands at the beginning of a line"},
		{`@include "a.conf"`, "a.conf:1:1: a.conf includes itself"},
		{"@include \"one.conf", "a.conf:1:10: a text without its second quote"},
		{`@include "o\ne.conf"`, "a.conf:1:10: a backslash that belongs to nothing"},
		{"a = \"x\x00\"", "a.conf:1:5: a text with a zero byte"},
		{`a = "x\x00"`, "a.conf:1:5: a backslash that belongs to nothing"},
	} {
		_, err := Parse("a.conf", []byte(c.text), read)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q:\n%v\nwant\n%s", c.text, err, c.want)
		}
	}
}

func TestIncludes(t *testing.T) {
	dir := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(path string) (*tree.Node, error) {
		path = filepath.Join(dir, path)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return Parse(path, text, os.ReadFile)
	}
	put("main.conf", "@include \"below/a.conf\"\nlast = 1;")
	put("below/a.conf", "@include \"b.conf\"\n# from a, without a line end behind it")
	put("below/b.conf", "b = 1;")
	top, err := parse("main.conf")
	if err != nil || write(top, plain) != "b int 1\nlast int 1\n" {
		t.Errorf("an include relative to the file that includes: %v, %v", top, err)
	}
	if place := top.Members[0].Place; place.File != filepath.Join(dir, "below/b.conf") || place.Line != 1 || place.Column != 1 {
		t.Errorf("what was included stands in %v", place)
	}
	put("below/b.conf", "\nb = wrong;")
	var bad *tree.Error
	if _, err = parse("main.conf"); !errors.As(err, &bad) || bad.String() != filepath.Join(dir, "below/b.conf")+":2" || bad.Column != 5 {
		t.Errorf("a mistake in an included file: %v", err)
	}
	put("below/b.conf", `@include "../main.conf"`)
	if _, err = parse("main.conf"); err == nil || !strings.Contains(err.Error(), "b.conf:1:1: ../main.conf includes itself") {
		t.Errorf("a circle: %v", err)
	}
	for i := range maxDepth + 2 {
		put(fmt.Sprintf("%d.conf", i), fmt.Sprintf("a%d = 1\n@include \"%d.conf\"", i, i+1))
	}
	if _, err = parse("0.conf"); err == nil || !strings.Contains(err.Error(), "10.conf:2:1: files that include each other more than 10 deep") {
		t.Errorf("deep: %v", err)
	}
	put("10.conf", "a10 = 1")
	if _, err = parse("0.conf"); err != nil {
		t.Errorf("ten deep: %v", err)
	}
	put("many.conf", "a = (\n"+strings.Repeat("@include \"one.conf\"\n", maxIncludes+1))
	put("one.conf", "")
	if _, err = parse("many.conf"); err == nil || !strings.Contains(err.Error(), "more than 1000 included files") {
		t.Errorf("many: %v", err)
	}
}
