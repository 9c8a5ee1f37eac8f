//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// metrics are the numbers of /metrics, by name and labels as they stand there.
func (r *relayed) metrics() map[string]float64 {
	r.t.Helper()
	code, body := curl(r.t, "http://"+r.admin+"/metrics")
	if code != 200 {
		r.t.Fatalf("/metrics: %d", code)
	}
	all := map[string]float64{}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if err != nil {
			r.t.Fatalf("/metrics: %q", line)
		}
		all[line[:at]] = value
	}
	return all
}

// counts wants these metrics of the relay, name and value in turn.
func (r *relayed) counts(wanted map[string]float64) {
	r.t.Helper()
	all := r.metrics()
	for name, want := range wanted {
		if got, ok := all["sluice_relay_"+name]; !ok || got != want {
			r.t.Errorf("%s is %v, there: %v; want %v", name, got, ok, want)
		}
	}
}

// testMetricsAndOrders is line 54.
func testMetricsAndOrders(t *testing.T) {
	a, b := newRemote(t, echoesAs("a")), newRemote(t, echoesAs("b"))
	addr := freePort(t)
	r := startRelay(t, relaying(addr, "", ", eject: {fails: 0}", a.addr+" name=a", b.addr+" name=b", freePort(t)+" backup name=none"))
	talk := func(want string) net.Conn {
		t.Helper()
		c := call(t, addr)
		says(t, c, "12345")
		hears(t, c, want+"\n12345")
		return c
	}
	held := []net.Conn{talk("a"), talk("b"), talk("a")}
	r.counts(map[string]float64{
		"sessions": 3, "accepted_total": 3, "connected_total": 3, "connect_failures_total": 0, "connect_seconds_count": 3,
		`connect_seconds_bucket{le="+Inf"}`: 3, `bytes_total{direction="up"}`: 15, `bytes_total{direction="down"}`: 21,
		`moved_bytes_total{by="copy"}`: 36, `moved_bytes_total{by="splice"}`: 0, `listener_up{listener="in"}`: 1, `listener_sessions{listener="in"}`: 3,
		`remote_up{pool="app",remote="a"}`: 1, `remote_sessions{pool="app",remote="a"}`: 2, `remote_sessions{pool="app",remote="b"}`: 1,
		`remote_connected_total{pool="app",remote="a"}`: 2, `remote_state{pool="app",remote="a",state="enabled"}`: 1,
	})
	if all := r.metrics(); all["sluice_relay_connect_seconds_sum"] <= 0 || all[`sluice_relay_remote_connect_average_seconds{pool="app",remote="a"}`] <= 0 {
		t.Error("connecting took no time")
	}

	order := func(path, want string) {
		t.Helper()
		if code, said := r.order(path); code != 200 || strings.TrimSpace(said) != want {
			t.Errorf("%s: %d %q, want %q", path, code, said, want)
		}
	}
	order("/remote?pool=app&remote=b&state=draining", "the remote is draining")
	held = append(held, talk("a"), talk("a"))
	says(t, held[1], "still")
	hears(t, held[1], "still") // its session goes on
	r.counts(map[string]float64{`remote_state{pool="app",remote="b",state="draining"}`: 1, `remote_state{pool="app",remote="b",state="enabled"}`: 0})
	order("/remote?pool=app&remote=b&state=enabled", "the remote is enabled")
	order("/remote?pool=app&remote=b&weight=9", "the remote has the weight 9")
	for range 8 {
		held = append(held, talk("b"))
	}
	order("/remote?pool=app&remote=b&weight=0&state=disabled", "the remote is disabled and has the weight of the configuration")
	r.counts(map[string]float64{`remote_weight{pool="app",remote="b"}`: 1, `remote_sessions{pool="app",remote="b"}`: 9})
	held = append(held, talk("a"))

	// Both off: the backup is asked, and it refuses.
	order("/remote?pool=app&remote=a&state=disabled", "the remote is disabled")
	isClosed(t, call(t, addr))
	r.counts(map[string]float64{"connect_failures_total": 1, `remote_connect_failures_total{pool="app",remote="none"}`: 1, `ended_total{cause="no-remote"}`: 1})

	id := r.status().Sessions[0].ID // the oldest
	order(fmt.Sprintf("/kill?session=%d", id), fmt.Sprintf("session %d is ended", id))
	hearsEnd(t, held[0], true)
	r.session("id", fmt.Sprint(id), "cause", "killed", "up", "5", "down", "7")
	for path, want := range map[string]int{
		fmt.Sprintf("/kill?session=%d", id): 404, "/kill?session=x": 400, "/remote?pool=app&remote=c&state=enabled": 404,
		"/remote?pool=app&remote=a&state=gone": 400, "/remote?pool=app&remote=a&weight=-1": 400, "/remote?pool=app&remote=a": 400, "/nothing": 404,
	} {
		if code, said := r.order(path); code != want || strings.Count(said, "\n") > 1 {
			t.Errorf("%s: %d %q, want %d and one line", path, code, said, want)
		}
	}
	if code, _ := curl(t, "-X", "POST", "-H", "Sec-Fetch-Site: cross-site", "http://"+r.admin+"/remote?pool=app&remote=a&state=enabled"); code != 403 {
		t.Errorf("the order of another site's page: %d, want 403", code)
	}
	if code, page := curl(t, "http://"+r.admin+"/status"); code != 200 || !strings.Contains(page, "<html") || !strings.Contains(page, a.addr) {
		t.Errorf("the page: %d\n%s", code, page)
	}
	for _, c := range held {
		c.Close()
	}
	r.sessionsAre(0)
}

