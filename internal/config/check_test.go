package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAcceptanceSearchOrder(t *testing.T) {
	for role, want := range map[Role]string{
		GWS:   "gws.conf sluice.yaml sluice.conf gigapxy.conf",
		GNG:   "gng.conf sluice.yaml sluice.conf gigapxy.conf",
		Run:   "sluice.yaml sluice.conf gigapxy.conf",
		Relay: "sluice.yaml sluice.conf gigapxy.conf",
	} {
		var all []string
		for _, name := range strings.Fields(want) {
			all = append(all, name, "/etc/"+name, "/usr/local/etc/"+name)
		}
		if got := SearchPaths(role); !slices.Equal(got, all) {
			t.Errorf("6: %s: %v", role, got)
		}
	}
}

func TestFrom(t *testing.T) {
	dir := t.TempDir()
	main, more := filepath.Join(dir, "sluice.conf"), filepath.Join(dir, "more.conf")
	put(t, main, "engines = 2;\n@include \"more.conf\"\nhistory : {\n  depth = \"5s\"; };\n")
	put(t, more, "\nchannels : {\n news : { source = \"udp://239.1.1.1:5000\"; };\n};\n")
	c, err := Load(main, Run)
	if err != nil {
		t.Fatal(err)
	}
	before := c
	if err := c.SetBy("--listen", "listen", ":1"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"engines": main + ":1", "history.depth": main + ":4", "channels.news.source": more + ":3", "listen": "--listen", "admin": "default",
	} {
		if got := c.From(key).String(); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	if before.From("listen").String() != "default" || c.File() != main {
		t.Error("a copy was changed as well")
	}
	lines := map[string]Line{}
	for _, l := range c.Lines() {
		lines[l.Key] = l
	}
	if l := lines["channels.news.source"]; l.Value != "udp://239.1.1.1:5000" || l.From.String() != more+":3" {
		t.Errorf("%+v", l)
	}
	if l := lines["allow"]; !strings.HasPrefix(l.Value, "10.0.0.0/8, 172.16.0.0/12, ") || l.From.String() != "default" {
		t.Errorf("%+v", l)
	}
}

func TestDiff(t *testing.T) {
	parse := func(text string) Config {
		t.Helper()
		c, err := Parse("a.yaml", []byte(text), Run)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const source = "source: 'udp://239.1.1.1:5000'"
	old := parse("engines: 1\nchannels: {a: {" + source + "}, b: {source: 'udp://239.1.1.2:5000'}}\nroutes: {r: {from: $a, to: 'udp://239.2.1.1:5000'}}\n")
	atOnce, afterRestart := Diff(old, old)
	if len(atOnce)+len(afterRestart) > 0 {
		t.Errorf("of itself: %v %v", atOnce, afterRestart)
	}
	now := parse("engines: 2\nlisten: ':5'\nallow: [10.0.0.0/8]\nlog: {level: debug}\nchannels: {a: {" + source + ", linger: 9s}, c: {source: 'udp://239.1.1.3:5000'}}\n" +
		"routes: {r: {from: $a, to: 'udp://239.2.1.1:5000', restart: true}}\n")
	atOnce, afterRestart = Diff(old, now)
	if want := []string{"allow", "log.level", "channels.a", "channels.c", "channels.b", "routes.r"}; !slices.Equal(atOnce, want) {
		t.Errorf("at once %v, want %v", atOnce, want)
	}
	if want := []string{"listen", "engines"}; !slices.Equal(afterRestart, want) {
		t.Errorf("after a restart %v, want %v", afterRestart, want)
	}
	// What holds for all holds for the channels that do not say otherwise.
	atOnce, _ = Diff(old, parse("engines: 1\nlinger: 9s\nchannels: {a: {"+source+"}, b: {source: 'udp://239.1.1.2:5000', linger: 5s}}\nroutes: {r: {from: $a, to: 'udp://239.2.1.1:5000'}}\n"))
	if want := []string{"linger", "channels.a"}; !slices.Equal(atOnce, want) {
		t.Errorf("at once %v, want %v", atOnce, want)
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	put(t, in("tokens"), "ann\n")
	put(t, in("channels.conf"), "{{{\n")
	put(t, in("helper"), "#!/bin/sh\n")
	put(t, in("pem"), "no certificate\n")
	text := "tls: {certificate: " + in("pem") + ", key: " + in("none") + "}\nauth: {tokens: " + in("tokens") + "}\nfiles: {read: [" + in("none") + "], write: [" + in("tokens") + "]}\n" +
		"log: {file: " + in("none/log") + "}\nchannels_file: " + in("channels.conf") + "\n"
	c, err := Parse("a.yaml", []byte(text), Run)
	if err != nil {
		t.Fatal(err)
	}
	errs, _ := c.CheckFiles()
	var got []string
	for _, e := range errs {
		got = append(got, e.Short())
	}
	for _, want := range []string{
		"a.yaml:1:7: tls.certificate: open " + in("none"), "a.yaml:2:8: auth.tokens: " + in("tokens") + ":1: 1 words",
		"a.yaml:3:9: files.read: stat " + in("none"), "a.yaml:3:", "files.write: " + in("tokens") + " is no directory",
		"a.yaml:4:7: log.file: stat " + in("none"), "a.yaml:5:1: channels_file: " + in("channels.conf") + ":1:",
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s is missing in\n%s", want, strings.Join(got, "\n"))
		}
	}
	if len(errs) != 6 {
		t.Errorf("%d mistakes:\n%s", len(errs), strings.Join(got, "\n"))
	}
	c = Default()
	c.Auth.Helper = []string{in("helper")} // nobody may execute it
	if errs, _ := c.CheckFiles(); len(errs) != 1 || !strings.Contains(errs[0].Error(), in("helper")) {
		t.Errorf("a helper that is no program: %v", errs)
	}
	c = Default()
	if errs, warnings := c.CheckFiles(); len(errs)+len(warnings) > 0 {
		t.Errorf("the defaults: %v %v", errs, warnings)
	}
}

func TestSecretsThatEverybodyMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	put(t, path, "ann abc\n")
	c := Default()
	c.Auth.TokenFile = path
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("mode 0600: %v", w)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); len(w) != 1 || w[0].Reason != "auth.tokens: everybody may read "+path+" (chmod o-r "+path+")" {
		t.Errorf("mode 0644: %v", w)
	}
}
