//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// pattern is the same bytes for the same number, and never repeats.
type pattern struct{ *rand.ChaCha8 }

func newPattern(n int) pattern { return pattern{rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), 7})} }

// sumOf is the checksum of the first bytes of a pattern.
func sumOf(n int, size int64) uint32 {
	sum := crc32.NewIEEE()
	_, _ = io.CopyN(sum, newPattern(n), size)
	return sum.Sum32()
}

// gives is a remote that gives so many bytes of pattern 1 to each who comes.
func gives(size int64) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.CopyN(c, newPattern(1), size) }
}

// takesAll reads to the end on all connections at once, and wants so many bytes of pattern 1 on each.
func takesAll(t *testing.T, all []net.Conn, size int64) {
	t.Helper()
	want := sumOf(1, size)
	errs := make(chan error, len(all))
	for _, c := range all {
		go func() {
			sum := crc32.NewIEEE()
			n, err := io.Copy(sum, c)
			if err == nil && (n != size || sum.Sum32() != want) {
				err = fmt.Errorf("%d bytes with the sum %x, want %d with %x", n, sum.Sum32(), size, want)
			}
			errs <- err
		}()
	}
	for range all {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// callMany is n times call.
func callMany(t *testing.T, addr string, n int) (all []net.Conn) {
	t.Helper()
	for range n {
		all = append(all, call(t, addr))
	}
	return all
}

// testBulkIsSpliced is what line 56 rests on: bulk data, on one connection and on 64, goes through pipes, and
// these are closed when it is quiet; with splice off it is copied.
func testBulkIsSpliced(t *testing.T) {
	const size = 16 << 20
	back := newRemote(t, gives(size))
	addr := freePort(t)
	config := relaying(addr, "", "", back.addr)
	for _, c := range []struct {
		name    string
		clients int
		splice  bool
	}{{"one", 1, true}, {"64", 64, true}, {"copied", 1, false}} {
		text := config
		if !c.splice {
			text = strings.Replace(config, "relay:\n", "relay:\n  splice: false\n", 1)
		}
		r := startRelay(t, text)
		before := openFiles(t, r.proc.PID())
		all := callMany(t, addr, c.clients)
		takesAll(t, all, size)
		st := r.status().Totals
		if total := uint64(c.clients) * size; st.Down != total || st.Spliced+st.Copied != total || c.splice != (st.Spliced > total*9/10) || !c.splice && st.Spliced > 0 {
			t.Errorf("%s: %d bytes down, %d of them spliced, %d copied, want %d in all", c.name, st.Down, st.Spliced, st.Copied, total)
		}
		for _, one := range all {
			one.Close()
		}
		r.sessionsAre(0)
		testkit.Eventually(t, func() error {
			st, err := relayStatus(r.admin)
			if n := openFiles(t, r.proc.PID()); err == nil && (st.Totals.Pipes != 0 || n > before) {
				err = fmt.Errorf("%s: %d pipes and %d descriptors are left, there were %d before", c.name, st.Totals.Pipes, n, before)
			}
			return err
		})
		r.proc.Signal(syscall.SIGTERM)
		if err := r.proc.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// testConnections is what line 57 rests on: each of many short sessions is served, none needs a pipe or a goroutine, and
// nothing is left of them.
func testConnections(t *testing.T) {
	back := newRemote(t, func(c net.Conn) { _, _ = c.Write([]byte("x")) })
	addr := freePort(t)
	r := startRelay(t, relaying(addr, "", "", back.addr))
	before, goroutines := openFiles(t, r.proc.PID()), r.metrics()["go_goroutines"]
	const callers, each = 8, 250
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				c, err := tryCall("", addr)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(c); err != nil || string(got) != "x" {
					t.Errorf("heard %q, %v", got, err)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	r.sessionsAre(0)
	st := r.status().Totals
	if st.Connected != callers*each || st.Down != callers*each || st.Ended["remote"] != callers*each || st.Pipes != 0 || st.ConnectFails != 0 {
		t.Errorf("%+v, want %d sessions and no pipe", st, callers*each)
	}
	testkit.Eventually(t, func() error {
		if n, now := openFiles(t, r.proc.PID()), r.metrics()["go_goroutines"]; n > before || now > goroutines {
			return fmt.Errorf("%d descriptors and %v goroutines are left, there were %d and %v", n, now, before, goroutines)
		}
		return nil
	})
}

// testRoundTrips is what line 58 rests on: a small piece is one read and one write on either side, and nothing
// else but waiting.
func testRoundTrips(t *testing.T) {
	testkit.Need(t, "strace")
	back := newRemote(t, echoes)
	addr := freePort(t)
	r := startRelay(t, relaying(addr, "", "", back.addr))
	c := call(t, addr)
	piece := make([]byte, 1024)
	trip := func() {
		t.Helper()
		if _, err := c.Write(piece); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, piece); err != nil {
			t.Fatal(err)
		}
	}
	trip()
	stop := traced(t, r.proc.PID(), "read,write,readv,writev,recvfrom,sendto,recvmsg,sendmsg,splice,epoll_ctl,setsockopt,getsockopt")
	const trips = 200
	for range trips {
		trip()
	}
	reads, writes, others := 0, 0, 0
	for _, calls := range stop() {
		for line := range strings.Lines(calls) {
			moves := strings.HasSuffix(line, "= 1024\n")
			switch {
			case moves && (strings.HasPrefix(line, "write(") || strings.HasPrefix(line, "sendto(")):
				writes++
			case moves:
				reads++
			case strings.HasPrefix(line, "splice(") || strings.HasPrefix(line, "epoll_ctl(") || strings.Contains(line, "EAGAIN"):
				others++
			}
		}
	}
	const cut = 1 // the last call may not be seen to its end
	if missing := 2*trips - min(reads, writes); missing < 0 || missing > cut || max(reads, writes) > 2*trips || others > trips/10 {
		t.Errorf("%d round trips take %d reads, %d writes and %d other calls, want %d, %[5]d and none", trips, reads, writes, others, 2*trips)
	}
	if st := r.status().Totals; st.Spliced != 0 || st.Pipes != 0 {
		t.Errorf("%d bytes were spliced, there are %d pipes", st.Spliced, st.Pipes)
	}
}

// secured is a relay that decrypts for a pool of this remote.
func secured(t *testing.T, addr, remote string) (*relayed, *tls.Config) {
	t.Helper()
	a := newAuthority(t)
	r := startRelay(t, relaying(addr, fmt.Sprintf(`, hello: 1h, tls: {certificates: "%s key=%s"}`, a.path("server.pem"), a.path("server.key")), "", remote))
	return r, &tls.Config{RootCAs: a.pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// testSecureBulk is what line 59 rests on: 64 connections of bulk data by TLS are whole, each way.
func testSecureBulk(t *testing.T) {
	const size = 2 << 20
	back := newRemote(t, func(c net.Conn) {
		sum := crc32.NewIEEE()
		if _, err := io.CopyN(sum, c, size); err == nil && sum.Sum32() == sumOf(1, size) {
			_, _ = io.CopyN(c, newPattern(1), size)
		}
	})
	addr := freePort(t)
	r, conf := secured(t, addr, back.addr)
	var all []net.Conn
	for _, c := range callMany(t, addr, 64) {
		all = append(all, tls.Client(c, conf))
	}
	var senders sync.WaitGroup
	for _, c := range all {
		senders.Go(func() {
			if _, err := io.CopyN(c, newPattern(1), size); err != nil {
				t.Error(err)
			}
		})
	}
	takesAll(t, all, size)
	senders.Wait()
	r.eventually(func(st report.Relay) error {
		if st.Totals.Up != 64*size || st.Totals.Down != 64*size {
			return fmt.Errorf("%d bytes up and %d down, want %d of each", st.Totals.Up, st.Totals.Down, 64*size)
		}
		return nil
	})
	for _, c := range all {
		c.Close()
	}
	r.sessionsAre(0)
}

// testIdle is what line 60 rests on: an idle session has exactly two descriptors, without TLS no goroutine, and
// none of them a pipe, also after it has carried much.
func testIdle(t *testing.T) {
	const sessions = 500
	back := newRemote(t, echoesAs("up"))
	plain, secure := freePort(t), freePort(t)
	r := startRelay(t, relaying(plain, "", "", back.addr))
	s, conf := secured(t, secure, back.addr)
	for _, c := range []struct {
		relay *relayed
		call  func() net.Conn
		most  float64 // goroutines a session
	}{
		{r, func() net.Conn { return call(t, plain) }, 0},
		{s, func() net.Conn { return tls.Client(call(t, secure), conf) }, 2},
	} {
		pid := c.relay.proc.PID()
		first := c.call() // what there is once only
		hears(t, first, "up\n")
		before, goroutines := openFiles(t, pid), c.relay.metrics()["go_goroutines"]
		all := make([]net.Conn, sessions)
		for i := range all {
			all[i] = c.call()
			hears(t, all[i], "up\n")
		}
		const bulk = 4 << 20 // enough to be spliced
		sent := make(chan error, 1)
		go func() {
			_, err := first.Write(make([]byte, bulk))
			sent <- err
		}()
		if _, err := io.CopyN(io.Discard, first, bulk); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() error {
			n := openFiles(t, pid) - before
			more := c.relay.metrics()["go_goroutines"] - goroutines
			st := c.relay.status()
			switch {
			case n != 2*sessions || st.Totals.Pipes != 0:
				return fmt.Errorf("%d idle sessions have %d descriptors and %d pipes, want two each and none", sessions, n, st.Totals.Pipes)
			case more > c.most*sessions+5:
				return fmt.Errorf("%d idle sessions have %v goroutines", sessions, more)
			}
			return nil
		})
		for _, one := range append(all, first) {
			one.Close()
		}
		c.relay.sessionsAre(0)
	}
}

// testTwoThreads is what line 64 rests on: with two threads each carries its half of the sessions, and of their bytes.
func testTwoThreads(t *testing.T) {
	testkit.Need(t, "strace")
	const sessions, size = 8, 4 << 20
	back := newRemote(t, gives(size))
	addr := freePort(t)
	r := startRelay(t, "relay:\n  threads: 2\n  splice: false\n"+strings.TrimPrefix(relaying(addr, "", "", back.addr), "relay:\n"))
	stop := traced(t, r.proc.PID(), "write,writev,sendto,sendmsg")
	all := callMany(t, addr, sessions)
	takesAll(t, all, size)
	for _, c := range all {
		c.Close()
	}
	r.sessionsAre(0)
	carried := regexp.MustCompile(`(?m)^(?:write|sendto)\(.* = (\d{3,})$`)
	var shares []float64
	for _, calls := range stop() {
		sum := 0
		for _, m := range carried.FindAllStringSubmatch(calls, -1) {
			n, _ := strconv.Atoi(m[1])
			sum += n
		}
		if share := float64(sum) / (sessions * size); share > 0.01 {
			shares = append(shares, share)
		}
	}
	if len(shares) != 2 || min(shares[0], shares[1]) < 0.45 {
		t.Errorf("threads have carried %v of the bytes, want two of them half each", shares)
	}
}

// traced has strace write down calls of a process, and stops it: what each thread has called is a text.
func traced(t *testing.T, pid int, calls string) (stop func() (threads []string)) {
	t.Helper()
	dir := shortDir(t)
	trace := testkit.Start(t, "strace", "-ff", "-p", strconv.Itoa(pid), "-o", filepath.Join(dir, "thread"), "-e", "trace="+calls)
	trace.WaitLine(`strace: Process \d+ attached`)
	return func() (threads []string) {
		t.Helper()
		trace.Signal(syscall.SIGINT)
		<-trace.Done()
		files, err := filepath.Glob(filepath.Join(dir, "thread.*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			threads = append(threads, readFile(t, f))
		}
		return threads
	}
}
