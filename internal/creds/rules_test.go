package creds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRules(t *testing.T) {
	text := "\ufeff# ours\r\n[/srv/b] \r\n  ru = alice, bob ,\r\nrg=staff\r\n; more\r\n" +
		"[a/../c]\nname=/live/my%20tv/\nwu=$ALL\nmcast=alice\n" +
		"[/srv/b/in/side]\nwg=editors\n[/srv/b/in/side/no]\nru=$NONE\nwu=$NONE\n" +
		"[rtsp]\nfilters=rtspout,dashin\n[all]\nfilters=all\n[star]\nfilters= rtspout , httpout\n[gmem]\n[gmem/tv]\nrg=users\n[/srv/bb]\n"
	rules, err := parseRules("/etc/sluice/rules", []byte(text), func(dir string) bool { return strings.HasPrefix(dir, "/srv/b") })
	if err != nil {
		t.Fatal(err)
	}
	want := []Rule{
		{Dir: "/etc/sluice/all"},
		{Dir: "/etc/sluice/c", Name: "live/my tv", Write: Who{All: true}, Writable: true},
		{Dir: "/etc/sluice/star"},
		{Dir: "/srv/b", Exists: true, Read: Who{Users: []string{"alice", "bob"}, Groups: []string{"staff"}}},
		{Dir: "/srv/b/in/side", Exists: true, Parent: "/srv/b", Write: Who{Groups: []string{"editors"}}, Writable: true},
		{Dir: "/srv/b/in/side/no", Exists: true, Parent: "/srv/b/in/side", Read: Who{None: true}, Write: Who{None: true}},
		{Dir: "/srv/bb", Exists: true},
		{Dir: "gmem"},
		{Dir: "gmem/tv", Parent: "gmem", Read: Who{Groups: []string{"users"}}},
	}
	if diff := cmp.Diff(want, rules.Rules()); diff != "" {
		t.Error(diff)
	}
	if got := rules.Warnings(); len(got) != 0 {
		t.Errorf("warnings %q", got)
	}
	for file, dir := range map[string]string{
		"/srv/b": "/srv/b", "/srv/b/": "/srv/b", "/srv/b/film.mp4": "/srv/b", "/srv/b/in/film.mp4": "/srv/b",
		"/srv/b/in/side/a/b/c": "/srv/b/in/side", "/srv/b/in/side/no/x": "/srv/b/in/side/no", "/srv/b/in/sidecar": "/srv/b",
		"/srv/b/in/side/no/../x": "/srv/b/in/side", "/srv/bb/x": "/srv/bb", "/srv/bbb": "", "/srv": "", "/": "", "": "", "srv/b": "",
		"gmem/x": "gmem", "gmem/tv/x": "gmem/tv", "gmemx": "",
	} {
		rule, found := rules.Of(file)
		if rule.Dir != dir || found != (dir != "") {
			t.Errorf("%q is under %q, %v; want %q", file, rule.Dir, found, dir)
		}
	}
}

func TestRuleWarnings(t *testing.T) {
	text := "[/a]\nname=one\n[/a/b]\nname=two\n"
	rules, err := parseRules("/r", []byte(text), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`/r:3: the name "two" is not used: the directory lies in "/a", which has a section, too`}
	if diff := cmp.Diff(want, rules.Warnings()); diff != "" {
		t.Error(diff)
	}
}

