//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// testMandatory starts daemons that have no log file: in the file that is read, or in none.
func testMandatory(t *testing.T) {
	m := newMachine(t)
	for _, c := range []struct{ name, text, want string }{
		{"/etc/own.yaml", "no_data: 3s\nlog:\n  level: info\n  file: \"\"\n", `^sluice: /etc/own.yaml:4:\d+: log.file is not set: a daemon needs a log file`},
		{"/etc/own.conf", "no_data = \"3s\";\nlog : { file = \"\"; };\n", `^sluice: /etc/own.conf:2:\d+: log.file is not set`},
		{"/etc/sections.conf", "# gigapxy's\n\nNAME : {\n  log : { file = \"\"; }; };\n", `^sluice: /etc/sections.conf:4:\d+: NAME.log.file is not set`},
		{"/etc/without.yaml", "no_data: 3s\n", `^sluice: /etc/without.yaml: log.file is not set`},
		{"", "", `^sluice: log.file is not set: a daemon needs a log file \(no configuration file was found; --logfile FILE, or -T`},
	} {
		for module, section := range map[string]string{"gws": "ws", "gng": "ng"} {
			args := []string{}
			if c.name != "" {
				m.put(c.name, strings.ReplaceAll(c.text, "NAME", section))
				args = append(args, "-C", c.name)
			}
			said, code := m.run(module, args...)
			if want := strings.ReplaceAll(c.want, "NAME", section); code != 1 || !regexp.MustCompile(want).MatchString(said) {
				t.Errorf("%s %q: exit %d, %s\nwant %s", module, args, code, said, want)
			}
		}
	}
	m.idle()
}

// checked runs `sluice check` on a configuration in the format of libconfig.
func checked(t *testing.T, text string) (said string, code int) {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "more.conf"), "linger = \"7s\";\n")
	put(t, filepath.Join(dir, "inside.conf"), "linger = \"9s\";\n")
	stdout, stderr, code := output(program(), "check", "-C", put(t, filepath.Join(dir, "a.conf"), text))
	return stderr + stdout, code
}

// accepted has each form of libconfig that is accepted, and what it means.
var accepted = []struct{ text, setting, value string }{
	{"engines = 3;", "engines", "3"},
	{"min_engines : 2;", "min_engines", "2"},
	{"pin = true, no_data = \"2s\"", "no_data", "2s"}, // a comma ends a setting, or nothing does
	{"history = { depth = \"3s\" } grace = \"4s\"", "grace", "4s"},
	{"stall = \"6s\" # one\nrenew = \"7s\" // two\ngrowth = /* 5 */ \"8s\"", "growth", "8s"},
	{"sources = []; tls = {}; files : { read = (); };", "files.read", ""},
	{"limits = { clients = 0x1F; channels = +5; pending = 6L; per_address = 0x10L };", "limits.clients", "31"},
	{"", "limits.channels", "5"},
	{"", "limits.pending", "6"},
	{"", "limits.per_address", "16"},
	{"health = FaLsE udpxy = TRUE", "udpxy", "true"},
	{`content_type = "video" "/" /* one string */ "\x6dp2t2"`, "content_type", "video/mp2t2"},
	{`allow = [ "10.0.0.0/8", "::1" ]`, "allow", "10.0.0.0/8, ::1"},
	{`trusted_proxies = ( "10.0.0.0/8", "::1" )`, "trusted_proxies", "10.0.0.0/8, ::1"},
	{"channels : { A-b_c = {\n  @include \"inside.conf\"\nsource = \"udp://239.1.1.1:5000\"; }; };", "channels.A-b_c.linger", "9s"},
	{"  @include \"more.conf\"", "linger", "7s"},
}

