//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/internal/testkit"
)

// testNoHelperUnasked: what is not configured is not started; what a reload configures is.
func testNoHelperUnasked(t *testing.T) {
	p := run(t, settings{config: "auth: {helpers: 2, listener_alias: true}\n"})
	group := source(t)
	p.wants(200, "/udp/"+group)
	gws := p.status().PID
	if got := childrenOf(t, gws); len(got) != 0 {
		t.Errorf("gws has children %v, want none", got)
	}
	h := newHelper(t, obedient)
	p.reload(h.config("helpers: 2"))
	testkit.Eventually(t, func() error {
		if got := childrenOf(t, gws); len(got) != 2 {
			return fmt.Errorf("gws has children %v, want two helpers", got)
		}
		return nil
	})
	p.wants(403, "/udp/"+group)
	p.wants(200, "/udp/"+group+"?yes")
}

// testQuestion: every letter of a token arrives as it was sent, and each question has a
// number of its own. That it begins with 1 again after 2147483647 is held in internal/auth.
func testQuestion(t *testing.T) {
	group := source(t)
	h := newHelper(t, obedient)
	p := run(t, settings{config: h.config("helpers: 1") + "channels: {news: {source: 'udp://" + group + "'}}\n"})
	last := 0
	for i, c := range []struct{ path, source string }{
		{"/udp/" + group + "?yes&auth=ef031204ba0c", "udp://" + group + "?yes&auth=ef031204ba0c"},
		{"/udp/" + group + "?yes&auth='$(id)`%20*;|<>~!+%2B%0A&x=\"\\", "udp://" + group + "?yes&auth='$(id)`%20*;|<>~!+%2B%0A&x=\"\\"},
		{"/rtp/" + group + "/?yes=" + strings.Repeat("a", 4000), "rtp://" + group + "?yes=" + strings.Repeat("a", 4000)},
		{"/$news?key=BF09&yes", "$news?key=BF09&yes"},
		{"/src/udp://" + group + "?yes&auth=in/dst/", "udp://" + group + "?yes&auth=in"},
	} {
		k, err := knock(p, c.path, anyAddress)
		if err != nil {
			t.Fatalf("GET %s: %v", c.path, err)
		}
		k.conn.Close()
		got := h.asked(i + 1)[i]
		var number int
		if _, err := fmt.Sscanf(got, "A%d ", &number); err != nil || number <= last {
			t.Errorf("question %q after number %d (%v): want a greater one", got, last, err)
		}
		last = number
		if want := fmt.Sprintf("A%d %s %s -", number, k.addr, c.source); got != want {
			t.Errorf("asked %q\n want %q", got, want)
		}
	}
}

// testQuestionOfDestination: the URL that the stream goes to is the third field.
func testQuestionOfDestination(t *testing.T) {
	group := source(t)
	h := newHelper(t, obedient)
	tcp, web := sink(t), webSink(t)
	p := run(t, settings{config: h.config("helpers: 1") + "targets: [127.0.0.0/8]\n"})
	for i, c := range []struct{ target, want string }{
		{"", "-"},
		{"tcp://" + tcp, ""},
		{"http://" + web + "/in?mm=ff", ""},
		{"udp://127.0.0.1:9", ""},
	} {
		p.wants(200, "/src/udp://"+group+"?yes/dst/"+c.target)
		fields := strings.Split(h.asked(i + 1)[i], " ")
		if want := c.want + c.target; len(fields) != 4 || fields[3] != want {
			t.Errorf("to %q: asked %q, want destination %q", c.target, fields, want)
		}
	}
	p.wants(403, "/src/udp://"+group+"?no/dst/tcp://"+tcp)
}

// sink is the address of somebody who takes what is sent to him, until the sender ends it:
// ask for it before the product is run.
func sink(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var takers sync.WaitGroup
	takers.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			takers.Go(func() {
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			})
		}
	})
	t.Cleanup(func() { l.Close(); takers.Wait() })
	return l.Addr().String()
}

