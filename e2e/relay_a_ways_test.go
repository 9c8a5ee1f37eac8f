//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// halves is a connection of a test each of whose sides can be ended on its own.
type halves interface {
	net.Conn
	CloseWrite() error
}

// way is a kind of connection to a relay, or from it.
type way string

const (
	byTCP  way = "TCP"
	byTLS  way = "TLS"
	byUNIX way = "UNIX"
)

var ways = []way{byTCP, byTLS, byUNIX}

// crossing is a relay with a listener of each way to a remote of each way.
type crossing struct {
	*relayed
	ca    *authority
	doors map[[2]way]string
}

// newCrossing has remotes of each way do the same; listener is more keys for each listener, each with a comma before it.
func newCrossing(t *testing.T, listener string, talk func(halves)) *crossing {
	t.Helper()
	x := &crossing{ca: newAuthority(t), doors: map[[2]way]string{}}
	dir, file := shortDir(t), ""
	for _, to := range ways {
		var pool string
		switch to {
		case byTCP:
			pool = fmt.Sprintf("{remotes: %q}", newRemote(t, func(c net.Conn) { talk(c.(halves)) }).addr)
		case byTLS:
			r := newRemote(t, func(c net.Conn) { talk(tls.Server(c, x.serverTLS())) })
			pool = fmt.Sprintf("{remotes: %q, tls: {enabled: true, ca: %q}}", r.addr, x.ca.path("ca.pem"))
		case byUNIX:
			path := filepath.Join(dir, "remote")
			newRemoteAt(t, "unix", path, func(c net.Conn) { talk(c.(halves)) })
			pool = fmt.Sprintf("{remotes: %q}", "unix:"+path)
		}
		file += fmt.Sprintf("    %s: %s\n", to, pool)
	}
	file += "  listeners:\n"
	for _, from := range ways {
		for _, to := range ways {
			name, door, more := fmt.Sprintf("%s-%s", from, to), freePort(t), listener
			switch from {
			case byUNIX:
				door = "unix:" + filepath.Join(dir, name)
			case byTLS:
				more += fmt.Sprintf(", tls: {certificates: ['%s key=%s']}", x.ca.path("server.pem"), x.ca.path("server.key"))
			case byTCP:
			}
			x.doors[[2]way{from, to}] = door
			file += fmt.Sprintf("    %s: {listen: '%s', pool: %s%s}\n", name, door, to, more)
		}
	}
	x.relayed = startRelay(t, "relay:\n  pools:\n"+file)
	return x
}

