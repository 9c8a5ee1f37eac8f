package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// The lines of the acceptance list that are about helpers. What they say of HTTP is
// proved where HTTP is spoken.
const (
	ok      = 0
	denied  = http.StatusForbidden
	timeout = http.StatusGatewayTimeout
)

// short is the time-out of requests that will not be answered.
const short = 100 * time.Millisecond

func TestAcceptance(t *testing.T) {
	t.Run("76: without authorization no helper is started", func(t *testing.T) {
		g := guard(t, Config{Helpers: 4, ListenerAlias: true})
		g.want(ok, question("udp://239.1.1.1:5000"))
		g.stop()
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
			t.Errorf("child %d, %v: want no children at all", pid, err)
		}
	})
	t.Run("77: the request line, its token untouched and its number growing", testRequestLine)
	t.Run("77: the number begins with 1 again after 2147483647", testNumberWraps)
	t.Run("78: the destination, and a hyphen for the connection of the request", func(t *testing.T) {
		dir := t.TempDir()
		g := guard(t, Config{Helper: sh(dir, obedient), Helpers: 1})
		q := question("udp://239.1.1.1:5000?yes")
		g.want(ok, q)
		q.Destination = "tcp://10.0.0.1:7000?mm=ff"
		g.want(ok, q)
		same(t, read(dir, "asked"), "A1 192.0.2.7:50905 udp://239.1.1.1:5000?yes -\n"+
			"A2 192.0.2.7:50905 udp://239.1.1.1:5000?yes tcp://10.0.0.1:7000?mm=ff\n")
	})
	t.Run("79: the alias of the listener is the fifth field if it is asked for", func(t *testing.T) {
		dir := t.TempDir()
		g := guard(t, Config{Helper: sh(dir, obedient), Helpers: 1, ListenerAlias: true})
		q := question("$news?yes")
		q.Listener = "bb1"
		g.want(ok, q)
		q.Listener = ""
		g.want(ok, q)
		same(t, read(dir, "asked"), "A1 192.0.2.7:50905 $news?yes - bb1\nA2 192.0.2.7:50905 $news?yes - -\n")
		dir = t.TempDir()
		q.Listener = "bb1"
		guard(t, Config{Helper: sh(dir, obedient), Helpers: 1}).want(ok, q)
		same(t, read(dir, "asked"), "A1 192.0.2.7:50905 $news?yes -\n")
	})
	t.Run("80: 0 is access, any other number a denial", func(t *testing.T) {
		for result, code := range map[string]int{"0": ok, "1": denied, "210045": denied, "2147483647": denied} {
			g := guard(t, Config{Helper: sh("", `while read -r id rest; do echo "$id `+result+`"; done`), Helpers: 1})
			g.want(code, question("udp://239.1.1.1:5000"))
		}
	})
	t.Run("81: the id of another request releases none", testWrongAnswers)
	t.Run("82: lines end with LF, or with CR LF; either is read", testLineEnds)
	t.Run("83: a helper that does not answer in time is killed", testSilentHelper)
	t.Run("84: a dead helper is replaced, and its request given to another one", testReplaced)
	t.Run("84: helpers that die at once are started ever more slowly", testRespawn)
	t.Run("85: as many requests as helpers at once, the next waits", testParallel)
	t.Run("85: those that wait are served in their order", testOrder)
	t.Run("86: a denial is remembered", testRemembered)
	t.Run("87: what is remembered is bounded, and gone after a reload", testBounded)
	t.Run("88: no field has a control character, a space or a byte beyond ASCII", testBadFields)
	t.Run("89: B2P is refused", func(t *testing.T) {
		if err := CheckProtocol("a1p"); err != nil {
			t.Error(err)
		}
		if err := CheckProtocol("b2p"); err == nil || !strings.Contains(err.Error(), "specified nowhere") {
			t.Errorf("b2p: %v", err)
		}
		if err := CheckProtocol("c3p"); err == nil || !strings.Contains(err.Error(), `"c3p"`) {
			t.Errorf("c3p: %v", err)
		}
	})
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func testRequestLine(t *testing.T) {
	dir := t.TempDir()
	g := guard(t, Config{Helper: sh(dir, obedient), Helpers: 1})
	q := question("udp://224.0.2.12:5011?auth=ef031204ba0c&yes='$(id)`\\%20*")
	q.Peer = netip.MustParseAddrPort("104.12.33.67:12301")
	g.want(ok, q)
	for _, peer := range []string{"[2001:db8::7]:50905", "[::ffff:192.0.2.9]:1", "[fe80::1%eth0]:2"} {
		q := question("udp://239.1.1.1:5000?yes")
		q.Peer = netip.MustParseAddrPort(peer)
		g.want(ok, q)
	}
	nobody := question("udp://239.1.1.1:5000?yes")
	nobody.Peer = netip.AddrPort{}
	g.want(ok, nobody)
	same(t, read(dir, "asked"), "A1 104.12.33.67:12301 udp://224.0.2.12:5011?auth=ef031204ba0c&yes='$(id)`\\%20* -\n"+
		"A2 [2001:db8::7]:50905 udp://239.1.1.1:5000?yes -\n"+
		"A3 192.0.2.9:1 udp://239.1.1.1:5000?yes -\n"+
		"A4 [fe80::1]:2 udp://239.1.1.1:5000?yes -\n"+
		"A5 - udp://239.1.1.1:5000?yes -\n")
}

