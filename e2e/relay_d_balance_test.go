//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testBalances has clients with many addresses, by PROXY headers, come to pools with remotes of weights 1
// and 3. What is by chance or by a hash may be six standard deviations off; internal/pool has 10^5 picks.
func testBalances(t *testing.T) {
	light, heavy := newRemote(t, echoesAs("light")), newRemote(t, echoesAs("heavy"))
	doors := map[string]string{}
	var listeners, pools strings.Builder
	for _, way := range []string{"least", "round-robin", "two-choices", "random", "source", "maglev"} {
		doors[way] = freePort(t)
		fmt.Fprintf(&listeners, "    %s: {listen: %q, pool: %[1]s, proxy: required}\n", way, doors[way])
		fmt.Fprintf(&pools, "    %s: {balance: %[1]s, remotes: %s}\n", way, listOf(light.addr, heavy.addr+" weight=3"))
	}
	r := startRelay(t, "relay:\n  listeners:\n"+listeners.String()+"  pools:\n"+pools.String())
	const clients, sixSigma = 400, 52
	for _, c := range []struct {
		way string
		off int // from a quarter
	}{{"least", 0}, {"round-robin", 0}, {"two-choices", 20}, {"random", sixSigma}, {"source", sixSigma}, {"maglev", sixSigma}} {
		light := 0
		var held []net.Conn
		for i := range clients {
			conn, name := callAs(t, doors[c.way], i)
			held = append(held, conn)
			if name == "light" {
				light++
			}
		}
		if off := light - clients/4; off < -c.off || off > c.off {
			t.Errorf("%s: %d of %d clients went to the remote with a quarter of the weight", c.way, light, clients)
		}
		for _, conn := range held {
			conn.Close()
		}
	}
	r.sessionsAre(0)
	for _, way := range []string{"source", "maglev"} {
		first := whoServes(t, doors[way], 50)
		if again := whoServes(t, doors[way], 50); fmt.Sprint(again) != fmt.Sprint(first) {
			t.Errorf("%s: clients are sent to %v, and then to %v", way, first, again)
		}
	}
	testRemoteLeaves(t)
}

// testRemoteLeaves: with maglev those clients move whose remote goes, and hardly anybody else.
func testRemoteLeaves(t *testing.T) {
	var remotes []string
	for _, name := range []string{"a", "b", "c"} {
		remotes = append(remotes, newRemote(t, echoesAs(name)).addr+" name="+name)
	}
	addr := freePort(t)
	r := startRelay(t, relaying(addr, ", proxy: required", ", balance: maglev", remotes...))
	const clients, stray = 300, 6 + 14 // 2 %, and six standard deviations of it
	before := whoServes(t, addr, clients)
	r.reload(relaying(addr, ", proxy: required", ", balance: maglev", remotes[:2]...))
	moved, gone := 0, 0
	for i, now := range whoServes(t, addr, clients) {
		switch {
		case before[i] == "c":
			gone++
		case now != before[i]:
			moved++
		}
	}
	if moved > stray || gone == 0 {
		t.Errorf("of %d clients %d had to move, and %d more did", clients, gone, moved)
	}
}

// callAs is call of client number n, by a PROXY header; it returns which remote answers, too.
func callAs(t *testing.T, addr string, n int) (*net.TCPConn, string) {
	t.Helper()
	c := call(t, addr)
	says(t, c, fmt.Sprintf("PROXY TCP4 10.1.%d.%d 192.0.2.1 1000 80\r\n", n/250, n%250+1))
	return c, hearsLine(t, c)
}

// whoServes are the remotes that clients 0 to n-1 get.
func whoServes(t *testing.T, addr string, n int) (names []string) {
	t.Helper()
	for i := range n {
		c, name := callAs(t, addr, i)
		c.Close()
		names = append(names, name)
	}
	return names
}

