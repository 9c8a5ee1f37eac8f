//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// tcprelaySample is the file of the documentation, with a place for that of its certificate.
const tcprelaySample = `#!/usr/local/sbin/spawnd

id = spawnd {
	listen = { port = 2222 }
	listen = { address = ::0 port = 2222 }
	listen = { ::0 port = 2224 }
	listen = { port = 2225 tls = yes }
	spawn {
		users max = 4000
		users min = 10
		servers min = 1
		servers max = 20
	}
}

id = tcprelay {
	remote = { address = 169.254.1.2 port = 22 }
	ssl cert = %s
	ssl passphrase = 12345
}
`

// tcprelaySpellings is what the documentation of spawnd and tcprelay shows in pieces, with all the
// words that its programs do not take.
const tcprelaySpellings = `
id = spawnd {
	listen = { port = 80}
	listen { port = 2226 tls }
	spawn = { exec /usr/local/libexec/tcprelay }
	spawn { users minimum = 5 users maximum = 40 instances min = 1 instances max = 8 }
	acl accept ::1
	acl accept 127.0.0.0/8
}
id = tcprelay {
	remote { address = 169.254.1.2 port = ssh }
	retire = 1000
	tls certfile = %[1]s
	tls keyfile = %[1]s
	tls passphrase = 12345
}
`

// testTcprelaySamples relays by the files of the documentation: the same port for IPv4 and IPv6 in two
// listeners, and a certificate that stands in one file with its encrypted key.
func testTcprelaySamples(t *testing.T) {
	testkit.Need(t, "ip", "openssl")
	addAddress(t, "169.254.1.2/32")
	newRemoteAt(t, "tcp", "169.254.1.2:22", echoes)
	ca := newAuthority(t)
	sample := encryptedKey(t, ca, "12345")
	for text, doors := range map[string]struct{ plain, secure []string }{
		fmt.Sprintf(tcprelaySample, sample): {
			plain:  []string{"127.0.0.1:2222", "[::1]:2222", "127.0.0.1:2224", "[::1]:2224"},
			secure: []string{"127.0.0.1:2225"},
		},
		fmt.Sprintf(tcprelaySpellings, sample): {
			plain:  []string{"127.0.0.1:80", "[::1]:80"},
			secure: []string{"127.0.0.1:2226"},
		},
	} {
		p := startTcprelay(t, text)
		for _, door := range doors.plain {
			c := call(t, door)
			says(t, c, "through "+door)
			hears(t, c, "through "+door)
		}
		for _, door := range doors.secure {
			c, err := tls.Dial("tcp", door, &tls.Config{RootCAs: ca.pool()})
			if err != nil {
				t.Fatalf("%s: %v", door, err)
			}
			says(t, c, "through "+door)
			hears(t, c, "through "+door)
			c.Close()
		}
		stopNow(t, p, syscall.SIGTERM)
	}
}

// addAddress gives this machine an address as long as the test runs.
func addAddress(t *testing.T, prefix string) {
	t.Helper()
	for _, word := range []string{"add", "del"} {
		do := func() {
			if out, err := exec.Command("ip", "address", word, prefix, "dev", "lo").CombinedOutput(); err != nil {
				t.Errorf("ip address %s %s: %v\n%s", word, prefix, err, out)
			}
		}
		if word == "del" {
			t.Cleanup(do)
		} else {
			do()
		}
	}
}

// encryptedKey is a file with a certificate and its key, which openssl has encrypted.
func encryptedKey(t *testing.T, ca *authority, passphrase string) (path string) {
	t.Helper()
	key := exec.Command("openssl", "pkcs8", "-topk8", "-in", ca.path("server.key"), "-passout", "pass:"+passphrase)
	text, err := key.Output()
	if err != nil || !strings.Contains(string(text), "ENCRYPTED PRIVATE KEY") {
		t.Fatalf("%s: %v\n%s", key, err, text)
	}
	return put(t, ca.path("sample.pem"), readFile(t, ca.path("server.pem"))+string(text))
}