// webSink is a sink that takes what is sent to it by PUT.
func webSink(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// testQuestionOfListener: the alias is a fifth field, if it is asked for.
func testQuestionOfListener(t *testing.T) {
	group := source(t)
	h := newHelper(t, obedient)
	p := runAs(t, "bb1", settings{config: h.config("helpers: 1, listener_alias: true")})
	p.wants(200, "/udp/"+group+"?yes")
	if got := strings.Split(h.asked(1)[0], " "); len(got) != 5 || got[3] != "-" || got[4] != "bb1" {
		t.Errorf("asked %q, want the alias as a fifth field", got)
	}
	p.reload(h.config("helpers: 1"))
	p.wants(200, "/udp/"+group+"?yes")
	if got := strings.Split(h.asked(2)[1], " "); len(got) != 4 {
		t.Errorf("asked %q, want four fields", got)
	}
}

// testAnswers: the helpers that come with the program, and what their answers mean.
func testAnswers(t *testing.T) {
	testkit.Need(t, "python3", "curl")
	group := source(t)
	tokens := write(t, "tokens", []byte("bob sesame\n"))
	for _, name := range []string{"helper.sh", "helper.py"} {
		t.Run(name, func(t *testing.T) {
			path, err := filepath.Abs(filepath.Join("..", "dist", "auth", name))
			if err != nil {
				t.Fatal(err)
			}
			p := run(t, settings{config: fmt.Sprintf("auth: {helper: [%s, %s], helpers: 1}\n", path, tokens)})
			readByPipe(t, numbered, p.url("/udp/"+group+"?auth=sesame"), "curl -sS")
			p.wants(403, "/udp/"+group)
			got := exchange(t, p.user, "GET /udp/"+group+"?auth=mellon HTTP/1.1\r\nHost: x\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 403 Forbidden\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") {
				t.Errorf("answer %q, want 403 and a connection that closes", got)
			}
		})
	}
	t.Run("numbers", func(t *testing.T) {
		h := newHelper(t, `while read -r id peer source rest; do echo "$id ${source##*=}"; done`)
		p := run(t, settings{config: h.config("helpers: 1")})
		for answer, code := range map[string]int{"0": 200, "1": 403, "210045": 403, "2147483647": 403} {
			p.wants(code, "/udp/"+group+"?answer="+answer)
		}
	})
}

// testAnswerOfAnother: what is not the answer to this question releases nobody.
func testAnswerOfAnother(t *testing.T) {
	group := source(t)
	for wrong, result := range map[string]string{`A999 0\n`: "1", `0\n`: "0", `A0 0\n\nyes\n`: "0", `%s\n0\n`: "1"} {
		t.Run(wrong, func(t *testing.T) {
			h := newHelper(t, `
while read -r id rest; do
	printf '`+strings.ReplaceAll(wrong, "%s", `'"$id"'`)+`'
	read -r result <"$1/$id"
	echo "$id $result"
done`)
			h.gates(1)
			p := run(t, settings{config: h.config("helpers: 1, timeout: 60s")})
			waiting := ask(t, p.url("/udp/"+group))
			p.proc.WaitLine(`helper wrote no answer to what it was asked`)
			waiting.unanswered()
			h.open(1, result)
			<-waiting.done
			if allowed := waiting.err == nil; allowed != (result == "0") {
				t.Errorf("the answer %s: %v", result, waiting.err)
			}
		})
	}
}

// testLineEnds: LF or CR LF to the helper, as it is set; from it both are read.
func testLineEnds(t *testing.T) {
	group := source(t)
	h := newHelper(t, `
while IFS= read -r line; do
	printf '%s\n' "$line" >>"$1/asked"
	case $line in
	*crlf*) printf '%s 0\r\n' "${line%% *}" ;;
	*) printf '%s 0\n' "${line%% *}" ;;
	esac
done`)
	p := run(t, settings{config: h.config("helpers: 1")})
	n := 0
	for _, c := range []struct{ config, end string }{{"", "-"}, {"line_end: crlf", "-\r"}, {"line_end: lf", "-"}} {
		if c.config != "" {
			p.reload(h.config("helpers: 1, " + c.config))
		}
		for _, query := range []string{"lf", "crlf"} {
			p.wants(200, "/udp/"+group+"?"+query)
			if got := h.asked(n + 1)[n]; !strings.HasSuffix(got, " "+c.end) {
				t.Errorf("%q: asked %q, want the end %q", c.config, got, c.end)
			}
			n++
		}
	}
}

// testSlowHelper: one that does not answer is killed with its children.
func testSlowHelper(t *testing.T) {
	h := newHelper(t, `
sleep 600 &
echo "$$ $!" >>"$1/pids"
trap '' TERM
while read -r line; do :; done`)
	log, access := accessLog(t)
	p := run(t, settings{config: access + h.config("helpers: 1, timeout: 300ms")})
	pids := h.await("pids", 1)[0]
	p.wants(504, "/udp/239.1.1.1:5000?auth=secret")
	p.proc.WaitLine(`level=WARN.*authorization helper is slow, it is killed`)
	for _, pid := range strings.Fields(pids) {
		gone(t, pid)
	}
	h.await("pids", 2) // another one
	if e := awaitEntry(t, log, "event", "client_deny", "status", "504"); !strings.Contains(e["reason"], "in time") {
		t.Errorf("the access log has the reason %q", e["reason"])
	}
}

// gone waits until a process has ended.
func gone(t *testing.T, pid string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		var n int
		if _, err := fmt.Sscan(pid, &n); err != nil {
			t.Fatal(err)
		}
		if alive(n) {
			return fmt.Errorf("process %s lives", pid)
		}
		return nil
	})
}