func testNumberWraps(t *testing.T) {
	dir := t.TempDir()
	g := guard(t, Config{Helper: sh(dir, obedient), Helpers: 1})
	g.helpers.count.Store(maxNumber - 1)
	g.want(ok, question("yes1"))
	g.want(ok, question("yes2"))
	same(t, read(dir, "asked"), "A2147483647 192.0.2.7:50905 yes1 -\nA1 192.0.2.7:50905 yes2 -\n")
}

// testWrongAnswers: after none of these is the request released, and a right answer
// behind them does it if the helper may go on.
func testWrongAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answers string // format of printf; %s is the id
		log     string
		goesOn  bool
	}{
		"another id":        {`A999 0\n`, "wrote no answer", true},
		"no id":             {`0\n`, "wrote no answer", true},
		"garbage":           {`yes, of course\n`, "wrote no answer", true},
		"over several":      {`%s\n0\n`, "wrote no answer", true},
		"nothing":           {`\n`, "wrote no answer", true},
		"no end of line":    {`%s 0`, "is slow", false},
		"too large":         {`%s 2147483648\n`, "wrote no answer", true},
		"negative":          {`%s -0\n`, "wrote no answer", true},
		"several answers":   {`%s 0\nA2 0\nA3 0\n`, errUnasked.Error(), false},
		"more than a line":  {`%s 0\n.`, errUnasked.Error(), false},
		"a line of no end":  {`%0300d\n`, errTooLong.Error(), false},
		"another's id, too": {`B1 0\n%s 0 0\n`, "wrote no answer", true},
	} {
		t.Run(name, func(t *testing.T) {
			format := strings.ReplaceAll(c.answers, "%s", "'$id'")
			script := `read -r id rest; printf '` + format + `'; read -r never`
			g := guard(t, Config{Helper: sh("", script), Helpers: 1, Timeout: short})
			g.refuses(question("udp://239.1.1.1:5000?auth=secret"), c.log)
			if !c.goesOn {
				return
			}
			script = `while read -r id rest; do printf '` + format + `'; printf '%s 0\n' "$id"; done`
			g = guard(t, Config{Helper: sh("", script), Helpers: 1})
			g.want(ok, question("udp://239.1.1.1:5000"))
			g.want(ok, question("udp://239.1.1.1:5000"))
		})
	}
}

func testLineEnds(t *testing.T) {
	for _, crlf := range []bool{false, true} {
		for _, answer := range []string{`\n`, `\r\n`} {
			dir := t.TempDir()
			script := `while IFS= read -r line; do printf '%s\n' "$line" >>"$1/asked"; printf '%s 0` + answer + `' "${line%% *}"; done`
			g := guard(t, Config{Helper: sh(dir, script), Helpers: 1, CRLF: crlf})
			g.want(ok, question("$news"))
			want := "A1 192.0.2.7:50905 $news -\n"
			if crlf {
				want = "A1 192.0.2.7:50905 $news -\r\n"
			}
			same(t, read(dir, "asked"), want)
		}
	}
}

