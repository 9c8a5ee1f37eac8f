//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// headOf asks with curl for the head of an answer; its lines are in it, the first one too.
func headOf(t *testing.T, args ...string) (code int, lines []string) {
	t.Helper()
	code, text := curl(t, append([]string{"-I"}, args...)...)
	head, rest, _ := strings.Cut(text, "\r\n\r\n")
	if rest != "" {
		t.Errorf("HEAD was answered with a body: %q", rest)
	}
	return code, strings.Split(head, "\r\n")
}

// withoutDate is lines of a head that do not depend on the time, sorted.
func withoutDate(lines []string) (all []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, "Date: ") {
			all = append(all, l)
		}
	}
	slices.Sort(all)
	return all
}

// testHeadAnswers: a HEAD is answered as a GET would be, and no engine hears of it.
func testHeadAnswers(t *testing.T) {
	live, dead := newGroup(), newGroup()
	h := newHelper(t, obedient)
	p := run(t, settings{config: h.config("helpers: 1") + "no_data: 1h\nunavailable: 1h\nlimits: {per_address: 1}\n" +
		"channels: {news: {source: 'udp://" + live + "', content_type: video/x-own}, dead: {source: 'udp://" + dead + "', no_data: 300ms}}\n"})
	engine := p.status().Engines[0].PID
	wants := func(code int, args ...string) (lines []string) {
		t.Helper()
		got, lines := headOf(t, args...)
		if got != code {
			t.Errorf("HEAD %s: %d, want %d", strings.Join(args, " "), got, code)
		}
		return lines
	}

	if err := syscall.Kill(engine, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(engine, syscall.SIGCONT) }() // gone is fine
	head := wants(200, p.url("/$news?yes"))
	wants(200, p.url("/udp/"+live+"?yes"))
	wants(200, p.url("/src/udp://"+live+"?yes/dst/"))
	wants(403, p.url("/$news?no"))
	wants(404, p.url("/$nosuch?yes"))
	wants(400, p.url("/udp/nonsense?yes"))
	wants(403, p.url("/udp/10.0.0.9:5000?yes"))
	if err := syscall.Kill(engine, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if st := p.status(); st.Totals.Channels != 0 || members(t, live) != 0 {
		t.Errorf("%d channels, %d memberships after HEAD", st.Totals.Channels, members(t, live))
	}

	sendNumbers(t, live, "1M")
	k, err := connect(p, "/$news?yes", "127.0.0.2", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.conn.Close()
	var got []string
	for line := ""; len(got) == 0 || line != ""; {
		if line, err = k.stream.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if line = strings.TrimSpace(line); line != "" {
			got = append(got, line)
		}
	}
	if want := withoutDate(got); !slices.Equal(withoutDate(head), want) {
		t.Errorf("the head of HEAD is\n%q\nthat of GET\n%q", withoutDate(head), want)
	}
	wants(503, "--interface", "127.0.0.2", p.url("/udp/"+live+"?yes")) // above the limit, as a GET would be

	elsewhere := []string{"--interface", "127.0.0.3", p.url("/$dead?yes")} // where no limit is met
	wants(200, elsewhere...)                                               // nobody has tried it
	p.wants(504, "/$dead?yes")
	wants(503, elsewhere...)
	wants(200, p.url("/$news?yes"))
	sendNumbers(t, dead, "1M")
	testkit.Eventually(t, func() error {
		if got := p.answers("/$dead?yes"); got != 200 {
			return fmt.Errorf("GET of a channel that has come back: %d", got)
		}
		return nil
	})
	wants(200, elsewhere...) // the last attempt did not fail

	t.Run("it was long ago", func(t *testing.T) {
		p := run(t, settings{config: "no_data: 300ms\nunavailable: 300ms\n"})
		path := "/udp/" + newGroup()
		p.wants(504, path)
		testkit.Eventually(t, func() error {
			if code, _ := headOf(t, p.url(path)); code != 200 {
				return fmt.Errorf("HEAD: %d", code)
			}
			return nil
		})
	})
}

// testHeadUnavailable: where clients of an unavailable channel are sent elsewhere, a HEAD is
// too; else it is told that the channel is unavailable.
func testHeadUnavailable(t *testing.T) {
	one, two := newGroup(), newGroup()
	p := run(t, settings{config: "no_data: 300ms\nunavailable: 1h\nchannels:\n" +
		"  one: {source: 'udp://" + one + "', redirect: 'http://elsewhere.example/x/'}\n" +
		"  two: {source: 'udp://" + two + "'}\n"})
	for path, code := range map[string]int{"/$one": 302, "/$two": 504} {
		if code, _ := headOf(t, p.url(path)); code != 200 {
			t.Errorf("HEAD %s before anybody has tried: %d, want 200", path, code)
		}
		p.wants(code, path)
	}
	code, lines := headOf(t, p.url("/$one"))
	if code != 302 || !slices.Contains(lines, "Location: http://elsewhere.example/x/$one") {
		t.Errorf("HEAD with a redirection: %d %q, want 302 and where to", code, lines)
	}
	code, lines = headOf(t, p.url("/$two"))
	if code != 503 || !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Retry-After: ") }) {
		t.Errorf("HEAD without one: %d %q, want 503 and a time", code, lines)
	}
	if n := members(t, one) + members(t, two); n != 0 {
		t.Errorf("%d memberships for a HEAD", n)
	}
}

// testStreamHeader: a stream has the type that is set, and no length.
func testStreamHeader(t *testing.T) {
	group := source(t)
	for _, c := range []struct{ config, path, want string }{
		{"", "/udp/" + group, "video/mp2t"},
		{"content_type: application/octet-stream\n", "/udp/" + group, "application/octet-stream"},
		{"content_type: application/octet-stream\nchannels: {own: {source: 'udp://" + group + "', content_type: video/x-own}}\n", "/$own", "video/x-own"},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			p := run(t, settings{config: c.config})
			head, _, _ := strings.Cut(string(fetched(t, 1000, "curl", "-sS", "-i", p.url(c.path))), "\r\n\r\n")
			lines := strings.Split(head, "\r\n")
			if lines[0] != "HTTP/1.1 200 OK" || !slices.Contains(lines, "Content-Type: "+c.want) {
				t.Errorf("head %q, want 200 and %s", lines, c.want)
			}
			for _, l := range lines {
				if name, _, _ := strings.Cut(strings.ToLower(l), ":"); name == "content-length" || name == "transfer-encoding" {
					t.Errorf("a stream was announced with %q", l)
				}
			}
		})
	}
}

