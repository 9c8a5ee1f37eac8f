package spawnd

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config/tree"
)

// files are a World of these files, by their paths.
func files(all map[string]string) World {
	return World{
		Read: func(name string) ([]byte, error) {
			if text, ok := all[name]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		Glob: func(pattern string) (found []string, err error) {
			for name := range all {
				if ok, err := path.Match(pattern, name); err != nil || ok {
					found = append(found, name)
				}
			}
			slices.Sort(found)
			return found, nil
		},
		Env: func(name string) (string, bool) { return "/home/me", name == "HOME" },
	}
}

// parse reads a text as t.cfg, with other files beside it.
func parse(text string, others map[string]string) (*File, error) {
	return Parse("/etc/t.cfg", []byte(text), IDs{Spawnd: DefaultSpawnd}, files(others))
}

// good is a text that has to be right, and its file.
func good(t *testing.T, text string, others map[string]string) *File {
	t.Helper()
	f, err := parse(text, others)
	if err != nil {
		t.Fatalf("%s\n%s", text, err)
	}
	return f
}

// warnings are those of f, each on a line.
func warnings(f *File) string {
	var lines []string
	for _, w := range f.Warnings {
		lines = append(lines, w.Short())
	}
	return strings.Join(lines, "\n")
}

// in are sections that say this.
func in(spawnd, worker string) string {
	return "id = spawnd {\n" + spawnd + "\n}\nid = tcprelay {\n" + worker + "\n}\n"
}

func at(line int) tree.Place { return tree.Place{File: "/etc/t.cfg", Line: line} }

func said[T any](v T, line int) Said[T] { return Said[T]{v, at(line)} }

func TestSections(t *testing.T) {
	got := good(t, `#!/usr/local/sbin/spawnd
syslog ident = relay   # for both
id = other { listen = "never read { " { } unknown }
id = spawnd {
	listen = { address = 192.0.2.1 port = http backlog = 0x10 bind retry delay = 3 }
	listen {
		path = "/run/a b" mode = 0660 userid = www groupid = 33
		tcp keepalive idle = 60 tcp keepalive count = 3 tcp keepalive interval = 10
	}
	permit not 10.0.0.0/8
	deny ::1
	background = yes pid-file = /run/x.pid overload = reset single process = true bind retry delay = 1k
	tcp keepalive idle = 7
	sticky cache period = 600
	spawn {
		instances min = 1 instances max = 4 users min = 2 users max = 100
		userid = nobody groupid = nogroup sticky cache size = 99
	}
	debug = PARSE -NET +ALL
}
id = tcprelay {
	remote = { address = 192.0.2.7 port = 80 weight = 3 }
	remote = { address = "[::1]:23" protocol = SCTP weight = -1 proxy protocol = v2 }
	local address = 192.0.2.9
	rebalance = 10 idle timeout = 30 retire limit = 1000
	tls cert-file = a.pem tls key-file = b.pem tls passphrase = 12345
	syslog facility = local3 syslog severity = Warning
}
`, nil)
	want := &File{
		Spawnd: Spawnd{
			Common: Common{Ident: said("relay", 2), Debug: said(true, 19)},
			Place:  at(4),
			Listens: []Listen{
				{Place: at(5), Address: said("192.0.2.1", 5), Port: said("http", 5), Backlog: said(16, 5), RetryDelay: said(3, 5)},
				{
					Place: at(6), Address: said("/run/a b", 7), Mode: said(uint32(0o660), 7), User: said("www", 7), Group: said("33", 7),
					KeepAlive: KeepAlive{said(3, 8), said(60, 8), said(10, 8)},
				},
			},
			Rules:      []Rule{{Not: true, Network: said("10.0.0.0/8", 10)}, {Deny: true, Network: said("::1", 11)}},
			Background: said(true, 12), PIDFile: said("/run/x.pid", 12), Overload: said("reset", 12), SingleProcess: said(true, 12),
			RetryDelay: said(1024, 12), KeepAlive: KeepAlive{Idle: said(7, 13)}, Sticky: Sticky{said(600, 14), said(99, 17)},
			InstancesMax: said(4, 16), UsersMax: said(100, 16), User: said("nobody", 17), Group: said("nogroup", 17),
		},
		Worker: Worker{
			Common: Common{Ident: said("relay", 2), Facility: said("LOCAL3", 27), Severity: said("WARNING", 27)},
			Place:  at(21),
			Remotes: []Remote{
				{Place: at(22), Address: said("192.0.2.7", 22), Port: said("80", 22), Weight: said(3, 22)},
				{Place: at(23), Address: said("[::1]:23", 23), Protocol: said("SCTP", 23), Weight: said(-1, 23), Proxy: said("v2", 23)},
			},
			Local: said("192.0.2.9", 24), Rebalance: said(10, 25), IdleTimeout: said(30, 25), Retire: said(1000, 25),
			Certificate: said("a.pem", 26), Key: said("b.pem", 26), Passphrase: said("12345", 26),
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Documentation and program differ (2.9 of the specification): both hold.
func TestBothSpellings(t *testing.T) {
	one := func(s *Spawnd) any {
		return fmt.Sprint(s.Listens[0].Address.Value, s.Listens[0].Port.Value, s.Listens[0].TLS.On.Value)
	}
	for _, c := range []struct {
		spawnd, worker string
		get            func(f *File) any
		want           any
	}{
		{"", "retire = 5", func(f *File) any { return f.Worker.Retire.Value }, 5},
		{"", "ssl cert = c.pem ssl key = k.pem ssl passphrase = p", func(f *File) any { return f.Worker.Certificate.Value + f.Worker.Key.Value + f.Worker.Passphrase.Value }, "c.pemk.pemp"},
		{"", "ssl certfile = c.pem tls keyfile = k.pem", func(f *File) any { return f.Worker.Certificate.Value + f.Worker.Key.Value }, "c.pemk.pem"},
		{"", "remote { address = ::1 port = 1 }", func(f *File) any { return len(f.Worker.Remotes) }, 1},
		{"", "trace = 0x10 syslog level = ERR", func(f *File) any { return fmt.Sprint(f.Worker.Debug.Value, f.Worker.Severity.Value) }, "trueERR"},
		{"spawn { servers min = 1 servers max = 20 }", "", func(f *File) any { return f.Spawnd.InstancesMax.Value }, 20},
		{"spawn = { users minimum = 10 users maximum = 100 instances minimum = 1 instances maximum = 3 }", "", func(f *File) any { return f.Spawnd.UsersMax.Value + f.Spawnd.InstancesMax.Value }, 103},
		{"listen = { ::0 port = 2224 }", "", func(f *File) any { return one(&f.Spawnd) }, "::02224false"},
		{`listen { port 21 "192.0.2.1" }`, "", func(f *File) any { return one(&f.Spawnd) }, "192.0.2.121false"},
		{"listen { port = 21 tls }", "", func(f *File) any { return one(&f.Spawnd) }, "21true"},
		{"listen { ssl port = 21 }", "", func(f *File) any { return one(&f.Spawnd) }, "21true"},
		{"listen { tls = permit port = 21 tls = no }", "", func(f *File) any { return one(&f.Spawnd) }, "21false"},
		{"listen { protocol = tcp } listen { protocol = SCTP }", "", func(f *File) any { return f.Spawnd.Listens[0].Protocol.Value + f.Spawnd.Listens[1].Protocol.Value }, "TCPSCTP"},
		{"listen { tls = auto }", "", func(f *File) any { return f.Spawnd.Listens[0].TLS.Auto.Value && f.Spawnd.Listens[0].TLS.On.Value }, true},
		{"listen { tls = TLSv1.2,TLSv1.3 haproxy = yes vrf = red dscp = 0x38 type = STREAM }", "", func(f *File) any {
			l := f.Spawnd.Listens[0]
			return fmt.Sprintln(l.TLS.Versions, l.Proxy.Value, l.Device.Value, l.DSCP.Value)
		}, "[TLSv1.2 TLSv1.3] true red 56\n"},
		{"acl accept ::1 acl deny not 10.0.0.0/8", "", func(f *File) any {
			return fmt.Sprint(f.Spawnd.Rules[0].Deny, f.Spawnd.Rules[1].Deny, f.Spawnd.Rules[1].Not)
		}, "false true true"},
		{"spawn { id = tcprelay }", "rebalance = 2k", func(f *File) any { return f.Worker.Rebalance.Value }, 2048},
	} {
		f := good(t, in(c.spawnd, c.worker), nil)
		if got := c.get(f); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.spawnd, c.worker, got, c.want)
		}
		if w := warnings(f); w != "" {
			t.Errorf("%s %s: %s", c.spawnd, c.worker, w)
		}
	}
}

// What the original says, and what is a crash, an endless loop or nothing there.
func TestMessages(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// 2.3 of the specification.
		{in("", "remote = { foo = 1 }"), "t.cfg:5: Expected 'address', 'port', 'protocol' or 'weight', but got 'foo'"},
		{in("", "foo = 1"), "t.cfg:5: 'foo' unexpected"},
		{"id = spawnd { }\n", "t.cfg:2: FATAL: No configuration for id 'tcprelay' found."},
		{"id = tcprelay { }", "t.cfg:1: FATAL: No configuration for id 'spawnd' found."},
		{in("", "retire foo"), "t.cfg:5: Expected 'limit', but got 'foo'"},
		{in("", "rebalance { }"), "t.cfg:5: Expected '=', but got '{'"},
		{in("", "rebalance = abc"), "t.cfg:5: expected an integer, but got 'abc'"},
		{in("", "idle timeout = 5s"), "t.cfg:5: expected an integer, but got '5s'"},
		{in("", "remote = { protocol = tcp }"), "t.cfg:5: Expected 'SCTP' or 'TCP', but got 'tcp'"},
		{in("", "tls crt = a.pem"), "t.cfg:5: Expected 'cert-file', 'key-file' or 'passphrase', but got 'crt'"},
		{"id = spawnd { }\nid = tcprelay {\n", "t.cfg:3: Expected '}', but got ''"},
		{in("listen { realm = 1234567890123456 }", ""), "t.cfg:2: Maximum tag length is limited to 15 characters."},

		// Others of the original.
		{in("background = perhaps", ""), "t.cfg:2: Expected 'deny', 'false', 'no', 'permit', 'true' or 'yes', but got 'perhaps'"},
		{in("overload = drop", ""), "t.cfg:2: Expected 'close', 'queue' or 'reset', but got 'drop'"},
		{in("tcp keepalive foo = 1", ""), "t.cfg:2: Expected 'count', 'idle' or 'interval', but got 'foo'"},
		{in("spawn { users avg = 1 }", ""), "t.cfg:2: Expected 'max' or 'min', but got 'avg'"},
		{in("listen { mode = rw }", ""), "t.cfg:2: Unrecognized file node creation mask 'rw'"},
		{in("listen { tls = TLSv1.2,TLSv1.1 }", ""), "t.cfg:2: Expected 'TLSv1.2' or 'TLSv1.3', but got 'TLSv1.1'"},
		{in("permit }", ""), "t.cfg:2: Expected an IP address or network in CIDR notation, but got '}'."},
		{in("listen { address = [::1]:23 }", ""), "t.cfg:2: Expected a value, but got '['"},
		{in("remote = { }", ""), "t.cfg:2: Expected 'acl', 'background', 'bind', 'coredump', 'debug', 'deny', 'listen', 'mavis', 'overload', 'permit', 'pidfile', 'proctitle', 'single', 'spawn', 'sticky', 'syslog' or 'tcp', but got 'remote'"},
		{"background = yes", "t.cfg:1: Expected 'alias', 'cleanup', 'coredump', 'debug', 'debug-cmd', 'gcore', 'id', 'mavis', 'proctitle', 'setenv' or 'syslog', but got 'background'"},
		{in("syslog severity = LOUD", ""), "t.cfg:2: Expected 'ALERT', 'CRIT', 'DEBUG', 'EMERG', 'ERR', 'INFO', 'NOTICE' or 'WARNING', but got 'LOUD'"},
		{"id = other { {", "t.cfg:1: EOF unexpected"},
		{"id = spawnd {\nlisten { address = \"a\n", "t.cfg:2: EOF unexpected"},

		// Ours.
		{in("", "remote = { proxy foo }"), "t.cfg:5: Expected 'protocol', but got 'foo'"},
		{in("", "remote = { proxy protocol v2 }"), "t.cfg:5: Expected '=', but got 'v2'"},
		{in("", "remote = { proxy protocol = v3 }"), "t.cfg:5: Expected 'v1' or 'v2', but got 'v3'"},
		{in("", "proxy protocol = v2"), "t.cfg:5: 'proxy' unexpected"},
		{in("listen { protocol = UDP }", ""), "t.cfg:2: protocol = UDP: only streams are relayed"},
		{in("listen { type = DGRAM }", ""), "t.cfg:2: type = DGRAM: only streams are relayed"},
		{in("listen { tls = DTLSv1.2 }", ""), "t.cfg:2: tls = DTLSv1.2: DTLS belongs to UDP, and only streams are relayed"},
		{in("listen { backlog = -1 }", ""), "t.cfg:2: expected an integer that is not negative, but got '-1'"},
		{in("listen { backlog = 4g }", ""), "t.cfg:2: expected an integer, but got '4g'"},
		{in(`listen { path = "a\nb" }`, ""), "t.cfg:2: a value with characters that cannot be shown"},
		{in(`listen { "listen" }`, ""), "but got 'listen'"},
		{"alias a { a } a", "the alias 'a' contains itself, or aliases stand for more than 100000 words"},
		{"alias a { b b } alias b { a a } b", "the alias 'b' contains itself"},
		{"id = \x00", "t.cfg:1: a zero byte"},
		{`id = "a\000"`, "t.cfg:1: a zero byte"},
		{"id = " + strings.Repeat("x", maxWord+1), "t.cfg:1: Line too long"},
		{"setenv A-B = 1", "t.cfg:1: Expected the name of a variable, but got 'A-B'"},
		{in("", "foo\x1b[31m"), "t.cfg:5: 'foo?' unexpected"},
		{"include { }", "t.cfg:1: Expected a file, but got '{'"},
	} {
		_, err := parse(c.text, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q\n%v, want\n%s", c.text, err, c.want)
		}
		var bad *tree.Error
		if !errors.As(err, &bad) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80q: an error that is not one line with a place: %v", c.text, err)
		}
	}
}