// testSourceLimits is line 55.
func testSourceLimits(t *testing.T) {
	back := newRemote(t, echoesAs("in"))
	few, claimed, slow, fast := freePort(t), freePort(t), freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf(`relay:
  listeners:
    few: {listen: %q, pool: app, max_per_source: 3}
    claimed: {listen: %q, pool: app, max_per_source: 1, proxy: required}
    slow: {listen: %q, pool: app, max_rate_per_source: 0.01}
    fast: {listen: %q, pool: app, max_rate: 30}
  pools:
    app: {remotes: %q}
`, few, claimed, slow, fast, back.addr))
	letIn := func(c net.Conn) net.Conn {
		t.Helper()
		hears(t, c, "in\n")
		return c
	}
	first := letIn(callFrom(t, "127.0.0.2", few))
	letIn(callFrom(t, "127.0.0.2", few))
	letIn(callFrom(t, "127.0.0.2", few))
	isClosed(t, callFrom(t, "127.0.0.2", few))
	letIn(callFrom(t, "127.0.0.3", few))
	first.Close()
	r.sessionsAre(3)
	letIn(callFrom(t, "127.0.0.2", few))
	isClosed(t, callFrom(t, "127.0.0.2", few))

	claim := func(client string) net.Conn {
		t.Helper()
		c := call(t, claimed)
		says(t, c, "PROXY TCP6 "+client+" 2001:db8::ffff 1000 80\r\n")
		return c
	}
	letIn(claim("2001:db8:0:1::1"))
	isClosed(t, claim("2001:db8:0:1:ffff::2")) // the same /64
	letIn(claim("2001:db8:0:2::1"))

	letIn(callFrom(t, "127.0.0.2", slow))
	isClosed(t, callFrom(t, "127.0.0.2", slow))
	letIn(callFrom(t, "127.0.0.3", slow))
	for range 20 {
		letIn(call(t, fast)) // what a second brings may come at once
	}
	for listener, want := range map[string]uint64{"few": 2, "claimed": 1, "slow": 1, "fast": 0} {
		for _, l := range r.status().Listeners {
			if l.Name == listener && l.Refused["limit"] != want {
				t.Errorf("%s: %d clients refused, want %d", listener, l.Refused["limit"], want)
			}
		}
	}
}

// testRemoteDown is line 62.
func testRemoteDown(t *testing.T) {
	one, other := newRemote(t, echoesAs("closes")), newRemote(t, echoesAs("keeps"))
	closes, keeps := freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf(`relay:
  listeners:
    closes: {listen: %q, pool: closes}
    keeps: {listen: %q, pool: keeps}
  pools:
    closes: {remotes: %q, check: {type: tcp, every: 20ms, timeout: 20s, fall: 2, on_down: close}}
    keeps: {remotes: %q, check: {type: tcp, every: 20ms, timeout: 20s, fall: 2}}
`, closes, keeps, one.addr, other.addr))
	c, k := call(t, closes), call(t, keeps)
	hears(t, c, "closes\n")
	hears(t, k, "keeps\n")
	one.l.Close() // their connections stay
	other.l.Close()
	r.remote(one.addr, isDown)
	r.remote(other.addr, isDown)
	hearsEnd(t, c, true)
	r.session("listener", "closes", "cause", "down", "down", "7")
	says(t, k, "on")
	hears(t, k, "on")
	k.Close()
	r.sessionsAre(0)
	testSurvivesReload(t)
}