// testVersionsOfHTTP: 1.1 is answered with 1.1 and the word that the connection ends with the
// stream, 1.0 with 1.0, and errors in kind.
func testVersionsOfHTTP(t *testing.T) {
	testkit.Need(t, "curl", "busybox")
	group := source(t)
	p := run(t, settings{config: "channels: {silent: {source: 'udp://" + newGroup() + "', no_data: 300ms}}\n"}) // the other one may take its time
	stream, silent := p.url("/udp/"+group), p.url("/$silent")
	for _, c := range []struct{ option, version string }{{"--http1.1", "HTTP/1.1"}, {"--http1.0", "HTTP/1.0"}} {
		head, _, _ := strings.Cut(string(fetched(t, 1000, "curl", "-sS", c.option, "-i", stream)), "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		if lines[0] != c.version+" 200 OK" || !slices.Contains(lines, "Connection: close") {
			t.Errorf("curl %s: %q, want %s 200 and Connection: close", c.option, lines, c.version)
		}
		if _, text := curl(t, c.option, "-i", silent); !strings.HasPrefix(text, c.version+" 504 ") {
			t.Errorf("curl %s: %q, want %s 504", c.option, text, c.version)
		}
		if _, text := curl(t, c.option, "-i", p.url("/nothing")); !strings.HasPrefix(text, c.version+" 404 ") {
			t.Errorf("curl %s: %q, want %s 404", c.option, text, c.version)
		}
		if _, lines := headOf(t, c.option, stream); lines[0] != c.version+" 200 OK" {
			t.Errorf("curl %s -I: %q, want %s 200", c.option, lines, c.version)
		}
	}
	consecutive(t, fetched(t, groupBytes, "busybox", "wget", "-q", "-O", "-", stream))
	out, err := exec.CommandContext(t.Context(), "busybox", "wget", "-O", "-", silent).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "504 Gateway Timeout") {
		t.Errorf("busybox wget of a silent group: %v, %q", err, out)
	}
}