// testChecks is line 50 by its parts.
func testChecks(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"tcp": testCheckTCP, "talk": testCheckTalk, "tls": testCheckTLS, "http": testCheckHTTP,
		"rise and fall": testRiseAndFall, "slow start": testSlowStart, "backup": testBackup,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// checkedBy is how pools of these tests are checked.
func checkedBy(how string) string {
	return ", check: {every: 20ms, timeout: 20s, rise: 1, fall: 1, " + how + "}"
}

func testCheckTCP(t *testing.T) {
	one, other := newRemote(t, echoesAs("one")), newRemote(t, echoesAs("other"))
	addr := freePort(t)
	r := startRelay(t, relaying(addr, "", checkedBy("type: tcp"), one.addr, other.addr))
	r.remote(one.addr, isUp)
	one.close()
	if found := r.remote(one.addr, isDown); !strings.Contains(found.Reason, "refused") {
		t.Errorf("the remote is down for %q", found.Reason)
	}
	for range 5 {
		if name := hearsLine(t, call(t, addr)); name != "other" {
			t.Errorf("served by %s", name)
		}
	}
	newRemoteAt(t, "tcp", one.addr, echoesAs("one"))
	r.remote(one.addr, isUp)
	c := call(t, addr)
	hears(t, c, "one\n")
	if st := r.status(); st.Totals.ConnectFails != 0 {
		t.Errorf("%d clients were sent to a remote that was known to be down", st.Totals.ConnectFails)
	}
}

// testCheckTalk asks a socat, which first answers as it should and then something else.
func testCheckTalk(t *testing.T) {
	testkit.Need(t, "socat")
	at := freePort(t)
	answers := func(word string) *testkit.Proc {
		port := at[strings.LastIndexByte(at, ':')+1:]
		return testkit.Start(t, "socat", "TCP-LISTEN:"+port+",bind=127.0.0.1,reuseaddr,fork", "SYSTEM:sed -u s/PING/"+word+"/")
	}
	good := answers("PONG")
	r := startRelay(t, relaying(freePort(t), "", checkedBy(`type: talk, send: 'PING\n', expect: PONG`), at))
	r.remote(at, isUp)
	good.Signal(os.Interrupt)
	<-good.Done()
	r.remote(at, isDown)
	answers("SICK")
	r.remote(at, func(r report.RelayRemote) bool { return !r.Up && r.Reason == "it answers something else" })
}

func testCheckTLS(t *testing.T) {
	a, at := newAuthority(t), freePort(t)
	plain := newRemote(t, mute)
	r := startRelay(t, relaying(freePort(t), "", ", check: {type: tls, every: 20ms, timeout: 1s, rise: 1}", at, plain.addr))
	r.remote(at, isDown)
	startReverser(t, at, a, "server")
	r.remote(at, isUp)
	r.remote(plain.addr, isDown) // it accepts, and says nothing
}

// startReverser starts an openssl s_server with a certificate of the authority, which answers each line with the
// line turned round.
func startReverser(t *testing.T, addr string, a *authority, file string, args ...string) *testkit.Proc {
	t.Helper()
	testkit.Need(t, "openssl")
	args = append([]string{"s_server", "-rev", "-accept", addr, "-cert", a.path(file + ".pem"), "-key", a.path(file + ".key")}, args...)
	p := testkit.Start(t, "openssl", args...)
	p.WaitLine("ACCEPT")
	return p
}

// testCheckHTTP has a nginx say how it is at another port than the one that is relayed to.
func testCheckHTTP(t *testing.T) {
	testkit.Need(t, "nginx")
	data, health := freePort(t), freePort(t)
	dir := startNginx(t, fmt.Sprintf("server { listen %s; location / { return 200 data; } }\nserver { listen %s; server_name health.test; root html; }\n"+
		"server { listen %[2]s default_server; return 421; }", data, health))
	put(t, filepath.Join(dir, "html", "health"), "well")
	addr := freePort(t)
	port := health[strings.LastIndexByte(health, ':')+1:]
	r := startRelay(t, relaying(addr, "", checkedBy("type: http, path: /health, host: health.test, port: "+port), data))
	r.remote(data, isUp)
	if _, body := curl(t, "http://"+addr+"/"); body != "data" {
		t.Errorf("the remote says %q", body)
	}
	if err := os.Remove(filepath.Join(dir, "html", "health")); err != nil {
		t.Fatal(err)
	}
	if found := r.remote(data, isDown); !strings.Contains(found.Reason, "404") {
		t.Errorf("the remote is down for %q", found.Reason)
	}
}

// startNginx starts nginx with these servers, and waits until it listens; dir has a directory html.
func startNginx(t *testing.T, servers string) (dir string) {
	t.Helper()
	testkit.Need(t, "nginx")
	dir = shortDir(t)
	for _, sub := range []string{"html", "logs"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // its workers are other users
		t.Fatal(err)
	}
	temps := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temps += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	put(t, filepath.Join(dir, "nginx.conf"), "daemon off;\nworker_processes 1;\nerror_log stderr notice;\npid "+dir+
		"/pid;\nevents {}\nhttp {\naccess_log off;\n"+temps+servers+"\n}\n")
	p := testkit.Start(t, "nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	p.WaitLine("start worker process ")
	return dir
}

// testRiseAndFall has a server give the answers of a script, one a check: only so many in a row count.
func testRiseAndFall(t *testing.T) {
	const good, bad = http.StatusOK, http.StatusServiceUnavailable
	script := []int{
		good, bad, bad, good, bad, bad, good, // never three bad ones in a row: up all the time
		bad, bad, bad, // down
		good, bad, good, bad, bad, good, // never two good ones in a row
	}
	var asked atomic.Int64
	goOn := make(chan struct{})
	at := newWeb(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := int(asked.Add(1)) - 1
		if n < len(script) {
			w.WriteHeader(script[n])
			return
		}
		<-goOn // the answers before it have counted by now
	}))
	r := startRelay(t, relaying(freePort(t), "", ", check: {type: http, every: 20ms, timeout: 50s, rise: 2, fall: 3}", at))
	testkit.Eventually(t, func() error {
		if n := int(asked.Load()); n != len(script)+1 {
			return fmt.Errorf("%d of %d checks", n, len(script)+1)
		}
		return nil
	})
	r.remote(at, isDown)
	r.proc.WaitLine(`msg="remote down"`)
	if said := strings.Count(r.proc.Output(), `msg="remote `); said != 1 {
		t.Errorf("the log tells of %d changes, want that one:\n%s", said, r.proc.Output())
	}
	close(goOn)
	r.remote(at, isUp)
}