// testSurvivesReload: after a reload remotes have the weight and the state that were ordered, and are down
// or ejected as they were. The next check comes in an hour.
func testSurvivesReload(t *testing.T) {
	a, b, down, ejected := newRemote(t, echoesAs("a")), newRemote(t, echoesAs("b")), freePort(t), freePort(t)
	addr := freePort(t)
	config := func(more string) string {
		return fmt.Sprintf(`relay:
  listeners:
    in: {listen: [%q, %q], pool: app}
    out: {listen: %q, pool: out}
  pools:
    app: {remotes: %s, check: {type: tcp, every: 1h%s}}
    out: {remotes: %q, eject: {for: 1h, max: 1h}}
`, addr, freePort(t), freePort(t), listOf(a.addr, b.addr, down), more, ejected)
	}
	r := startRelay(t, config(""))
	r.remote(down, isDown)
	for _, order := range []string{"remote=" + a.addr + "&weight=5", "remote=" + b.addr + "&state=draining"} {
		if code, said := r.order("/remote?pool=app&" + order); code != 200 {
			t.Fatalf("%s: %d %s", order, code, said)
		}
	}
	isClosed(t, call(t, r.status().Listeners[1].Addresses[0]))
	held := call(t, addr)
	hears(t, held, "a\n")
	newRemoteAt(t, "tcp", down, echoesAs("late"))

	want := func() {
		t.Helper()
		r.remote(a.addr, func(x report.RelayRemote) bool { return x.Weight == 5 && x.Ordered && x.Up && x.Sessions == 1 })
		r.remote(b.addr, func(x report.RelayRemote) bool { return x.State == "draining" && x.Up })
		r.remote(down, isDown)
		r.remote(ejected, func(x report.RelayRemote) bool { return x.Ejected && x.Failures == 1 })
	}
	want()
	r.reload(config(""))
	want()
	if said := r.keeps(strings.Replace(config(""), "pool: app", "pool: ap", 1)); !strings.Contains(said, "no pool is called ap") {
		t.Errorf("a wrong configuration: %s", said)
	}
	want()
	says(t, held, "still")
	hears(t, held, "still")
	hears(t, call(t, addr), "a\n")
	r.reload(config(", timeout: 3s")) // another check begins anew
	r.remote(down, isUp)
}

