package request

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// row is the first cell of a row of a table, if it is code.
var row = regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|")

// firstCells are those of the tables below a heading of docs/sluice.md, up to the next one.
func firstCells(t *testing.T, heading string) (cells []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/sluice.md")
	if err != nil {
		t.Fatal(err)
	}
	const bar = "\x00" // inside of a cell
	_, after, _ := strings.Cut(strings.ReplaceAll(string(text), `\|`, bar), "\n"+heading+"\n")
	section, _, _ := strings.Cut(after, "\n## ")
	section, _, _ = strings.Cut(section, "\n### ")
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		for cell := range strings.SplitSeq(m[1], ", ") {
			cells = append(cells, strings.ReplaceAll(strings.Trim(cell, "`"), bar, "|"))
		}
	}
	if len(cells) < 5 {
		t.Fatalf("only %q stand below %q: this test does not see what it should", cells, heading)
	}
	return cells
}

// TestDocs: what the manual shows is what is read here.
func TestDocs(t *testing.T) {
	for _, path := range firstCells(t, "## Requests") {
		if path == "/playlist.m3u" || path == "/status" { // of gws
			continue
		}
		path = strings.NewReplacer("SOURCE", "udp://239.1.1.1:5000", "TARGET", "tcp://10.0.0.9:7000").Replace(path)
		if _, err := Parse(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, end := range firstCells(t, "### Sources and targets") {
		end = strings.NewReplacer("GROUP", "239.1.1.1", "HOST", "a.example", "PORT", "5000", "PATH", "a/b.ts", "QUERY", "k=v").Replace(end)
		for _, path := range []string{"/src/" + end + "/dst/", "/src/$news/dst/" + end} {
			if strings.Contains(path, "/dst/upload:") {
				continue // a source only
			}
			if r, err := Parse(path); err != nil || r.Source == nil && r.Target == nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	for _, parameter := range firstCells(t, "### Parameters") {
		target := map[string]string{"write": "file:///a.ts", "method": "http://a.example/", "bitrate": "udp://10.0.0.9:5000"}
		key, _, _ := strings.Cut(parameter, "=")
		path := "/src/$news/dst/" + target[key] + "?" + strings.ReplaceAll(parameter, "…", "x")
		r, err := Parse(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		own := r.Start != nil || r.Slow != nil || r.Target != nil
		if signed := key == "token" || key == "expires" || key == "sign" || key == "ip"; own == signed || signed && r.Query.Get(key) != "x" {
			t.Errorf("%s: the parameter does nothing: %+v", path, r)
		}
	}
}