// testDeadHelper: a helper that dies, at work or not, is followed by another one; those
// that die at once are, ever later.
func testDeadHelper(t *testing.T) {
	group := source(t)
	h := newHelper(t, `
echo $$ >>"$1/pids"
if mkdir "$1/first" 2>/dev/null; then read -r line; exit 3; fi`+obedient)
	p := run(t, settings{config: h.config("helpers: 1")})
	p.wants(200, "/udp/"+group+"?yes")
	p.proc.WaitLine(`authorization helper ended, starting another one.*exit status 3`)
	second := h.await("pids", 2)[1]
	var pid int
	if _, err := fmt.Sscan(second, &pid); err != nil {
		t.Fatal(err)
	}
	kill(t, pid)
	h.await("pids", 3)
	p.wants(200, "/udp/"+group+"?yes")

	dying := newHelper(t, `read -r up rest </proc/uptime; echo "$up" >>"$1/starts"; exit 1`)
	q := run(t, settings{config: dying.config("helpers: 1, timeout: 300ms")})
	starts := dying.await("starts", 6)
	q.wants(504, "/udp/"+group)
	before := uptime(t, starts[1])
	for i, least := range []float64{0.1, 0.2, 0.4, 0.8} {
		now := uptime(t, starts[i+2])
		if now-before < least-0.01 { // as exact as uptime is
			t.Errorf("start %d came %.2f s after the one before, want %.1f s at least", i+2, now-before, least)
		}
		before = now
	}
}

func uptime(t *testing.T, text string) (seconds float64) {
	t.Helper()
	if _, err := fmt.Sscan(text, &seconds); err != nil {
		t.Fatal(err)
	}
	return seconds
}

// testHelpersInParallel: two helpers have a question each; who asks then is asked about by
// the one that is vacant first, in his turn.
func testHelpersInParallel(t *testing.T) {
	group := source(t)
	h := newHelper(t, gated)
	h.gates(6)
	p := run(t, settings{config: h.config("helpers: 2, timeout: 60s")})
	var waiting []*asked
	next := func(known int) {
		waiting = append(waiting, ask(t, p.url(fmt.Sprintf("/udp/%s?n=%d", group, len(waiting)))))
		h.await("asked", known)
	}
	next(1)
	next(2)
	first := h.asked(2)
	by := func(line string) string { return strings.Fields(line)[1] }
	if by(first[0]) == by(first[1]) {
		t.Fatalf("one helper was asked both: %q", first)
	}
	for range 4 { // no helper is vacant
		next(2)
	}
	for _, w := range waiting {
		w.unanswered()
	}
	h.asked(2)
	for n := 2; n <= 5; n++ { // question 1 waits all the while
		h.open(n, "0")
		got := h.asked(n + 1)[n]
		if by(got) != by(first[1]) {
			t.Errorf("question %q was asked of a helper that is busy", got)
		}
	}
	waiting[0].unanswered()
	h.open(1, "0")
	h.open(6, "0")
	for _, w := range waiting {
		w.answered()
	}
}

