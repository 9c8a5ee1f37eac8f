package libconfig

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/config/tree"
	"sluice/internal/testkit"
)

// number is a number in one spelling: int 7, float 0.5.
func number(text string) string {
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "int " + text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return "float 0" // of a dot alone
	}
	return "float " + strconv.FormatFloat(f, 'g', 17, 64)
}

// deliberate are texts of which libconfig makes something else, and why we do not.
func deliberate() map[string]string {
	return map[string]string{
		"a = 5000000000":       "it is cut to 32 bits",
		"a = 0xFFFFFFFF":       "it becomes -1",
		"a = -3000000000":      "it is cut to 32 bits",
		"a = 1 # end":          "a comment on the last line needs a line end behind it",
		"// end":               "likewise",
		"a = 1 /* end":         "an unfinished comment takes the rest of the file",
		`@include "one.conf`:   "an unfinished @include is passed over",
		`@include "on\e.conf"`: "the backslash is printed on the standard output",
		"a = \"x\x00y\"":       "the text ends at the zero byte",
		`a = "x\x00y"`:         "the zero byte is dropped",
	}
}

// libconfig itself is asked about everything that the tests and the fuzzer know.
func TestAsLibconfig(t *testing.T) {
	testkit.Need(t, "gcc")
	testkit.NeedFile(t, "libconfig-dev", "/usr/include/libconfig.h", "/usr/local/include/libconfig.h")
	dir := t.TempDir()
	for name, text := range included() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dump := filepath.Join(dir, "dump")
	build := exec.Command("gcc", "-o", dump, "testdata/dump.c", "-I/usr/local/include", "-L/usr/local/lib", "-lconfig")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	texts := corpus(t)
	got := oracle(t, dump, dir, texts)
	for i, text := range texts {
		want := ours(text)
		if _, ok := deliberate()[text]; ok {
			if got[i] == want {
				t.Errorf("%q is no difference: %s", text, want)
			}
		} else if got[i] != want {
			t.Errorf("%q: libconfig says\n%swe\n%s", text, got[i], want)
		}
	}
}

// corpus is every text that is compared.
func corpus(t *testing.T) (texts []string) {
	for _, f := range forms() {
		texts = append(texts, f.text)
	}
	texts = slices.AppendSeq(texts, maps.Keys(deliberate()))
	for i, text := range pieces() {
		for j := i; j < len(pieces()); j++ {
			texts = append(texts, "a="+text+pieces()[j]+"\n", "a=("+text+","+pieces()[j]+")\n", "a=["+text+","+pieces()[j]+"]\n", text+" "+pieces()[j]+"\n")
		}
	}
	files, err := filepath.Glob("testdata/fuzz/FuzzParse/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		texts = append(texts, fuzzed(t, path))
	}
	return texts
}

// pieces are put together in all ways.
func pieces() []string {
	return []string{
		"1", "2L", "0x3", "1.5", "1e5", "+.5e1", "true", `"x"`, `"y\x41\"\\"`, "b", "b=1", "{}", "{b=1;}", "(1)", "[1]", "[]",
		";", ",", ":", "/* */", "// x\n", "# x\n", "\n@include \"one.conf\"\n", "@include", "-", "'", "*", "}", "\t\r\f",
	}
}

// fuzzed is the text of a file that the fuzzer has left.
func fuzzed(t *testing.T, path string) string {
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(string(file), "\n")[1]
	text, err := strconv.Unquote(strings.TrimSuffix(strings.TrimPrefix(line, "[]byte("), ")"))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return text
}

// ours is what this package makes of a text, in the form of oracle.
func ours(text string) string {
	top, err := Parse("text", []byte(text), read)
	if err != nil {
		return "refused\n"
	}
	return write(top, func(s string) string { return hex.EncodeToString([]byte(s)) })
}

// oracle is what libconfig makes of the texts: what write gives with names and texts in
// hexadecimal, or "refused".
func oracle(t *testing.T, dump, dir string, texts []string) []string {
	args := make([]string, len(texts))
	for i, text := range texts {
		args[i] = fmt.Sprintf("%05d", i)
		if err := os.WriteFile(filepath.Join(dir, args[i]), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(dump, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	results := make([]string, 0, len(texts))
	for _, said := range strings.Split(string(out), "file ")[1:] {
		_, said, _ = strings.Cut(said, "\n")
		if strings.HasPrefix(said, "error") {
			said = "refused\n"
		} else {
			said = strings.TrimSuffix(strings.TrimPrefix(said, "group\n"), "end\n")
		}
		results = append(results, said)
	}
	if len(results) != len(texts) {
		t.Fatalf("%d answers to %d texts", len(results), len(texts))
	}
	return results
}

// Whatever the text: a tree or an error with its place.
func FuzzParse(f *testing.F) {
	for _, form := range forms() {
		f.Add([]byte(form.text))
	}
	for text := range deliberate() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		top, err := Parse("a.conf", text, read)
		var bad *tree.Error
		switch {
		case err == nil && top == nil:
			t.Fatal("neither a tree nor an error")
		case err != nil && (!errors.As(err, &bad) || bad.Line == 0):
			t.Fatalf("%v", err)
		}
	})
}