// newWeb is a server of HTTP at a port of its own.
func newWeb(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-served })
	return l.Addr().String()
}

// testSlowStart: a remote that comes back has a tenth of its turns at first, and its whole share later.
func testSlowStart(t *testing.T) {
	stays, comes := newRemote(t, echoesAs("stays")), newRemote(t, echoesAs("comes"))
	addr := freePort(t)
	config := func(ramp string) string {
		return relaying(addr, "", ", balance: round-robin, slow_start: "+ramp+checkedBy("type: tcp"), stays.addr, comes.addr)
	}
	r := startRelay(t, config("10h"))
	r.remote(comes.addr, isUp)
	share := func() (n int) {
		for range 40 {
			c := call(t, addr)
			if hearsLine(t, c) == "comes" {
				n++
			}
			c.Close()
		}
		return n
	}
	if n := share(); n != 20 {
		t.Errorf("%d of 40 before it went, want 20: who begins with the relay begins whole", n)
	}
	comes.close()
	r.remote(comes.addr, isDown)
	newRemoteAt(t, "tcp", comes.addr, echoesAs("comes"))
	r.remote(comes.addr, isUp)
	if n := share(); n < 1 || n > 8 {
		t.Errorf("%d of 40 when it has just come back, want about 4", n)
	}
	r.reload(config("10ms"))
	testkit.Eventually(t, func() error {
		if n := share(); n != 20 {
			return fmt.Errorf("%d of 40 when the time is over, want 20", n)
		}
		return nil
	})
}

func testBackup(t *testing.T) {
	one, two, spare := newRemote(t, echoesAs("one")), newRemote(t, echoesAs("two")), newRemote(t, echoesAs("spare"))
	addr := freePort(t)
	r := startRelay(t, relaying(addr, "", checkedBy("type: tcp"), one.addr, two.addr, spare.addr+" backup"))
	serves := func(want string) {
		t.Helper()
		c := call(t, addr)
		defer c.Close()
		if got := hearsLine(t, c); got != want {
			t.Errorf("served by %s, want %s", got, want)
		}
		r.sessionsAre(1)
		c.Close()
		r.sessionsAre(0)
	}
	for _, a := range []*remote{one, two, spare} {
		r.remote(a.addr, isUp)
	}
	serves("one")
	one.close()
	r.remote(one.addr, isDown)
	serves("two")
	two.close()
	r.remote(two.addr, isDown)
	serves("spare")
	newRemoteAt(t, "tcp", two.addr, echoesAs("two"))
	r.remote(two.addr, isUp)
	serves("two")
}