// testSessionLog is line 63: each session has one line, whatever became of it, and each line says what it was.
func testSessionLog(t *testing.T) {
	testkit.Need(t, "prlimit")
	back, ends := newRemote(t, echoes), newRemote(t, func(c net.Conn) { _, _ = c.Write([]byte("bye")) })
	doors := map[string]string{}
	var listeners strings.Builder
	for _, l := range []struct{ name, more string }{
		{"plain", "pool: app"},
		{"ends", "pool: ends"},
		{"idle", "pool: app, idle: 2s"},
		{"nobody", "pool: nobody"},
		{"denied", "pool: app, rules: deny 127.0.0.0/8"},
		{"limit", "pool: app, max_rate: 0.001"},
		{"header", "pool: app, proxy: required"},
		{"hello", "routes: sni=a.test pool=app, hello: 100ms"},
		{"full", "pool: full, within: 2s"},
		{"half", "pool: half, half_close: 100ms"},
	} {
		doors[l.name] = freePort(t)
		fmt.Fprintf(&listeners, "    %s: {listen: %q, %s}\n", l.name, doors[l.name], l.more)
	}
	never := newRemote(t, func(c net.Conn) { mute(c); <-t.Context().Done() })
	r := startRelay(t, fmt.Sprintf("relay:\n  drain: 1m\n  quiet: 100ms\n  listeners:\n%s  pools:\n    app: {remotes: %q}\n    ends: {remotes: %q}\n    nobody: {remotes: %q}\n"+
		"    full: {remotes: %q}\n    half: {remotes: %q}\n", listeners.String(), back.addr, ends.addr, freePort(t), back.addr+" max_conns=1", never.addr))
	talk := func(listener string) *net.TCPConn {
		t.Helper()
		c := call(t, doors[listener])
		says(t, c, "12345")
		hears(t, c, "12345")
		return c
	}
	c := talk("plain")
	says(t, c, "67")
	hears(t, c, "67")
	peer := c.LocalAddr().String()
	c.Close()
	e := r.session("listener", "plain", "cause", "client", "peer", peer, "client", peer, "pool", "app", "remote", back.addr, "up", "7", "down", "7", "queue", "0.000", "error", "-")
	if connect, total := e["connect"], e["total"]; connect == "-" || connect > total {
		t.Errorf("connected in %s s, %s s in all", connect, total)
	}
	c = call(t, doors["ends"])
	hears(t, c, "bye")
	hearsEnd(t, c, false)
	c.Close()
	r.session("listener", "ends", "cause", "remote", "up", "0", "down", "3")
	hearsEnd(t, talk("idle"), false)
	r.session("listener", "idle", "cause", "idle", "up", "5", "down", "5")
	isClosed(t, call(t, doors["nobody"]))
	if e := r.session("listener", "nobody", "cause", "no-remote", "connect", "-"); !strings.Contains(e["error"], "connection refused") {
		t.Errorf("a remote that refuses: %s", e["error"])
	}
	isClosed(t, call(t, doors["denied"]))
	r.session("listener", "denied", "cause", "denied", "pool", "-", "remote", "-")
	talk("limit")
	isClosed(t, call(t, doors["limit"]))
	r.session("listener", "limit", "cause", "limit")
	isClosed(t, say(t, doors["header"], "hello\r\n"))
	r.session("listener", "header", "cause", "header")
	c = call(t, doors["header"])
	says(t, c, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n12345")
	hears(t, c, "12345")
	c.Close()
	r.session("listener", "header", "cause", "client", "client", "192.0.2.7:4711", "peer", c.LocalAddr().String(), "up", "5")
	isClosed(t, call(t, doors["hello"]))
	r.session("listener", "hello", "cause", "hello")
	full := talk("full")
	isClosed(t, call(t, doors["full"]))
	if e := r.session("listener", "full", "cause", "full"); e["queue"] < "2.000" {
		t.Errorf("a client that waited in vain has queued for %s s", e["queue"])
	}
	full.Close()
	c = call(t, doors["half"])
	says(t, c, "x")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	isClosed(t, c)
	r.session("listener", "half", "cause", "half-closed", "up", "1")

	testErrorInLog(t, r, doors["plain"])
	stays := talk("plain")
	accepted := r.status().Totals.Accepted
	stopNow(t, r.proc, syscall.SIGTERM)
	hearsEnd(t, stays, false)
	r.session("listener", "plain", "cause", "drain", "peer", stays.LocalAddr().String())
	if n := uint64(len(r.sessions())); n != accepted {
		t.Errorf("%d sessions in the log, %d were accepted", n, accepted)
	}
}

// testErrorInLog takes the relay its descriptors: with an even or with an odd number of them a client can be
// accepted at last, and no remote can be connected to.
func testErrorInLog(t *testing.T, r *relayed, addr string) {
	t.Helper()
	limit := func(n int) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "prlimit", "--pid", fmt.Sprint(r.proc.PID()), fmt.Sprintf("--nofile=%d:20000", n)).CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %v: %s", err, out)
		}
	}
	missed := func() bool {
		return !slices.ContainsFunc(r.sessions(), func(e entry) bool { return e.has("listener", "plain", "cause", "error") }) ||
			!strings.Contains(r.proc.Output(), "clients wait: cannot accept")
	}
	most := openFiles(t, r.proc.PID()) + 20
	for n := most; missed() && n < most+10; n++ { // whether the last one finds one descriptor or none nobody can say
		limit(n)
		for fillUp(t, r, addr) {
		}
		limit(20_000)
	}
	e := r.session("listener", "plain", "cause", "error", "up", "0", "connect", "-")
	if !strings.Contains(e["error"], "too many open files") {
		t.Errorf("no descriptor for a remote: %s", e["error"])
	}
	r.proc.WaitLine("clients wait: cannot accept.*too many open files")
}

// fillUp opens one more session, and says whether there may be room for another: it was served. The session lasts
// as long as the test.
func fillUp(t *testing.T, r *relayed, addr string) (served bool) {
	t.Helper()
	waits := strings.Count(r.proc.Output(), "clients wait: cannot accept")
	c := call(t, addr)
	says(t, c, "x")
	testkit.Eventually(t, func() error {
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return err
		}
		n, err := c.Read(make([]byte, 1))
		served = n > 0
		if errors.Is(err, os.ErrDeadlineExceeded) && strings.Count(r.proc.Output(), "clients wait: cannot accept") == waits {
			return errors.New("neither served nor closed, and nobody is said to wait")
		}
		return nil
	})
	return served
}