func TestPassphraseIsNotShown(t *testing.T) {
	for _, text := range []string{
		"tls passphrase = se{cret", "tls passphrase secret", "tls passphrase = a secret", `tls passphrase = "x" secret = 1`,
		"tls passphrase = {secret", "tls passphrase \"secret\"\nfoo", "tls passphrase = \"sec\x01ret\"",
	} {
		f, err := parse(in("", text), nil)
		if all := fmt.Sprint(err, warnings(f)); strings.Contains(all, "secret") || strings.Contains(all, "cret") {
			t.Errorf("%s: %s", text, all)
		}
	}
}

func TestAliasAndVariables(t *testing.T) {
	f := good(t, `
setenv DIR = /srv
setenv FILE "${DIR}/cert"
alias both { address = 192.0.2.9 }
alias = both { address = 192.0.2.1 port = 80 }
alias twice { remote = { both } remote = { both none weight = 2 } }
alias none { }
id = spawnd { none listen { both } }
id = tcprelay { twice tls cert-file = "${FILE}.pem" tls key-file = '${HOME}/key.pem' }`, nil)
	w := f.Worker
	if len(w.Remotes) != 2 || w.Remotes[0].Address.Value != "192.0.2.1" || w.Remotes[1].Weight.Value != 2 || f.Spawnd.Listens[0].Port.Value != "80" {
		t.Errorf("%+v", f)
	}
	if w.Certificate.Value != "/srv/cert.pem" || w.Key.Value != "/home/me/key.pem" {
		t.Errorf("%s %s", w.Certificate.Value, w.Key.Value)
	}
	if d := cmp.Diff([]Variable{{"DIR", "/srv"}, {"FILE", "/srv/cert"}}, f.Env); d != "" {
		t.Error(d)
	}
	if w := warnings(f); w != "" {
		t.Error(w)
	}
}