// testStatusForUdpxy: who polls udpxy's status finds one if it is switched on; nothing else of
// the admin port is there.
func testStatusForUdpxy(t *testing.T) {
	group := source(t)
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			t.Parallel()
			p := run(t, settings{config: fmt.Sprintf("udpxy: %v\n", on)})
			take(p, "/udp/"+group, anyAddress)
			take(p, "/udp/"+group, anyAddress)
			for _, path := range []string{"/status", "/status/", "/status?x=y"} {
				code, text := curl(t, p.url(path))
				if !on {
					if code != 404 {
						t.Errorf("%s: %d, want 404", path, code)
					}
					continue
				}
				if code != 200 || !strings.Contains(text, "Active clients: 2") || !strings.Contains(text, "UDP://"+group) {
					t.Errorf("%s: %d %q, want the number of clients and what they watch", path, code, text)
				}
				if strings.Contains(text, "127.0.0.1:") {
					t.Errorf("%s tells who the clients are: %q", path, text)
				}
			}
			for _, path := range []string{"/ping", "/report", "/drop?channel=UDP://" + group, "/reset", "/status/x", "/restart"} {
				if code, text := curl(t, p.url(path)); code != 404 {
					t.Errorf("%s at the user port: %d %q, want 404", path, code, text)
				}
			}
			if n := p.status().Totals.Clients; n != 2 {
				t.Errorf("%d clients, want the two", n)
			}
		})
	}
}

// testLongAndGarbage: a URL of 8 kB is a request, and what is none is answered, too.
func testLongAndGarbage(t *testing.T) {
	group := source(t)
	p := run(t, settings{config: "sources: [127.0.0.0/8, 239.0.0.0/8]\n" +
		"channels: {web: {source: 'http://127.0.0.1:9/" + strings.Repeat("w", 3000) + "'}}\n"})
	long := strings.Repeat("a", 8<<10)
	for _, c := range []struct {
		path string
		code int
	}{
		{"/udp/" + group + "?x=" + long, 200},
		{"/src/udp://" + group + "/dst/?x=" + long, 200},
		{"/udp/" + long, 400},
		{"/" + long, 404},
		{"/$" + long, 400},
		{"/$web?key=" + long, 414},
		{"/src/http://127.0.0.1:9/" + long + "/dst/", 400},
		{"/udp/" + group + strings.Repeat("/", 8<<10), 404},
		{"/udp/" + strings.Repeat("%41", 3000), 400},
	} {
		if got := p.answers(c.path); got != c.code {
			t.Errorf("GET %.30s… of %d bytes: %d, want %d", c.path, len(c.path), got, c.code)
		}
	}
	for _, garbage := range []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", // a client that speaks TLS
		"\x00\x00\x00\x00\r\n\r\n",
		"GET\r\n\r\n",
		"GET /udp/" + group + "\r\n\r\n",
		"GET / HTTP/x\r\n\r\n",
		"hello world how are you\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n", // without Host
		"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /udp/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		if got := exchange(t, p.user, garbage); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%q: answer %.80q, want 400", garbage, got)
		}
	}
	if a := request(t, http.MethodGet, p.adminURL("/ping")); a.code != 200 {
		t.Errorf("/ping after all that: %d", a.code)
	}
	take(p, "/udp/"+group, anyAddress)
}