func (x *crossing) serverTLS() *tls.Config {
	pair, err := tls.LoadX509KeyPair(x.ca.path("server.pem"), x.ca.path("server.key"))
	if err != nil {
		x.t.Error(err) // in the goroutine of a remote
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// call connects to the listener of one way whose remote is of another one.
func (x *crossing) call(t *testing.T, from, to way) halves {
	t.Helper()
	door := x.doors[[2]way{from, to}]
	switch from {
	case byUNIX:
		c, err := net.Dial("unix", strings.TrimPrefix(door, "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(lifetime)); err != nil {
			t.Fatal(err)
		}
		return c.(halves)
	case byTLS:
		return tls.Client(call(t, door), &tls.Config{RootCAs: x.ca.pool(), ServerName: "localhost"})
	case byTCP:
	}
	return call(t, door)
}

// each runs a test for each pair of ways, beside each other; x itself is of the test around them.
func (x *crossing) each(t *testing.T, name string, test func(t *testing.T, from, to way)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		for pair := range x.doors {
			t.Run(fmt.Sprintf("%s to %s", pair[0], pair[1]), func(t *testing.T) {
				t.Parallel()
				test(t, pair[0], pair[1])
			})
		}
	})
}

// endWrite ends one side.
func endWrite(t *testing.T, c halves) {
	t.Helper()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// testHalfClose: who has ended its own side is answered. Each way, and with programs that need it.
func testHalfClose(t *testing.T) {
	x := newCrossing(t, "", func(c halves) {
		said, err := io.ReadAll(c)
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(c, "%d bytes, %.9s", len(said), said); err == nil {
			_ = c.CloseWrite()
		}
	})
	x.each(t, "the client first", func(t *testing.T, from, to way) {
		c := x.call(t, from, to)
		says(t, c, "question ")
		says(t, c, strings.Repeat("and more ", 50_000))
		endWrite(t, c)
		if got := hearsRest(t, c); got != "450009 bytes, question " {
			t.Errorf("the answer is %q", got)
		}
	})

	heard := make(chan string, len(ways)*len(ways))
	y := newCrossing(t, "", func(c halves) {
		if _, err := io.WriteString(c, "all that I say"); err != nil {
			return
		}
		if err := c.CloseWrite(); err != nil {
			return
		}
		said, _ := io.ReadAll(c)
		heard <- string(said)
	})
	y.each(t, "the remote first", func(t *testing.T, from, to way) {
		c := y.call(t, from, to)
		if from == byTLS {
			says(t, c, "") // the handshake
		}
		if got := hearsRest(t, c); got != "all that I say" {
			t.Errorf("heard %q before the end", got)
		}
		says(t, c, "what is said afterwards")
		endWrite(t, c)
		if said := <-heard; said != "what is said afterwards" {
			t.Errorf("the remote heard %q", said)
		}
	})
	testHalfCloseSocat(t)
}

// testHalfCloseSocat: wc counts to the end of what it is sent, and answers then.
func testHalfCloseSocat(t *testing.T) {
	testkit.Need(t, "socat", "wc")
	remote, door := freePort(t), freePort(t)
	_, port, _ := net.SplitHostPort(remote)
	startStopped(t, "socat", "TCP-LISTEN:"+port+",bind=127.0.0.1,reuseaddr,fork", "EXEC:wc -c")
	listening(t, remote)
	startCproxy(t, "-l", door, "-r", remote)
	cmd := exec.Command("socat", "-t", strconv.Itoa(int(testkit.Patience.Seconds())), "-", "TCP:"+door)
	cmd.Stdin = strings.NewReader(strings.Repeat("x", 300_000))
	if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != "300000" {
		t.Errorf("wc behind the relay says %q, %v", out, err)
	}
}

// testHalfCloseEnds has ten thousand clients end their side, and remotes that do not end theirs before the
// client says that its session is over.
func testHalfCloseEnds(t *testing.T) {
	const sessions, atOnce, encrypted = 10_000, 500, 50 // of which one is encrypted
	over := make([]chan struct{}, sessions)
	for i := range over {
		over[i] = make(chan struct{})
	}
	remote := newRemote(t, func(c net.Conn) {
		number, err := io.ReadAll(c)
		if i, wrong := strconv.Atoi(string(number)); err == nil && wrong == nil {
			<-over[i]
		}
	})
	plain, hidden, ca := freePort(t), freePort(t), newAuthority(t)
	r := startRelay(t, fmt.Sprintf("relay:\n  listeners:\n    plain: {listen: %q, pool: p, half_close: 300ms}\n"+
		"    hidden: {listen: %q, pool: p, half_close: 300ms, hello: 1m, tls: {certificates: ['%s key=%s']}}\n  pools: {p: {remotes: %q}}\n",
		plain, hidden, ca.path("server.pem"), ca.path("server.key"), remote.addr))
	files, routines := openFiles(t, r.proc.PID()), r.metrics()["go_goroutines"]
	one := func(i int) error {
		defer close(over[i])
		door := plain
		if i%encrypted == 0 {
			door = hidden
		}
		raw, err := tryCall("", door)
		if err != nil {
			return err
		}
		defer raw.Close()
		c := halves(raw)
		if i%encrypted == 0 {
			c = tls.Client(raw, &tls.Config{RootCAs: ca.pool(), ServerName: "localhost"})
		}
		if _, err := io.WriteString(c, strconv.Itoa(i)); err != nil {
			return err
		}
		if err := c.CloseWrite(); err != nil {
			return err
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			return fmt.Errorf("%d bytes and %w in place of the end", n, err)
		}
		return nil
	}
	var all sync.WaitGroup
	for first := range atOnce {
		all.Go(func() {
			for i := first; i < sessions; i += atOnce {
				if err := one(i); err != nil {
					t.Errorf("session %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	r.eventually(func(st report.Relay) error {
		if st.Totals.Ended["half-closed"] != sessions || st.Totals.Sessions != 0 {
			return fmt.Errorf("%d sessions are left, ended have %v", st.Totals.Sessions, st.Totals.Ended)
		}
		return nil
	})
	testkit.Eventually(t, func() error {
		if f, g := openFiles(t, r.proc.PID()), r.metrics()["go_goroutines"]; f > files+2 || g > routines+4 {
			return fmt.Errorf("%d descriptors and %v goroutines, before the sessions %d and %v", f, g, files, routines)
		}
		return nil
	})
	r.session("cause", "half-closed", "listener", "plain", "down", "0")
	r.session("cause", "half-closed", "listener", "hidden", "down", "0")
}

// resets ends a connection by a reset.
func resets(c halves) {
	var raw net.Conn = c
	if t, ok := c.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	_ = raw.(*net.TCPConn).SetLinger(0)
	raw.Close()
}

// testRelayedReset: a reset of one side is one at the other, and the session is told of with its bytes.
func testRelayedReset(t *testing.T) {
	told := make(chan error, 1)
	x := newCrossing(t, "", func(c halves) {
		if _, err := io.CopyN(c, c, 5); err != nil {
			told <- err
			return
		}
		if n, err := c.Read(make([]byte, 1)); n == 0 {
			told <- err
			return
		}
		resets(c)
		told <- nil
	})
	for _, from := range []way{byTCP, byTLS} {
		for _, to := range []way{byTCP, byTLS} {
			listener := fmt.Sprintf("%s-%s", from, to)
			c := x.call(t, from, to)
			says(t, c, "hello")
			hears(t, c, "hello")
			resets(c)
			if err := <-told; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: the client has reset, the remote sees %v", listener, err)
			}
			x.resetLogged(listener, "client", "5")

			c = x.call(t, from, to)
			says(t, c, "hello")
			hears(t, c, "hello")
			says(t, c, "!")
			if err := <-told; err != nil {
				t.Errorf("%s: the remote sees %v", listener, err)
			}
			hearsEnd(t, c, true)
			x.resetLogged(listener, "remote", "6")
		}
	}
}

// resetLogged wants a line of the session log about a reset.
func (x *crossing) resetLogged(listener, cause, up string) {
	x.t.Helper()
	e := x.session("listener", listener, "cause", cause)
	if !e.has("up", up, "down", "5") || !strings.Contains(e["error"], "connection reset by peer") {
		x.t.Errorf("%s: the reset is told of as %v", listener, e)
	}
}

// noise is what one side of a session sends: the same for the same session and side, and never the same twice.
func noise(session byte, side byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{session, side}) }

// chunk is a length between 1 byte and the given one, each order of magnitude as often.
func chunk(most int) int { return 1 + rand.IntN(1<<rand.IntN(bits.Len(uint(most)))) }

// sends writes size bytes of noise in pieces of all lengths.
func sends(w io.Writer, from *rand.ChaCha8, size int) error {
	b := make([]byte, 256<<10)
	for left := size; left > 0; {
		piece := b[:min(chunk(len(b)), left)]
		_, _ = from.Read(piece) // never fails
		if _, err := w.Write(piece); err != nil {
			return fmt.Errorf("after %d bytes: %w", size-left, err)
		}
		left -= len(piece)
	}
	return nil
}

// receives reads size bytes in pieces of all lengths, which must be that noise.
func receives(r io.Reader, want *rand.ChaCha8, size int) error {
	b, same := make([]byte, 256<<10), make([]byte, 256<<10)
	for got := 0; got < size; {
		n, err := r.Read(b[:min(chunk(len(b)), size-got)])
		_, _ = want.Read(same[:n])
		if !bytes.Equal(b[:n], same[:n]) {
			return fmt.Errorf("other bytes than were sent, between %d and %d", got, got+n)
		}
		if got += n; err != nil && got < size {
			return fmt.Errorf("after %d bytes: %w", got, err)
		}
	}
	return nil
}

// tradeNoise sends size bytes each way at once, ends its side and wants the other to end.
func tradeNoise(c halves, session, own, other byte, size int) error {
	sent := make(chan error, 1)
	go func() {
		err := sends(c, noise(session, own), size)
		if err == nil {
			err = c.CloseWrite()
		}
		sent <- err
	}()
	err := receives(c, noise(session, other), size)
	if err == nil {
		if n, end := c.Read(make([]byte, 1)); n != 0 || !errors.Is(end, io.EOF) {
			err = fmt.Errorf("behind the last byte: %d bytes, %w", n, end)
		}
	}
	if err != nil {
		c.Close()
	}
	return errors.Join(err, <-sent)
}

// testExact has each pair of ways carry noise both ways at once; together that is more than 1 GiB. The client
// says first which session it is.
func testExact(t *testing.T) {
	const size = 60 << 20
	told := make(chan error, len(ways)*len(ways))
	x := newCrossing(t, "", func(c halves) {
		session := make([]byte, 1)
		_, err := io.ReadFull(c, session)
		if err == nil {
			err = tradeNoise(c, session[0], 'r', 'c', size)
		}
		told <- err
	})
	var sessions atomic.Uint32
	x.each(t, "noise", func(t *testing.T, from, to way) {
		c, session := x.call(t, from, to), byte(sessions.Add(1))
		says(t, c, string(rune(session)))
		if err := tradeNoise(c, session, 'c', 'r', size); err != nil {
			t.Errorf("the client: %v", err)
		}
	})
	for pair := range x.doors {
		x.session("listener", fmt.Sprintf("%s-%s", pair[0], pair[1]), "up", strconv.Itoa(size+1), "down", strconv.Itoa(size), "error", "-")
		if err := <-told; err != nil {
			t.Errorf("a remote: %v", err)
		}
	}
	if st := x.status(); st.Totals.Spliced == 0 || st.Totals.Copied == 0 {
		t.Errorf("%d bytes were spliced and %d copied, want both", st.Totals.Spliced, st.Totals.Copied)
	}
}