// testEjection is line 51: remotes that refuse are left out, longer each time, and only so many of them;
// and a remote that is full has clients wait.
func testEjection(t *testing.T) {
	for name, test := range map[string]func(*testing.T){"back-off": testBackOff, "share": testEjectedShare, "queue": testQueue} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func testBackOff(t *testing.T) {
	refuses, serves := freePort(t), newRemote(t, echoesAs("good"))
	addr := freePort(t)
	r := startRelay(t, relaying(addr, "", ", eject: {fails: 2, for: 100ms, max: 3200ms}", refuses, serves.addr))
	ask := func() report.RelayRemote {
		hears(t, call(t, addr), "good\n") // whatever the other one does
		st, err := remoteNamed(r.status(), refuses)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	// The sessions are held, so that the one that refuses has the fewest and is always asked first.
	if one := ask(); one.Ejected || one.Failures != 1 {
		t.Errorf("after one failure it is %+v; two are permitted", one)
	}
	if one := ask(); !one.Ejected || one.Failures != 2 {
		t.Errorf("after two failures it is %+v", one)
	}
	for range 5 {
		ask()
	}
	// One client tries it each time that its time is over, and then it is left out for twice as long.
	last := ask()
	testkit.Eventually(t, func() error {
		one := ask()
		if least := 100 * time.Millisecond << (one.Failures - 2); one.Failures > last.Failures && one.Until.Sub(last.Until) < least {
			t.Fatalf("after %d failures it is left out until %v, before until %v, want %v more", one.Failures, one.Until, last.Until, least)
		}
		if last = one; one.Failures < 7 {
			return fmt.Errorf("%d failures", one.Failures)
		}
		return nil
	})
	newRemoteAt(t, "tcp", refuses, echoesAs("back"))
	testkit.Eventually(t, func() error {
		if name := hearsLine(t, call(t, addr)); name != "back" {
			return fmt.Errorf("served by %s", name)
		}
		return nil
	})
	r.remote(refuses, func(r report.RelayRemote) bool { return !r.Ejected })
}

func testEjectedShare(t *testing.T) {
	remotes := []string{freePort(t), freePort(t), freePort(t), newRemote(t, echoesAs("good")).addr}
	addr := freePort(t)
	r := startRelay(t, relaying(addr, ", tries: 4", ", eject: {for: 1h, max: 1h, share: 50}", remotes...))
	for range 20 {
		hears(t, call(t, addr), "good\n")
	}
	ejected, failures := 0, uint64(0)
	for _, one := range r.status().Pools[0].Remotes {
		if failures += one.Failures; one.Ejected {
			ejected++
		}
	}
	if ejected != 2 || failures < 20 {
		t.Errorf("%d of 4 remotes are left out, want 2; %d failures, and the third that refuses is asked by each of 20 clients", ejected, failures)
	}
}

// testQueue: with all remotes full one client waits, and the next is told so; who has waited too long is, too.
func testQueue(t *testing.T) {
	addr := freePort(t)
	back := newRemote(t, echoesAs("served"))
	config := func(within string) string {
		return relaying(addr, ", within: "+within, ", queue: 1", back.addr+" max_conns=1")
	}
	r := startRelay(t, config("1h"))
	first := call(t, addr)
	hears(t, first, "served\n")
	second := call(t, addr)
	r.eventually(func(st report.Relay) error {
		if n := st.Pools[0].Waiting; n != 1 {
			return fmt.Errorf("%d clients wait, want 1", n)
		}
		return nil
	})
	hearsEnd(t, call(t, addr), false)
	r.session("cause", "full", "queue", "0.000")
	first.Close()
	hears(t, second, "served\n")
	if n := back.calls.Load(); n != 2 {
		t.Errorf("the remote was connected to %d times, want 2", n)
	}
	r.reload(config("300ms"))
	hearsEnd(t, call(t, addr), false)
	testkit.Eventually(t, func() error {
		for _, e := range r.sessions() {
			if e["cause"] == "full" && e["queue"] >= "0.300" {
				return nil
			}
		}
		return fmt.Errorf("nobody has waited 0.3 s in vain: %v", r.sessions())
	})
}