func testSilentHelper(t *testing.T) {
	dir := t.TempDir()
	// Its child is killed with it.
	g := guard(t, Config{Helper: sh(dir, `sleep 600 & echo "$$ $!" >>"$1/pids"; trap '' TERM; while read -r line; do :; done`), Helpers: 1, Timeout: short})
	lines(t, dir, "pids", 1)
	a := g.want(timeout, question("udp://239.1.1.1:5000?auth=secret"))
	if !strings.Contains(a.Reason, "in time") {
		t.Errorf("reason %q", a.Reason)
	}
	g.logged("level=WARN", "helper is slow")
	g.logged("level=WARN", "starting another one", errTimedOut.Error())
	first := lines(t, dir, "pids", 2)[0]
	for pid := range strings.FieldsSeq(first) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() error { return isGone(n) })
	}
	if strings.Contains(g.log.String(), "secret") {
		t.Error("the log has the token")
	}
	if s := g.Stats(); s.TimedOut != 1 || s.Denied != 0 || s.Asked != 1 {
		t.Errorf("%+v", s)
	}
}

// isGone says whether the process has ended; that nobody has asked how does not count.
func isGone(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil && !strings.Contains(string(stat), ") Z ") {
		return fmt.Errorf("process %d lives: %s", pid, stat)
	}
	if err != nil && syscall.Kill(pid, 0) == nil {
		return fmt.Errorf("process %d lives", pid)
	}
	return nil
}