// testLibconfig has what section 3 of the specification says of the syntax, case by case.
func testLibconfig(t *testing.T) {
	text := ""
	for _, c := range accepted {
		text += c.text + "\n"
	}
	said, code := checked(t, text)
	for _, c := range accepted {
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(c.setting) + ` +\S+ *(.*)$`).FindStringSubmatch(said)
		if code != 0 || found == nil || strings.TrimSpace(found[1]) != c.value {
			t.Errorf("%q: exit %d, %q; want %s to be %s\n%s", c.text, code, found, c.setting, c.value, said)
		}
	}
	for text, line := range map[string]int{
		"engines = 2;\nhistory.depth = \"3s\"":   2, // a path of the manual is no syntax
		"engines = 2;\n\nengines = 3;":           3,
		"limits = {\nclients = 1;\nclients = 2}": 3,
		`allow = [ "10.0.0.0/8", 1 ]`:            1,
		`allow = [ "10.0.0.0/8", ]`:              1,
		`allow = ( "10.0.0.0/8", )`:              1,
		"engines = 2\nhealth = yes":              2,
		"health = no":                            1,
		"content_type = 'video/mp2t'":            1,
		"\n\n\nspread = round-robin":             4,
		"history = { channel = 10M }":            1,
		"engines = 1;\n1a = 1":                   2,
		"@include \"missing.conf\"":              1,
		"history = {\n depth = \"3s\"":           2,
		"content_type = \"video":                 1,
		"engines = 1;;":                          1,
	} {
		said, code := checked(t, text)
		if want := fmt.Sprintf(`(?m)^error: \S*/a\.conf:%d:\d+: `, line); code != 1 || !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("%q: exit %d, want an error in line %d\n%s", text, code, line, said)
		}
	}
}

func testUnknownSetting(t *testing.T) {
	p := newDuo(t, "")
	file := put(t, p.path("gigapxy.conf"), fmt.Sprintf(`listen = %q; admin = %q; run_dir = %q; reconnect = { attempts = 1000; delay = "20ms"; };
colour = 1;
ws : { ng : { socket_path = %q;
  colour_of_ws = 2; }; };
ng : { ng_socket_path = %[4]q;
  colour_of_ng = 3; };
`, p.user, p.admin, p.dir, p.path("socket")))
	p.gws = startModule(t, "gws", "-C", file)
	p.gng = startModule(t, "gng", "-C", file)
	p.attached(p.gng.PID())
	for _, c := range []struct {
		proc         *testkit.Proc
		name, line   string
		other, about string
	}{
		{p.gws, `ws\.ng\.colour_of_ws`, "4", "colour_of_ng", "the section of gng"},
		{p.gng, `ng\.colour_of_ng`, "6", "colour_of_ws", "the section of gws"},
	} {
		c.proc.WaitLine(`level=WARN .*gigapxy\.conf:` + c.line + `:\d+: unknown setting ` + c.name)
		c.proc.WaitLine(`level=WARN .*gigapxy\.conf:2:1: unknown key \\"colour\\"`)
		if strings.Contains(c.proc.Output(), c.other) {
			t.Errorf("%s was looked at:\n%s", c.about, c.proc.Output())
		}
	}
}

// testLargeNumbers has milliseconds beyond 2^31, which libconfig itself would cut down to
// 705032704, some eight days.
func testLargeNumbers(t *testing.T) {
	const ms = 5_000_000_000
	for _, number := range []string{"5000000000", "0x12A05F200", "5000000000L"} {
		said, code := output1(program(), "check", "--for", "gws", "-C",
			put(t, filepath.Join(t.TempDir(), "gigapxy.conf"), "ws : { report : { cache_timeout_ms = "+number+"; }; };\n"))
		want := (ms * time.Millisecond).String()
		if code != 0 || !regexp.MustCompile(`(?m)^report\.cache .* `+want+`$`).MatchString(said) {
			t.Errorf("%s: exit %d, want report.cache %s\n%s", number, code, want, said)
		}
	}
	// One that is too large for its setting is not made small.
	if said, code := checked(t, "limits : { clients = 4294967297; };"); code != 1 || !strings.Contains(said, "4294967297") {
		t.Errorf("exit %d, %s", code, said)
	}
}

// output1 is output with both outputs in one.
func output1(name string, args ...string) (said string, code int) {
	stdout, stderr, code := output(name, args...)
	return stderr + stdout, code
}