func TestInclude(t *testing.T) {
	others := map[string]string{
		"/etc/one.cfg":      "listen { port = 1 }\n\nlisten { port = 2 }",
		"/etc/d/b.cfg":      "remote = { address = 192.0.2.2 port = 2 }",
		"/etc/d/a.cfg":      "remote = { address = 192.0.2.1 port = 1 }",
		"top.cfg":           "include sections.cfg",
		"sections.cfg":      in("", "include = \"$CONFDIR/d/*.cfg\""),
		"http://h/x?a=*":    in("", ""),
		"/etc/bad.cfg":      "listen {\n\nfoo }",
		"/etc/loop.cfg":     "include = /etc/loop.cfg",
		"/etc/two.cfg":      "include = /etc/two.cfg include = /etc/two.cfg",
		"/etc/brackets.cfg": "}",
	}
	f := good(t, in("include = /etc/one.cfg background = yes", "include /etc/d/?.cfg rebalance = 3"), others)
	if len(f.Spawnd.Listens) != 2 || !f.Spawnd.Background.Value || f.Worker.Rebalance.Value != 3 || len(f.Worker.Remotes) != 2 {
		t.Errorf("%+v", f)
	}
	if got, want := f.Spawnd.Listens[1].Port.Place, (tree.Place{File: "/etc/one.cfg", Line: 3}); got != want {
		t.Errorf("place %v, want %v", got, want)
	}
	if r := f.Worker.Remotes; r[0].Port.Value != "1" || r[1].Port.Value != "2" {
		t.Errorf("the files of a pattern are not read in their order: %+v", r)
	}
	if f = good(t, "include = top.cfg", others); len(f.Worker.Remotes) != 2 {
		t.Errorf("%+v", f)
	}
	good(t, "include = \"http://h/x?a=*\"", others)
	good(t, "id = spawnd { include = /etc/brackets.cfg\nid = tcprelay { include /etc/brackets.cfg", others)

	f = good(t, in("include = /nowhere/a.cfg\ninclude = /nowhere/*.cfg", ""), others)
	want := "/etc/t.cfg:2: Couldn't open /nowhere/a.cfg: No such file or directory\n/etc/t.cfg:3: Couldn't open /nowhere/*.cfg: No such file or directory"
	if got := warnings(f); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for text, want := range map[string]string{
		in("include = /etc/bad.cfg", ""):  "/etc/bad.cfg:3: Expected 'aaa.protocol', 'address'",
		in("include = /etc/loop.cfg", ""): "/etc/loop.cfg:1: files that include each other more than 10 deep",
		in("include = /etc/two.cfg", ""):  "/etc/two.cfg:1: files that include each other more than 10 deep",
	} {
		if _, err := parse(text, others); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestIncludesAreBounded(t *testing.T) {
	others := map[string]string{"/empty": "", "/large": strings.Repeat(" ", 16<<20)}
	for text, want := range map[string]string{
		strings.Repeat("include /empty\n", maxIncludes+1): ":1001: more than 1000 included files",
		strings.Repeat("include /large\n", 5):             ":4: more than 64 MiB of included files",
	} {
		if _, err := parse(text, others); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestIDs(t *testing.T) {
	text := `id = one { listen { port = 1 } }
id = one { nonsense }
id = two { rebalance = 2 }
id = tcprelay { rebalance = 3 }
id = spawnd { spawn { id = two } }
id = far { spawn { config = /etc/far.cfg } }
id = nowhere { spawn { config = /etc/none.cfg } }`
	others := map[string]string{"/etc/far.cfg": "id = tcprelay { rebalance = 9 }"}
	for _, c := range []struct {
		ids  IDs
		want string
	}{
		{IDs{Spawnd: "spawnd"}, "2"},
		{IDs{Spawnd: "one"}, "3"},
		{IDs{Spawnd: "spawnd", Worker: "tcprelay"}, "3"},
		{IDs{Spawnd: "far"}, "9"},
		{IDs{Spawnd: "far", Worker: "two"}, "/etc/far.cfg:1: FATAL: No configuration for id 'two' found."},
		{IDs{Spawnd: "nowhere"}, "/etc/t.cfg:7: Couldn't open /etc/none.cfg: No such file or directory"},
		{IDs{Spawnd: "three"}, "/etc/t.cfg:7: FATAL: No configuration for id 'three' found."},
	} {
		f, err := Parse("/etc/t.cfg", []byte(text), c.ids, files(others))
		got := fmt.Sprint(f.Worker.Rebalance.Value)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.ids, got, c.want)
		}
	}
}

// What has no effect is said once, however often it stands there.
func TestWarnings(t *testing.T) {
	text := `setenv IO_POLL_MECHANISM = 4
setenv IO_POLL_MECHANISM = 8
gcore = /bin/gcore debug-cmd = x
cleanup interval = 3
id = skipped { include = /nowhere realm = "\q" }
id = spawnd {
 listen { port = 1 realm = a tls psk = yes aaa.protocol = radius.udp flag = access overload backlog = 3 }
 listen { port = 2 realm = b tls psk = no aaa.protocol = tacacs.tcp flag = accounting }
 tcp bufsize 1000
 spawn { exec = /bin/x exec /bin/y working directory = / ipc key = 1 }
 mavis module = external { exec = { nothing } }
 proctitle = "x\q"
 coredump directory = /tmp
 syslog default = no syslog filter = 3
 debug redirect = /tmp/x
}
id = tcprelay { mavis cache timeout = 3 mavis path = /lib }
`
	want := []string{
		"1: IO_POLL_MECHANISM", "3: 'coredump', 'gcore' and 'debug-cmd'", "4: 'cleanup interval'",
		"7: 'realm'", "7: 'tls psk'", "7: 'aaa.protocol'", "7: 'flag'", "7: 'overload backlog'", "9: 'tcp bufsize'",
		"10: 'exec'", "10: 'working directory'", "10: 'ipc key'", "11: 'mavis'", `12: Unknown escape sequence '\q'`, "12: 'proctitle'",
		"14: 'syslog default'", "14: 'syslog filter'", "15: 'debug redirect'",
	}
	f := good(t, text, nil)
	var got []string
	for _, w := range f.Warnings {
		got = append(got, fmt.Sprintf("%d: %s", w.Line, w.Reason))
	}
	slices.Sort(got)
	slices.Sort(want)
	for i, w := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], w) {
			t.Errorf("warnings\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			break
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d warnings, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	if !strings.Contains(warnings(f), "out of scope") {
		t.Error("MAVIS is not said to be out of scope")
	}
}

func TestWhatFollowsTheSections(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"# the end":                "",
		"anything = goes here":     "",
		"id = more { listen { } }": "",
		`include /nowhere "\q"`:    "",
		"garbage {{":               "/etc/t.cfg:7: what follows the sections is not read, and is no configuration: Expected '}', but got ''",
		"}":                        "/etc/t.cfg:7: what follows the sections is not read, and is no configuration: '}' closes nothing",
		"\"":                       "/etc/t.cfg:7: what follows the sections is not read, and is no configuration: EOF unexpected",
	} {
		if got := warnings(good(t, in("", "")+text, nil)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Texts that are long for a careless reader: with more than a few passes over each the test
// would not end.
func TestTimeIsLinear(t *testing.T) {
	words := strings.Repeat("${", maxWord/2-1)
	for want, text := range map[string]string{
		"EOF unexpected":         "id = x {" + strings.Repeat("{", 1<<20),
		"No configuration":       strings.Repeat(`id = "`+words+`}" { }`+"\n", 16),
		"aliases stand for more": "alias a { b } alias b { " + strings.Repeat("x ", 90_000) + "} " + strings.Repeat("id = x { a }", 1000),
		":1048577: FATAL":        strings.Repeat("#\n", 1<<20),
		"for id 'spawnd' found":  strings.Repeat("# ", 2<<20),
		":14: Line too long":     "setenv A = xxxxxxxx\n" + strings.Repeat("setenv A = \"${A}${A}\"\n", 64),
	} {
		if _, err := parse(text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range samples() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		others := map[string]string{"a": text, "b": "listen { port = 1 }"}
		file, err := parse(text, others)
		var bad *tree.Error
		if err != nil && !errors.As(err, &bad) {
			t.Errorf("an error without a place: %v", err)
		}
		for _, w := range file.Warnings {
			if w.Line < 1 || strings.ContainsAny(w.Reason, "\n\x1b") {
				t.Errorf("warning %q", w)
			}
		}
		if bad != nil && (bad.Line < 1 || strings.ContainsAny(bad.Reason, "\n\x1b")) {
			t.Errorf("error %q", bad)
		}
	})
}

// samples are files as the documentation has them.
func samples() []string {
	return []string{
		in("listen = { address = 127.0.0.1 port = 2222 } background = no", "remote = { address = 127.0.0.1 port = 22 }"),
		in("listen = { port = 2222 } listen = { address = ::0 port = 2222 } listen = { ::0 port = 2224 } listen = { port = 2225 tls = yes }\nspawn { users max = 4000 users min = 10 servers min = 1 servers max = 20 }",
			"remote = { address = 169.254.1.2 port = 22 }\nssl cert = /some/where/sample.pem\nssl passphrase = 12345"),
		in("permit not 10.0.0.0/8 deny ::/0 sticky cache period = 3 tcp keepalive idle = 3 include = b", "remote = { address = unix:/a proxy protocol = v1 } tls passphrase = 'a\\061' idle timeout = 0x3k retire limit = 3 local address = ::1"),
		"alias x { port = 1 } setenv A = \"${HOME}\" syslog ident = x debug = ALL -NET id = z { } id = spawnd { listen { x } } id = tcprelay { mavis module = x { } }",
		"include = a", "id = spawnd {", "\"\\", "id = \"${A", "&&&|",
	}
}