func testReplaced(t *testing.T) {
	dir := t.TempDir()
	script := `echo $$ >>"$1/pids"; if mkdir "$1/first" 2>/dev/null; then read -r line; exit 3; fi` + obedient
	g := guard(t, Config{Helper: sh(dir, script), Helpers: 1})
	g.want(ok, question("yes"))
	g.logged("starting another one", "exit status 3", "delay=0s")
	same(t, read(dir, "asked"), "A2 192.0.2.7:50905 yes -\n")
	lines(t, dir, "pids", 2)

	// One that nobody asks for anything is replaced as well.
	pid, err := strconv.Atoi(lines(t, dir, "pids", 2)[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lines(t, dir, "pids", 3)
	g.want(ok, question("yes"))

	// A request that two helpers died of is given to no third.
	dir = t.TempDir()
	g = guard(t, Config{Helper: sh(dir, `read -r line; echo "$line" >>"$1/asked"; exit 1`), Helpers: 1})
	g.want(timeout, question("poison"))
	g.want(timeout, question("poison"))
	same(t, read(dir, "asked"), "A1 192.0.2.7:50905 poison -\nA2 192.0.2.7:50905 poison -\n"+
		"A3 192.0.2.7:50905 poison -\nA4 192.0.2.7:50905 poison -\n")
}

func testRespawn(t *testing.T) {
	var r respawn
	for i, step := range []struct{ lived, want time.Duration }{
		{0, 0}, // the first time at once
		{0, 100 * time.Millisecond},
		{59 * time.Second, 200 * time.Millisecond},
		{0, 400 * time.Millisecond},
		{0, 800 * time.Millisecond},
		{0, 1600 * time.Millisecond},
		{0, 3200 * time.Millisecond},
		{0, 6400 * time.Millisecond},
		{0, 10 * time.Second},
		{0, 10 * time.Second},
		{time.Minute, 0}, // it was well: from the beginning
		{0, 100 * time.Millisecond},
	} {
		if got := r.next(step.lived); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	// None runs: who asks is told in time, and the end does not wait for the delay.
	g := guard(t, Config{Helper: []string{"false"}, Helpers: 2, Timeout: short})
	g.want(timeout, question("$news"))
	g.logged("starting another one", "exit status 1")
}

func testParallel(t *testing.T) {
	dir := gates(t, 3)
	g := guard(t, Config{Helper: sh(dir, `while read -r id rest; do echo "$id" >>"$1/asked"; read -r result <"$1/$id"; echo "$id $result"; done`), Helpers: 2})
	answers := []<-chan Answer{g.later(question("one")), g.later(question("two"))}
	first, second := gate(t, dir, 1), gate(t, dir, 2) // both are being asked
	answers = append(answers, g.later(question("three")))
	testkit.Eventually(t, func() error {
		g.helpers.mu.Lock()
		defer g.helpers.mu.Unlock()
		if g.helpers.asking != 3 {
			return fmt.Errorf("%d ask, want 3", g.helpers.asking)
		}
		return nil
	})
	if asked := lines(t, dir, "asked", 2); len(asked) != 2 {
		t.Errorf("helpers have %q, want two requests", asked)
	}
	open(t, first, "0")
	third := gate(t, dir, 3)
	open(t, third, "0")
	open(t, second, "0")
	for _, a := range answers {
		if a := <-a; a.Code != ok {
			t.Errorf("%+v", a)
		}
	}
}

func testRemembered(t *testing.T) {
	dir := t.TempDir()
	g := guard(t, Config{Helper: sh(dir, obedient), Helpers: 1})
	q := question("udp://239.1.1.1:5000?auth=bad")
	g.want(denied, q)
	q.Peer = netip.MustParseAddrPort("192.0.2.7:50906") // another connection of the same
	if a := g.want(denied, q); !strings.Contains(a.Reason, "remembered") {
		t.Errorf("reason %q", a.Reason)
	}
	same(t, read(dir, "asked"), "A1 192.0.2.7:50905 udp://239.1.1.1:5000?auth=bad -\n")

	others := []Question{q, q, q, q}
	others[0].Source += "&x"
	others[1].Peer = netip.MustParseAddrPort("192.0.2.8:50905")
	others[2].Destination = "tcp://10.0.0.1:1"
	others[3].Listener = "bb1"
	for _, other := range others {
		g.want(denied, other)
	}
	g.want(ok, question("yes"))
	g.want(ok, question("yes")) // access is not remembered
	if asked := lines(t, dir, "asked", 7); len(asked) != 7 {
		t.Errorf("asked: %q", asked)
	}
	if s := g.Stats(); s.Asked != 8 || s.Denied != 6 || s.Cached != 1 {
		t.Errorf("%+v", s)
	}

	dir = t.TempDir()
	g = guard(t, Config{Helper: sh(dir, obedient), Helpers: 1, DeniedFor: -1})
	g.want(denied, q)
	g.want(denied, q)
	lines(t, dir, "asked", 2)
}

func testBounded(t *testing.T) {
	dir := t.TempDir()
	c := Config{Helper: sh(dir, obedient), Helpers: 1, DeniedEntries: 2}
	g := guard(t, c)
	for _, source := range []string{"a", "b", "c", "c", "b", "a"} { // a had to go for c
		g.want(denied, question(source))
	}
	if s := g.Stats(); s.Cached != 2 || g.denials.age.Len() != 2 || len(g.denials.by) != 2 {
		t.Errorf("%+v, %d entries", s, g.denials.age.Len())
	}
	g.stop()
	again := guard(t, c)
	again.want(denied, question("a"))
	if s := again.Stats(); s.Cached != 0 {
		t.Errorf("after a reload: %+v", s)
	}
	if asked := lines(t, dir, "asked", 5); len(asked) != 5 {
		t.Errorf("asked: %q", asked)
	}
}

func testBadFields(t *testing.T) {
	dir := t.TempDir()
	g := guard(t, Config{Helper: sh(dir, obedient), Helpers: 1})
	for _, bad := range []string{"a b", "a\nA2 0", "a\r", "a\tb", "a\x00b", "\x7f", "\x80", "über"} {
		g.want(denied, Question{Source: bad})
		g.want(denied, Question{Source: "a", Destination: bad})
		g.want(denied, Question{Source: "a", Listener: bad})
	}
	if s := g.Stats(); s.Malformed != 24 || s.Denied != 24 || s.Cached != 0 {
		t.Errorf("%+v", s)
	}
	g.want(ok, question("yes"))
	same(t, read(dir, "asked"), "A1 192.0.2.7:50905 yes -\n")
}

// TestClientGone: the answer of a helper whose client did not wait is awaited, and a
// denial remembered.
func TestClientGone(t *testing.T) {
	dir := gates(t, 1)
	g := guard(t, Config{Helper: sh(dir, gated), Helpers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	q := question("udp://239.1.1.1:5000")
	answer := make(chan Answer, 1)
	go func() { answer <- g.Ask(ctx, q) }()
	first := gate(t, dir, 1)
	cancel()
	if a := <-answer; a.Code != timeout || a.Reason != gone().Reason {
		t.Errorf("%+v", a)
	}
	open(t, first, "1")
	testkit.Eventually(t, func() error {
		if _, found := g.denials.find(q.subject(), time.Now()); !found {
			return errors.New("the denial is not remembered")
		}
		return nil
	})
	if strings.Contains(g.log.String(), "another one") {
		t.Error("the helper was replaced")
	}
}