func TestWrongRules(t *testing.T) {
	for text, want := range map[string]string{
		"ru=alice":                         "/r:1: want a [section] first",
		"\n[dir\n":                         `/r:2: want [NAME]: "[dir"`,
		"[ ]":                              "/r:1: want [NAME]",
		"[d]\nwhat is this":                `/r:2: want KEY=VALUE: "what is this"`,
		"[d]\n=x":                          "/r:2: want KEY=VALUE",
		"[d]\nru=a\n\nru=b":                "/r:4: ru stands in line 2 already",
		"[d]\n[d]":                         "/r:2: the section stands there twice",
		"[d]\n[./d]":                       `/r:2: the directory "/d" has a section in line 1 already`,
		"[d]\nname=x\n[e]\nname=/x/":       `/r:3: the name "x" is that of the section in line 1 already`,
		"[d]\nur=alice":                    "/r:2: there is no such key: want name, ru",
		"[d]\nru=":                         "/r:2: nobody is named",
		"[d]\nwg= , ":                      "/r:2: nobody is named",
		"[d]\nwu=$ALL\nwg=":                "/r:3: nobody is named",
		"[d]\nru=alice,$ALL":               "/r:2: $ALL and $NONE stand alone",
		"[d]\nru=alice\nrg=$ALL":           "/r:3: $ALL and $NONE stand alone",
		"[d]\nru=$NONE\nrg=staff":          "/r:3: $ALL and $NONE stand alone",
		"[d]\nru=$ALL\nrg=$NONE":           "/r:3: $ALL and $NONE stand alone",
		"[d]\nru=$SOME":                    `"$SOME" is no name of a user`,
		"[d]\nru=a:b":                      `"a:b" is no name of a user`,
		"[d]\nname=..":                     "/r:2: no name of a mount",
		"[d]\nname=a/../b":                 "/r:2: no name of a mount",
		"[d]\nname=%2e%2e/b":               "/r:2: no name of a mount",
		"[d]\nname=a%zz":                   "/r:2: no name of a mount",
		"[d]\nname=a//b":                   "/r:2: no name of a mount",
		"[d]\nname=a%5cb":                  "/r:2: no name of a mount",
		"[d]\nname=%00":                    "/r:2: no name of a mount",
		"[d]\nname=%0d%0aX":                "/r:2: no name of a mount",
		"[d]\nname=/":                      "/r:2: no name of a mount",
		"[\xff]":                           "/r:1: this is not text in UTF-8",
		"[d]\nru=a\x00b":                   "/r:2: this is not text in UTF-8",
		strings.Repeat("#\n", 3) + "[d]\n": "",
	} {
		_, err := parseRules("/r", []byte(text), func(string) bool { return false })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestReadRules(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.ini")
	write(t, path, "[video]\nru=alice\n[no]\n[rules.ini]\n")
	if err := os.Mkdir(filepath.Join(dir, "video"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, path := range []string{path, "rules.ini"} {
		rules, err := ReadRules(path)
		if err != nil {
			t.Fatal(err)
		}
		want := []Rule{{Dir: filepath.Join(dir, "no")}, {Dir: filepath.Join(dir, "rules.ini")}, {Dir: filepath.Join(dir, "video"), Exists: true, Read: Who{Users: []string{"alice"}}}}
		if diff := cmp.Diff(want, rules.Rules()); diff != "" {
			t.Error(diff)
		}
	}
	write(t, path, strings.Repeat("#", maxFile+1))
	if _, err := ReadRules(path); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Error(err)
	}
	if _, err := ReadRules(dir); err == nil {
		t.Error("a directory was read as rules")
	}
}

func TestTooManyRules(t *testing.T) {
	many := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			b.WriteString("[/d/" + strings.Repeat("x", i%100) + "/" + strings.Repeat("y", i/100) + "z]\n")
		}
		return []byte(b.String())
	}
	none := func(string) bool { return false }
	if rules, err := parseRules("/r", many(maxRules), none); err != nil || len(rules.Rules()) != maxRules {
		t.Error(err)
	}
	if _, err := parseRules("/r", many(maxRules+1), none); err == nil || !strings.Contains(err.Error(), "10001 sections, 10000 at most") {
		t.Error(err)
	}
}

func TestIsRules(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]bool{
		"[dir]\n": true, "\ufeff\n# rules\n ; of ours\n [dir]\nru=x": true,
		"": false, "#\n": false, "alice:x": false, "[": false, "[]": false, "ru=x\n[dir]": false,
	} {
		path := filepath.Join(dir, "f")
		write(t, path, text)
		if got := IsRules(path); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if IsRules(dir) || IsRules(filepath.Join(dir, "missing")) || IsRules(os.DevNull) {
		t.Error("what is no file reads like rules")
	}
}

func FuzzRules(f *testing.F) {
	for _, s := range []string{"[a]\nname=b\nru=c\nwg=$ALL\n", "[gmem]\n[gmem/a]\nfilters=*\n", "\ufeff[/]\n[/a]", "[a]\n=\n", "[[]]\n", "[a]\nru=,,\n", "[a]\nname=%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := parseRules("/base/r", []byte(text), func(string) bool { return false })
		if err != nil {
			if !strings.HasPrefix(err.Error(), "/base/r") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is no line with a place", err)
			}
			return
		}
		for _, rule := range rules.Rules() {
			if same, found := rules.Of(rule.Dir); !found || same.Dir != rule.Dir {
				t.Errorf("%q is under %q", rule.Dir, same.Dir)
			}
			if !filepath.IsAbs(rule.Dir) && rule.Dir != Memory && !strings.HasPrefix(rule.Dir, Memory+"/") {
				t.Errorf("%q is a directory of nowhere", rule.Dir)
			}
			if strings.Contains(rule.Name, "..") && filepath.Clean(rule.Name) != rule.Name {
				t.Errorf("%q leads elsewhere", rule.Name)
			}
			if rule.Writable == (rule.Write.None || rule.Write.unsaid()) {
				t.Errorf("%+v", rule)
			}
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