// parsed is what `sluice tcprelay -P` says of a text, the name of whose file is FILE then.
func parsed(t *testing.T, text string, args ...string) (said string, code int) {
	t.Helper()
	file := put(t, filepath.Join(t.TempDir(), "t.cfg"), text)
	stdout, stderr, code := output(program(), slices.Concat([]string{"tcprelay", "-P"}, args, []string{file})...)
	if stdout != "" {
		t.Errorf("on standard output: %q", stdout)
	}
	return strings.ReplaceAll(stderr, file, "FILE"), code
}

// parseFails wants these lines, each of which is an error with its place, and the exit code of a mistake.
func parseFails(t *testing.T, text string, want ...string) {
	t.Helper()
	want = append(want, "Detected fatal configuration error. Exiting.")
	if said, code := parsed(t, text); code != 78 || said != strings.Join(want, "\n")+"\n" {
		t.Errorf("%s\nexit %d\n%swant\n%s", text, code, said, strings.Join(want, "\n"))
	}
}

// aRemote is a remote that nobody connects to.
const aRemote = "remote = { address = 192.0.2.1 port = 22 }"

func testTcprelayParse(t *testing.T) {
	good := tcprelayFile("listen = { port = 2222 }", aRemote)
	if said, code := parsed(t, good); code != 0 || said != "" {
		t.Errorf("a good file: exit %d, %q", code, said)
	}
	for _, c := range []struct{ spawnd, worker, want string }{
		{"", "remote = { foo = 1 }", "FILE:5: Expected 'address', 'port', 'protocol' or 'weight', but got 'foo'"},
		{"", "foo = 1", "FILE:5: 'foo' unexpected"},
		{"", aRemote + "\nretire foo", "FILE:6: Expected 'limit', but got 'foo'"},
		{"background {", aRemote, "FILE:2: Expected '=', but got '{'"},
		{"", aRemote + "\n\nidle timeout = abc", "FILE:7: expected an integer, but got 'abc'"},
		{"", aRemote + "\n\nidle timeout = 5s", "FILE:7: expected an integer, but got '5s'"},
		{"", "remote = { address = 192.0.2.1 port = 70000 }", "FILE:5: Expected an service or port, but got '70000'"},
		{"", "remote = { address = somewhere port = 22 }", "FILE:5: Expected an IP address, but got 'somewhere'"},
		{"", "remote = { address = 192.0.2.1 port = 22\nprotocol = tcp }", "FILE:6: Expected 'SCTP' or 'TCP', but got 'tcp'"},
		{"", aRemote + " tls ca = x", "FILE:5: Expected 'cert-file', 'key-file' or 'passphrase', but got 'ca'"},
		{"spawn { userid = nosuchuser }", aRemote, "FILE:2: UNIX user 'nosuchuser' not found."},
		{"permit 192.0.2.0/24\npermit me", aRemote, "FILE:3: Expected an IP address or network in CIDR notation, but got 'me'."},
		{"listen { [::1]:23 }", aRemote, "FILE:2: Expected 'aaa.protocol', 'address', 'backlog', 'bind', 'dscp', 'flag', 'groupid', 'haproxy', 'mode', 'overload', " +
			"'path', 'port', 'protocol', 'realm', 'sticky', 'tcp', 'tls', 'type', 'userid' or 'vrf', but got '['"},
	} {
		parseFails(t, tcprelayFile(c.spawnd, c.worker), c.want)
	}
	parseFails(t, tcprelayFile("listen = { port = 1\nrealm = sixteencharacter }", aRemote),
		"FILE:3: 'realm' has no effect on a relay (warning)", "FILE:3: Maximum tag length is limited to 15 characters.")
	parseFails(t, "id = spawnd {\n}\n", "FILE:3: FATAL: No configuration for id 'tcprelay' found.")
	parseFails(t, "id = tcprelay {\n"+aRemote+"\n}", "FILE:3: FATAL: No configuration for id 'spawnd' found.")
	parseFails(t, "id = spawnd {\n", "FILE:2: Expected '}', but got ''")

	part := put(t, filepath.Join(t.TempDir(), "part.cfg"), "\n\nidle timeout = long\n")
	parseFails(t, tcprelayFile("", aRemote+"\ninclude = "+part), part+":3: expected an integer, but got 'long'")
	want := "FILE:2: Couldn't open /nowhere/x: No such file or directory (warning)\n"
	if said, code := parsed(t, tcprelayFile("include = /nowhere/x", aRemote)); code != 0 || said != want {
		t.Errorf("without an included file: exit %d, %q", code, said)
	}

	missing := filepath.Join(t.TempDir(), "none")
	_, said, code := output(program(), "tcprelay", "-P", missing)
	if want := "Couldn't open " + missing + ": No such file or directory\nExiting.\n"; code != 66 || said != want {
		t.Errorf("without a file: exit %d, %q", code, said)
	}
	for _, args := range [][]string{{}, {"-P"}, {"-P", "a", "b", "c"}, {"-x", "a"}, {"a", "-p"}} {
		stdout, stderr, code := output(program(), append([]string{"tcprelay"}, args...)...)
		if code != 64 || stdout != "" || !strings.HasSuffix(stderr, "\n"+tcprelayUsage) && stderr != tcprelayUsage {
			t.Errorf("%q: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

const tcprelayUsage = "Usage: tcprelay [-P] [-1] [-v] [-b|-f] [-i child-id] [-I spawnd-id] [-p pidfile] [-d level] [-D] configuration-file [id]\n"

// testTcprelayParseFinds has the mistakes that tcprelay finds when it runs, or never.
func testTcprelayParseFinds(t *testing.T) {
	testkit.Need(t, "openssl")
	ca := newAuthority(t)
	sample := encryptedKey(t, ca, "secret")
	ca.issue("other", "other.example.com")
	tls := func(text string) string { return aRemote + "\n" + text }
	for _, c := range []struct {
		worker string
		want   string // a regular expression
	}{
		{"", `FILE:4: No remote services defined!`},
		{"\nremote = { port = 22 }", `FILE:6: a remote without an address`},
		{aRemote + "\nremote = { address = 192.0.2.1 }", `FILE:6: a remote without a port`},
		{"remote = { address = 192.0.2.1\nport = nosuchservice }", `FILE:6: Expected an service or port, but got 'nosuchservice'`},
		{tls("tls cert-file = /nowhere/x.pem"), `FILE:6: certificate and key /nowhere/x\.pem: open /nowhere/x\.pem: no such file or directory`},
		{tls("tls cert-file = " + ca.path("server.pem")), `FILE:6: certificate and key \S+/server\.pem: .*key.*`},
		{tls("tls cert-file = " + ca.path("server.pem") + " tls key-file = /nowhere/x.key"), `FILE:6: certificate \S+ with key /nowhere/x\.key: .*no such file or directory`},
		{tls("tls cert-file = " + ca.path("server.pem") + " tls key-file = " + ca.path("other.key")), `FILE:6: certificate \S+ with key \S+/other\.key: .*not match.*`},
		{tls("tls cert-file = " + sample), `FILE:6: certificate and key \S+/sample\.pem: .*passphrase.*`},
		{tls("tls cert-file = " + sample + " tls passphrase = wrong"), `FILE:6: certificate and key \S+/sample\.pem: .*passphrase.*`},
	} {
		said, code := parsed(t, tcprelayFile("listen = { port = 2222 }", c.worker))
		if code != 78 || !regexp.MustCompile(`^`+c.want+"\nDetected fatal configuration error. Exiting.\n$").MatchString(said) {
			t.Errorf("%s\nexit %d\n%swant\n%s", c.worker, code, said, c.want)
		}
		if strings.Contains(said, "wrong") {
			t.Errorf("the passphrase is told:\n%s", said)
		}
	}
	parseFails(t, tcprelayFile("listen = { port = 2222\ntls = yes }", aRemote),
		"FILE:3: tls without a certificate: want tls cert-file = FILE in the section of tcprelay")
	parseFails(t, tcprelayFile("listen = { port = nosuchservice }\npermit x", "remote = { port = 22 }"),
		"FILE:2: Expected an service or port, but got 'nosuchservice'",
		"FILE:3: Expected an IP address or network in CIDR notation, but got 'x'.",
		"FILE:6: a remote without an address")
	if said, code := parsed(t, tcprelayFile("", tls("tls cert-file = "+sample+" tls passphrase = secret"))); code != 0 || said != "" {
		t.Errorf("a certificate with its key: exit %d, %s", code, said)
	}
}

// testTcprelayLanguage relays by a file with all that the language has.
func testTcprelayLanguage(t *testing.T) {
	to, dir, door := newRemote(t, echoesAs("remote")), shortDir(t), freePort(t)
	if err := os.Mkdir(filepath.Join(dir, "parts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"parts/1.cfg": "alias limited { users max = 0x1 instances max = 2 }",
		"parts/2.cfg": "alias two { limited } # made of the first\n",
		"parts/3.txt": "this is no configuration",
		"remote.cfg":  tcprelayRemote(to.addr),
	} {
		put(t, filepath.Join(dir, name), text)
	}
	main := put(t, filepath.Join(dir, "main.cfg"), `
setenv WHERE = "`+dir+`/${NAME_OF_TEST}" # of the socket
include = $CONFDIR/parts/*.cfg
include '/nowhere/at all.cfg'
id = other { listen { this is = not for us } "}" }
id = spawnd {
	listen = { path = "${WHERE}/\101 \"b\" ${UNKNOWN}" } # "quotes" in a comment
	listen = {
		address = '`+door+`' backlog = 1k
	}
	spawn { two }
	single process = deny
}
id = tcprelay {
	include $CONFDIR/remote.cfg
	idle timeout = 0xE10
}`)
	cmd := exec.Command(program(), "tcprelay", "-fD", main)
	cmd.Env = append(os.Environ(), "NAME_OF_TEST=.")
	p := testkit.StartCommand(t, cmd)
	p.WaitLine(`Couldn't open /nowhere/at all\.cfg: No such file or directory`)
	p.WaitLine(`msg=ready`)

	inFile, err := net.Dial("unix", filepath.Join(dir, `A "b" ${UNKNOWN}`))
	if err != nil {
		t.Fatal(err)
	}
	defer inFile.Close()
	for _, c := range []net.Conn{inFile, call(t, door)} { // two: that is the limit
		hears(t, c, "remote\n")
	}
	p.WaitLine(`limit of 2 concurrent users reached, queueing new connections`)
	if got := queueOf(t, door); got != "1024" {
		t.Errorf("backlog = 1k is %s", got)
	}
	workerOf(t, p.PID()) // single process = deny
	inFile.Close()
	stopNow(t, p, syscall.SIGTERM)

	for number, want := range map[string]string{"2m": "2097152", "1G": "1073741824", "0x3b9aca01": "1000000001"} {
		parseFails(t, tcprelayFile("", aRemote+" rebalance = "+number+" remote = { address = 192.0.2.1 port = 23 weight = "+number+" }"),
			bounds(number, want)...)
	}
	for word, degraded := range map[string]bool{"yes": true, "permit": true, "true": true, "no": false, "deny": false, "false": false} {
		said, code := parsed(t, tcprelayFile("single process = "+word, aRemote))
		if code != 0 || said != "" {
			t.Errorf("single process = %s: exit %d, %s", word, code, said)
		}
		if word == "deny" || word == "permit" {
			p := startTcprelay(t, tcprelayFile(tcprelayListen(freePort(t))+"single process = "+word, aRemote))
			if strings.Contains(p.Output(), "Running in degraded mode") != degraded {
				t.Errorf("single process = %s:\n%s", word, p.Output())
			}
		}
	}
	parseFails(t, tcprelayFile("single process = maybe", aRemote),
		"FILE:2: Expected 'deny', 'false', 'no', 'permit', 'true' or 'yes', but got 'maybe'")
	parseFails(t, tcprelayFile(`listen { path = "/run/x }`, aRemote), "FILE:2: EOF unexpected")
}

// bounds are what is said of a number, as a weight and in rebalance, where it is too large.
func bounds(number, value string) (all []string) {
	if number != "2m" {
		all = append(all, "FILE:5: expected an integer from 0 to 1000000000, but got '"+value+"'")
	}
	return append([]string{"FILE:5: expected an integer from 1 to 1000000, but got '" + value + "'"}, all...)
}

// queueOf is how many connections a listening socket has room for, until they are accepted.
func queueOf(t *testing.T, addr string) string {
	t.Helper()
	testkit.Need(t, "ss")
	out, err := exec.Command("ss", "-Hltn", "src", addr).Output()
	fields := strings.Fields(string(out)) // LISTEN 0 1024 …
	if err != nil || len(fields) < 3 {
		t.Fatalf("ss: %v, %q", err, out)
	}
	return fields[2]
}

// testTcprelayPlaces has the file at a web server, plain and with TLS, and sections of other names.
func testTcprelayPlaces(t *testing.T) {
	ca, to := newAuthority(t), newRemote(t, echoes)
	one, two, three := freePort(t), freePort(t), freePort(t)
	var file atomic.Value
	file.Store(tcprelayFile(tcprelayListen(one), "include = URL/remote.cfg"))
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		url := "http://" + r.Host
		if r.TLS != nil {
			url = "https://" + r.Host
		}
		switch r.URL.Path {
		case "/t.cfg":
			_, _ = io.WriteString(w, strings.ReplaceAll(file.Load().(string), "URL", url))
		case "/remote.cfg":
			_, _ = io.WriteString(w, tcprelayRemote(to.addr))
		default:
			http.NotFound(w, r)
		}
	})
	plain, secure := httptest.NewServer(serve), ca.server(serve)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)

	for _, url := range []string{plain.URL, secure.URL} {
		command := append(ca.trusted(), program(), "tcprelay", "-fD", url+"/t.cfg")
		p := testkit.Start(t, command[0], command[1:]...)
		p.WaitLine(`msg=ready`)
		talk(t, one)
		stopNow(t, p, syscall.SIGTERM)
	}
	p := startRelayOf(t, "tcprelay", "-fD", plain.URL+"/t.cfg")
	p.WaitLine(`listener up`)
	file.Store(tcprelayFile(tcprelayListen(one)+tcprelayListen(two), "include = URL/remote.cfg"))
	p.Signal(syscall.SIGHUP)
	p.WaitLine(`configuration read again`)
	talk(t, two)
	stopNow(t, p, syscall.SIGTERM)

	for at, want := range map[string]string{
		plain.URL + "/none":         `: The server answers 404 Not Found`,
		"http://" + three + "/":     `: Dial tcp \S+: connect: connection refused`,
		"ipc://12345/100":           `: No way to read ipc:// \(a file, http:// and https:// can be\)`,
		secure.URL + "/t.cfg":       `: Tls: failed to verify certificate: .*`,
		"ftp://" + three + "/t.cfg": `: No way to read ftp:// .*`,
	} {
		_, said, code := output(program(), "tcprelay", "-P", at)
		if code != 66 || !regexp.MustCompile(`^Couldn't open `+regexp.QuoteMeta(at)+want+"\nExiting.\n$").MatchString(said) {
			t.Errorf("%s: exit %d, %q, want %s", at, code, said, want)
		}
	}

	// Sections of other names.
	sections := "id = web {\n" + tcprelayListen(two) + "}\nid = app {\n" + tcprelayRemote(to.addr) + "}\n" +
		"id = web2 {\n" + tcprelayListen(three) + "spawn { id = app } }\n"
	for _, c := range []struct {
		before, behind []string
		door           string
	}{
		{before: []string{"-I", "web", "-i", "app"}, door: two},
		{before: []string{"-iapp"}, behind: []string{"web"}, door: two},
		{before: []string{"-I", "nobody"}, behind: []string{"web2"}, door: three},
	} {
		path := put(t, filepath.Join(t.TempDir(), "t.cfg"), sections)
		p := startRelayOf(t, slices.Concat([]string{"tcprelay", "-fD"}, c.before, []string{path}, c.behind)...)
		p.WaitLine(`msg=ready`)
		talk(t, c.door)
		stopNow(t, p, syscall.SIGTERM)
	}
	for want, args := range map[string][]string{"spawnd": nil, "nobody": {"-I", "nobody"}, "tcprelay": {"-I", "web"}, "no": {"-I", "web", "-i", "no"}} {
		said, code := parsed(t, sections, args...)
		if code != 78 || !strings.HasPrefix(said, "FILE:10: FATAL: No configuration for id '"+want+"' found.\n") {
			t.Errorf("%q: exit %d, %s", args, code, said)
		}
	}
}

// talk wants that what is said to an address is heard again.
func talk(t *testing.T, addr string) {
	t.Helper()
	c := call(t, addr)
	says(t, c, "word")
	hears(t, c, "word")
	c.Close()
}

// testTcprelayIgnored has all that means nothing here: each is warned of once, wherever it stands, when the
// file is checked and when it holds.
func testTcprelayIgnored(t *testing.T) {
	to, door := newRemote(t, echoes), freePort(t)
	text := `
setenv IO_POLL_MECHANISM = 4
proctitle = "x"
coredump directory = /tmp
gcore = /usr/bin/gcore
debug-cmd = x
cleanup interval = 10
mavis module = external { exec = /bin/true { } }
` + tcprelayFile(`
	listen = { address = "`+door+`" realm = one tls psk = yes aaa.protocol = tacacs.tls flag = access overload backlog = 3 }
	listen = { address = "`+freePort(t)+`" realm = two flag = accounting }
	tcp bufsize = 10000
	spawn { exec = /usr/local/libexec/tcprelay working directory = /tmp ipc key = 17 }
	mavis path = /usr/local/lib/mavis`, `
	syslog default = yes syslog filter = 3
	debug redirect = /tmp/x
	mavis module = groups { groups filter = /^x/ }`+tcprelayRemote(to.addr))
	want := []string{
		"IO_POLL_MECHANISM", "'proctitle'", "'coredump', 'gcore' and 'debug-cmd'", "'cleanup interval'", "'mavis' .* out of scope", "'realm'", "'tls psk'",
		"'aaa.protocol'", "'flag'", "'overload backlog'", "'tcp bufsize'", "'exec'", "'working directory'", "'ipc key'", "'syslog default'", "'syslog filter'",
		"'debug redirect'",
	}
	once := func(where, said string) {
		t.Helper()
		for _, about := range want {
			if n := len(regexp.MustCompile(about).FindAllString(said, -1)); n != 1 {
				t.Errorf("%s: %s is told of %d times:\n%s", where, about, n, said)
			}
		}
	}
	said, code := parsed(t, text)
	if code != 0 || strings.Count(said, "\n") != len(want) {
		t.Errorf("exit %d, %d lines, want %d:\n%s", code, strings.Count(said, "\n"), len(want), said)
	}
	once("-P", said)
	p := startTcprelay(t, text)
	talk(t, door)
	stopNow(t, p, syscall.SIGTERM)
	once("when it runs", p.Output())

	// Of the variable in the environment it tells as well.
	cmd := exec.Command(program(), "tcprelay", "-fD", put(t, filepath.Join(t.TempDir(), "t.cfg"), tcprelayFile(tcprelayListen(freePort(t)), aRemote)))
	cmd.Env = append(os.Environ(), "IO_POLL_MECHANISM=16")
	p = testkit.StartCommand(t, cmd)
	p.WaitLine(`msg=ready`)
	stopNow(t, p, syscall.SIGTERM)
	if n := strings.Count(p.Output(), "IO_POLL_MECHANISM"); n != 1 {
		t.Errorf("IO_POLL_MECHANISM is told of %d times:\n%s", n, p.Output())
	}
}