// testDenialIsRemembered: who was denied is not asked about again, whatever his port.
func testDenialIsRemembered(t *testing.T) {
	group := source(t)
	log, access := accessLog(t)
	h := newHelper(t, obedient)
	p := run(t, settings{config: access + h.config("helpers: 1")})
	path := "/udp/" + group + "?auth=bad"
	for range 3 {
		p.wants(403, path)
	}
	h.asked(1)
	awaitEntry(t, log, "event", "client_deny", "status", "403", "reason", "denied by a helper")
	awaitEntry(t, log, "event", "client_deny", "status", "403", "reason", "denied by a helper (remembered)")
	p.wants(403, path+"x") // another question
	h.asked(2)
	for range 2 { // access is not remembered
		p.wants(200, "/udp/"+group+"?yes")
	}
	h.asked(4)
	k, err := knock(p, path, "127.0.0.2") // another address
	if err == nil {
		k.conn.Close()
		t.Error("127.0.0.2 was let in")
	}
	h.asked(5)

	p.reload(access + h.config("helpers: 1, denied_for: 0s"))
	for range 2 {
		p.wants(403, path)
	}
	h.asked(7)
}

// testDenialsAreBounded: the oldest is forgotten for a new one, and all of them at HUP.
func testDenialsAreBounded(t *testing.T) {
	h := newHelper(t, obedient)
	config := h.config("helpers: 1, denied_entries: 2")
	p := run(t, settings{config: config})
	deny := func(queries ...string) {
		t.Helper()
		for _, q := range queries {
			p.wants(403, "/udp/239.1.1.1:5000?"+q)
		}
	}
	deny("a", "b", "c", "c", "b")
	h.asked(3)
	deny("a") // had to go for c
	h.asked(4)
	deny("c", "a") // b had to go for a
	h.asked(4)
	p.reload(config)
	deny("a")
	h.asked(5)
}

// testNothingReachesHelpers: a line is always one question, whatever stands in a request.
func testNothingReachesHelpers(t *testing.T) {
	group := source(t)
	h := newHelper(t, obedient)
	p := run(t, settings{config: h.config("helpers: 1, denied_for: 0s") + "targets: [127.0.0.0/8]\n"})
	for _, c := range []struct {
		target string
		code   string // of the answer
	}{
		{"/udp/" + group + "?auth=a b", "400"},
		{"/udp/" + group + "?auth=a\tb", "400"},
		{"/udp/" + group + "?auth=a\rA2 0", "400"},
		{"/udp/" + group + "?auth=a\nA2 0", "400"},
		{"/udp/" + group + "?auth=a\x00b", "400"},
		{"/udp/" + group + "?auth=a\x7fb", "400"},
		{"/udp/" + group + "?auth=ü\x80", "403"},
		{"/udp/" + group + "?auth=%0aA2%200", "403"},
		{"/udp/" + group + "%20?x", "400"},
		{"/udp/" + group + "%0a?x", "400"},
		{"/src/udp://" + group + "?a%0ab/dst/tcp://127.0.0.1:9?x=%20y", "403"},
		{"/src/udp://" + group + "%3Fa%0Ab%20c/dst/", "403"},
		{"/src/http://127.0.0.1:9/a%20b%0d%0a?c/dst/", "403"},
		{"/$n%C3%A4chste%20?auth=x", "400"},
	} {
		got := exchange(t, p.user, "GET "+c.target+" HTTP/1.0\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.0 "+c.code) && !strings.HasPrefix(got, "HTTP/1.1 "+c.code) {
			t.Errorf("%q: %.60q, want %s", c.target, got, c.code)
		}
	}
	p.wants(200, "/udp/"+group+"?yes")
	question := regexp.MustCompile(`^A\d+ 127\.0\.0\.1:\d+ [!-~]+ [!-~]+$`)
	all := h.lines("asked")
	if i := slices.IndexFunc(all, func(l string) bool { return !question.MatchString(l) }); i >= 0 {
		t.Errorf("not a question: %q", all[i])
	}
	if !strings.HasSuffix(all[len(all)-1], "udp://"+group+"?yes -") {
		t.Errorf("the last question is %q", all[len(all)-1])
	}
}

// testB2P: a protocol that nobody knows is refused where it is written.
func testB2P(t *testing.T) {
	config := write(t, "sluice.yaml", []byte("auth:\n  helper: [cat]\n  protocol: b2p\n"))
	for _, command := range []string{"run", "check", "gws"} {
		args := []string{command, "-C", config}
		if command == "gws" {
			args = append(args, "-T")
		}
		_, msg, code := output(program(), args...)
		if code != 1 || !strings.Contains(msg, "sluice.yaml:3:13") || !strings.Contains(msg, "b2p") {
			t.Errorf("sluice %s: exit %d, %q; want exit 1, the place and b2p", command, code, msg)
		}
	}
}
