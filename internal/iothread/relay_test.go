package iothread

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainInNamespace(m) }

// onBoth runs a test with threads and with the goroutines that stand in for them.
func onBoth(t *testing.T, c Config, test func(t *testing.T, d *desk, start func() carrier)) {
	t.Helper()
	kinds := map[string]func(d *desk) (carrier, error){
		"threads":    func(d *desk) (carrier, error) { return New(c, d, quiet()) },
		"goroutines": func(d *desk) (carrier, error) { return newGoroutines(c, d, quiet()) },
	}
	for name, make := range kinds {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			d := &desk{within: testkit.Patience}
			test(t, d, func() carrier {
				c, err := make(d)
				if err != nil {
					t.Fatal(err)
				}
				start(t, c)
				return c
			})
		})
	}
}

func TestRelay(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "tcp", "127.0.0.1:0", echo)
		d.target = &flow.Target{Name: "echo", Pool: "all", Addr: s.addr}
		addr := listen(t, start(), flow.Listener{})
		c := dialTo(t, addr)
		io.WriteString(c, "there and back")
		c.CloseWrite()
		reads(t, c, "there and back")
		end := closed(t, d, 1)[0]
		if end.Up != 14 || end.Down != 14 || end.Cause != flow.CauseClient || end.Err != nil || end.Remote.Name != "echo" || end.Local != addr {
			t.Errorf("%+v", end)
		}
		if peer := flow.FromNet(c.LocalAddr()); end.Peer != peer || end.Client != peer {
			t.Errorf("the client is %s, want %s", end.Peer, peer)
		}
	})
}

// TestUnix relays from one UNIX socket to another.
func TestUnix(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "unix", filepath.Join(t.TempDir(), "remote"), echo)
		d.target = &flow.Target{Addr: s.addr}
		addr := listen(t, start(), flow.Listener{Addr: flow.Addr{Network: flow.Unix, Path: filepath.Join(t.TempDir(), "door")}})
		c := dialTo(t, addr)
		text := strings.Repeat("there and back", 100_000)
		go func() {
			io.WriteString(c, text)
			c.CloseWrite()
		}()
		reads(t, c, text)
		if end := closed(t, d, 1)[0]; end.Local != addr || end.Peer.Network != flow.Unix {
			t.Errorf("from %v to %v", end.Peer, end.Local)
		}
	})
}

// TestIPv6 relays over a socket that takes both versions: the addresses are what they are.
func TestIPv6(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "tcp", "[::1]:0", echo)
		d.target = &flow.Target{Addr: s.addr}
		all := listen(t, start(), flow.Listener{Addr: must("[::]:0"), DSCP: 8, NoDelay: true})
		for i, host := range []string{"127.0.0.1", "[::1]"} {
			to := must(fmt.Sprintf("%s:%d", host, all.IP.Port()))
			c := dialTo(t, to)
			io.WriteString(c, "x")
			c.CloseWrite()
			reads(t, c, "x")
			if end := closed(t, d, i+1)[i]; end.Local != to || end.Peer != flow.FromNet(c.LocalAddr()) {
				t.Errorf("%s is said to come from %s to %s", to, end.Peer, end.Local)
			}
		}
	})
}

func must(text string) flow.Addr {
	a, err := flow.ParseAddr(text)
	if err != nil {
		panic(err)
	}
	return a
}

// TestHalfClose has either side end first and the other answer then.
func TestHalfClose(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		got := make(chan string, 1)
		s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) {
			io.WriteString(c, "first")
			c.CloseWrite()
			all, _ := io.ReadAll(c)
			got <- string(all)
		})
		d.target = &flow.Target{Addr: s.addr}
		c := dialTo(t, listen(t, start(), flow.Listener{HalfClose: testkit.Patience}))
		reads(t, c, "first")
		io.WriteString(c, "second")
		c.CloseWrite()
		if second := <-got; second != "second" {
			t.Errorf("after its end the remote got %q", second)
		}
		if end := closed(t, d, 1)[0]; end.Cause != flow.CauseRemote || end.Up != 6 || end.Down != 5 {
			t.Errorf("cause %s, %d up, %d down", end.Cause, end.Up, end.Down)
		}
	})
}

// TestExact sends pieces of all sizes both ways at once, quickly and slowly by turns, so that
// directions go over to pipes and back, through sockets with small buffers.
func TestExact(t *testing.T) {
	onBoth(t, Config{Threads: 2, Pipes: 3 << 20}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) { exchange(t, c, 1) })
		d.target = &flow.Target{Addr: s.addr}
		carrier := start()
		addr := listen(t, carrier, flow.Listener{})
		small := listen(t, carrier, flow.Listener{Buffer: 5000, NoDelay: true})
		var all sync.WaitGroup
		for i := range 6 {
			c := dialTo(t, []flow.Addr{addr, small}[i%2])
			all.Go(func() { exchange(t, c, 0) })
		}
		all.Wait()
		for _, end := range closed(t, d, 6) {
			if end.Up != exactBytes || end.Down != exactBytes || end.Err != nil {
				t.Errorf("%d up, %d down, %v", end.Up, end.Down, end.Err)
			}
		}
		if f := carrier.Figures(); f.Accepted != 6 {
			t.Errorf("%d were accepted", f.Accepted)
		}
		if threads, ok := carrier.(*Threads); ok {
			checkSpliced(t, threads)
		}
	})
}

// checkSpliced wants bytes to have gone both ways, and no pipe to be open in the end.
func checkSpliced(t *testing.T, c carrier) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if f := c.Figures(); f.Spliced == 0 || f.Copied == 0 || f.Spliced+f.Copied != 6*2*exactBytes || f.Pipes != 0 {
			return fmt.Errorf("%d bytes were spliced, %d copied, %d pipes are open", f.Spliced, f.Copied, f.Pipes)
		}
		return nil
	})
}

const exactBytes = 12 << 20

// exchange sends a stream that the seed and the peer's agree on, and checks the one it gets.
func exchange(t *testing.T, c halfConn, side uint64) {
	var both sync.WaitGroup
	both.Go(func() {
		r := rand.New(rand.NewPCG(side, 7))
		data, left := pattern(side), exactBytes
		for left > 0 {
			size := 1 + r.IntN(2000)
			if left/(1<<20)%2 == 1 { // a megabyte in small pieces, the next at once
				size = 1 << 20
			}
			size = min(size, left)
			if _, err := c.Write(data[:size]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			data, left = data[size:], left-size
		}
		c.CloseWrite()
	})
	both.Go(func() {
		sum, want := sha256.New(), sha256.Sum256(pattern(1-side))
		if _, err := io.CopyBuffer(sum, struct{ io.Reader }{c}, make([]byte, 10_000)); err != nil {
			t.Errorf("read: %v", err)
		}
		if !bytes.Equal(sum.Sum(nil), want[:]) {
			t.Error("what came is not what was sent")
		}
	})
	both.Wait()
}

// pattern is what one side sends.
func pattern(side uint64) []byte {
	data := make([]byte, exactBytes)
	key := [32]byte{byte(side)}
	rand.NewChaCha8(key).Read(data)
	return data
}

// TestReset has either side break the connection: the other side must see the same.
func TestReset(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		hold := make(chan halfConn)
		s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) {
			buf := make([]byte, 3)
			io.ReadFull(c, buf)
			c.Write(buf)
			hold <- c
			<-hold
		})
		d.target = &flow.Target{Addr: s.addr}
		addr := listen(t, start(), flow.Listener{})
		for i, tt := range []struct {
			byRemote bool
			cause    flow.Cause
		}{{false, flow.CauseClient}, {true, flow.CauseRemote}} {
			c := dialTo(t, addr)
			io.WriteString(c, "abc")
			io.ReadFull(c, make([]byte, 3))
			breaks, sees := net.Conn(c), net.Conn(<-hold)
			if tt.byRemote {
				breaks, sees = sees, breaks
			}
			breaks.(*net.TCPConn).SetLinger(0)
			breaks.Close()
			if _, err := sees.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s reset, the other side saw %v", tt.cause, err)
			}
			hold <- nil
			end := closed(t, d, i+1)[i]
			if end.Cause != tt.cause || end.Up != 3 || end.Down != 3 || !errors.Is(end.Err, syscall.ECONNRESET) {
				t.Errorf("cause %s, want %s; %d up, %d down, %v", end.Cause, tt.cause, end.Up, end.Down, end.Err)
			}
		}
	})
}

// TestBeforeRemote sends before the remote is known: the bytes wait in the kernel and come in
// order, after the prelude.
func TestBeforeRemote(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "tcp", "127.0.0.1:0", echo)
		waits := make(chan *flow.Session, 1)
		d.target = &flow.Target{Addr: s.addr, Prelude: []byte("prelude ")}
		d.open = func(s *flow.Session) flow.Plan {
			waits <- s
			return flow.Plan{Step: flow.Wait, Within: testkit.Patience}
		}
		d.again = func(_ *flow.Session, late bool) flow.Plan {
			if late {
				return flow.Plan{Cause: flow.CauseFull}
			}
			return d.dial()
		}
		c := dialTo(t, listen(t, start(), flow.Listener{}))
		io.WriteString(c, "early ")
		(<-waits).Wake()
		io.WriteString(c, "late")
		c.CloseWrite()
		reads(t, c, "prelude early late")
		if end := closed(t, d, 1)[0]; end.Up != 10 || end.Down != 18 {
			t.Errorf("%d up, %d down", end.Up, end.Down)
		}
	})
}

// TestLate: a wait that nobody ends is over in time, and Wake does nothing afterwards.
func TestLate(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		waits := make(chan *flow.Session, 1)
		d.open = func(s *flow.Session) flow.Plan {
			waits <- s
			return flow.Plan{Step: flow.Wait, Within: 10 * time.Millisecond}
		}
		d.again = func(_ *flow.Session, late bool) flow.Plan {
			if !late {
				t.Error("nobody has called Wake")
			}
			return flow.Plan{Cause: flow.CauseFull, Err: errTest}
		}
		c := dialTo(t, listen(t, start(), flow.Listener{}))
		reads(t, c, "")
		if end := closed(t, d, 1)[0]; end.Cause != flow.CauseFull || !errors.Is(end.Err, errTest) || end.Queued < 10*time.Millisecond {
			t.Errorf("cause %s, %v, queued for %s", end.Cause, end.Err, end.Queued)
		}
		(<-waits).Wake()
	})
}

// TestLook shows the head byte by byte, skips a line, and looks at the next one.
func TestLook(t *testing.T) {
	onBoth(t, Config{Buffer: 100}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "tcp", "127.0.0.1:0", echo)
		d.target = &flow.Target{Addr: s.addr}
		lines := make(chan string, 2)
		seen := make(chan int, 100)
		d.open = func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Look, Within: testkit.Patience} }
		first := true
		d.look = func(_ *flow.Session, head []byte, now bool) flow.Plan {
			seen <- len(head)
			line, _, whole := bytes.Cut(head, []byte("\n"))
			if !whole {
				if now {
					t.Errorf("no more than %q?", head)
				}
				return flow.Plan{Step: flow.Look, Within: testkit.Patience}
			}
			lines <- string(line)
			if first {
				first = false
				return flow.Plan{Step: flow.Look, Skip: len(line) + 1, Within: testkit.Patience}
			}
			return d.dial()
		}
		c := dialTo(t, listen(t, start(), flow.Listener{}))
		for _, b := range []byte("one") {
			c.Write([]byte{b})
			<-seen
		}
		io.WriteString(c, "\ntw")
		io.WriteString(c, "o\nrest")
		if one, two := <-lines, <-lines; one != "one" || two != "two" {
			t.Errorf("looked at %q and %q", one, two)
		}
		c.CloseWrite()
		reads(t, c, "two\nrest")
	})
}

// TestLookEnds: the end of the client, a full buffer and the time are said to be the end of what
// comes. On goroutines an end that comes with the last byte is seen when the time is over.
func TestLookEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		do     func(c halfConn)
		bytes  int
		within time.Duration
	}{
		{"end", func(c halfConn) { io.WriteString(c, "abc"); c.CloseWrite() }, 3, testkit.Patience},
		{"end without a byte", func(c halfConn) { c.CloseWrite() }, 0, testkit.Patience},
		{"full", func(c halfConn) { io.WriteString(c, strings.Repeat("x", 200)) }, 100, testkit.Patience},
		{"time", func(c halfConn) { io.WriteString(c, "abcd") }, 4, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, Config{Buffer: 100}, func(t *testing.T, d *desk, start func() carrier) {
				carrier := start()
				within := tt.within
				if _, is := carrier.(*goroutines); is && tt.name == "end" {
					within = 100 * time.Millisecond
				}
				d.open = func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Look, Within: within} }
				last := make(chan int, 1)
				d.look = func(_ *flow.Session, head []byte, now bool) flow.Plan {
					if !now {
						return flow.Plan{Step: flow.Look}
					}
					last <- len(head)
					return flow.Plan{Cause: flow.CauseHello}
				}
				c := dialTo(t, listen(t, carrier, flow.Listener{}))
				tt.do(c)
				if n := <-last; n != tt.bytes {
					t.Errorf("%d bytes were all, want %d", n, tt.bytes)
				}
				if end := closed(t, d, 1)[0]; end.Cause != flow.CauseHello {
					t.Errorf("cause %s", end.Cause)
				}
			})
		})
	}
}

// TestLookInVain: a Desk that looks on after the end has a fault, and the session ends.
func TestLookInVain(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		d.open = func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Look} }
		d.look = func(*flow.Session, []byte, bool) flow.Plan { return flow.Plan{Step: flow.Look} }
		c := dialTo(t, listen(t, start(), flow.Listener{}))
		c.CloseWrite()
		reads(t, c, "")
		if end := closed(t, d, 1)[0]; end.Cause != flow.CauseError || !errors.Is(end.Err, errNoMore) {
			t.Errorf("cause %s, %v", end.Cause, end.Err)
		}
	})
}

// TestGoneWhileLooking: a client that breaks off is noticed while it is looked at.
func TestGoneWhileLooking(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		d.open = func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Look} }
		d.look = func(_ *flow.Session, _ []byte, now bool) flow.Plan {
			if now {
				t.Error("a reset is no end")
			}
			return flow.Plan{Step: flow.Look}
		}
		c := dialTo(t, listen(t, start(), flow.Listener{}))
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		if end := closed(t, d, 1)[0]; end.Cause != flow.CauseClient || !errors.Is(end.Err, syscall.ECONNRESET) {
			t.Errorf("cause %s, %v", end.Cause, end.Err)
		}
	})
}

// TestRetry: a remote that refuses is told to the Desk, which sends the client elsewhere.
func TestRetry(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "tcp", "127.0.0.1:0", echo)
		gone, _ := net.Listen("tcp", "127.0.0.1:0")
		gone.Close()
		d.target = &flow.Target{Name: "gone", Addr: flow.FromNet(gone.Addr())}
		d.failed = func(s2 *flow.Session, err error) flow.Plan {
			if want := "connect to " + d.target.Addr.String() + ": connection refused"; err.Error() != want || !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%v, want %s", err, want)
			}
			if s2.Remote.Name != "gone" {
				t.Errorf("%q has failed", s2.Remote.Name)
			}
			return flow.Plan{Step: flow.Dial, Target: &flow.Target{Name: "here", Addr: s.addr}}
		}
		c := dialTo(t, listen(t, start(), flow.Listener{}))
		io.WriteString(c, "x")
		c.CloseWrite()
		reads(t, c, "x")
		if end := closed(t, d, 1)[0]; end.Remote.Name != "here" || end.Cause != flow.CauseClient {
			t.Errorf("%s, %s", end.Remote.Name, end.Cause)
		}
	})
}

// TestNoAnswer: a remote that takes no more connections is given up in time.
func TestNoAnswer(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		d.target = &flow.Target{Addr: silent(t)}
		d.within = 50 * time.Millisecond
		c := dialTo(t, listen(t, start(), flow.Listener{}))
		reads(t, c, "")
		end := closed(t, d, 1)[0]
		want := "connect to " + d.target.Addr.String() + ": no answer in time: "
		if end.Err == nil || !strings.HasPrefix(end.Err.Error(), want) || !errors.Is(end.Err, context.DeadlineExceeded) || end.Cause != flow.CauseNoRemote {
			t.Errorf("%s: %v, want %s", end.Cause, end.Err, want)
		}
	})
}

// TestFrom connects from a given address.
func TestFrom(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		peers := make(chan flow.Addr, 1)
		s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) { peers <- flow.FromNet(c.RemoteAddr()) })
		d.target = &flow.Target{Addr: s.addr, From: must("127.0.0.9:1").IP.Addr()}
		c := dialTo(t, listen(t, start(), flow.Listener{}))
		if peer := <-peers; peer.IP.Addr() != d.target.From {
			t.Errorf("comes from %s", peer)
		}
		reads(t, c, "")
		c.Close()
		closed(t, d, 1)
		wrong := *d.target
		wrong.From = must("[::1]:1").IP.Addr()
		d.open = func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Dial, Target: &wrong} }
		c = dialTo(t, listen(t, start(), flow.Listener{}))
		reads(t, c, "")
		if end := closed(t, d, 2)[1]; end.Err == nil || !strings.Contains(end.Err.Error(), "other IP version") {
			t.Errorf("%v", end.Err)
		}
	})
}

// TestTake gives the client's socket away, with what it has sent still in it.
func TestTake(t *testing.T) {
	onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
		taken := make(chan net.Conn, 1)
		d.open = func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Look} }
		d.look = func(*flow.Session, []byte, bool) flow.Plan { return flow.Plan{Step: flow.Take} }
		d.take = func(_ *flow.Session, c net.Conn) { taken <- c }
		carrier := start()
		c := dialTo(t, listen(t, carrier, flow.Listener{}))
		io.WriteString(c, "hello")
		mine := <-taken
		defer mine.Close()
		c.CloseWrite()
		reads(t, mine, "hello")
		io.WriteString(mine, "bye")
		mine.Close()
		reads(t, c, "bye")
		testkit.Eventually(t, func() error {
			if n := carrier.Count(); n != 0 {
				return fmt.Errorf("%d sessions left", n)
			}
			return nil
		})
		if _, n := d.counts(); n != 0 {
			t.Error("a session that was taken was closed, too")
		}
	})
}

// TestTimes ends quiet sessions, whole ones and half-closed ones.
func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		l     flow.Listener
		half  bool
		cause flow.Cause
	}{
		{"idle", flow.Listener{Idle: 50 * time.Millisecond, HalfClose: 10 * time.Millisecond}, false, flow.CauseIdle},
		{"half-closed", flow.Listener{Idle: time.Hour, HalfClose: 50 * time.Millisecond}, true, flow.CauseHalfClosed},
		{"half-closed and idle", flow.Listener{Idle: 50 * time.Millisecond}, true, flow.CauseIdle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, Config{}, func(t *testing.T, d *desk, start func() carrier) {
				over := make(chan struct{})
				s := serve(t, "tcp", "127.0.0.1:0", func(halfConn) { <-over })
				defer close(over)
				d.target = &flow.Target{Addr: s.addr}
				c := dialTo(t, listen(t, start(), tt.l))
				io.WriteString(c, "x")
				if tt.half {
					c.CloseWrite()
				}
				if end := closed(t, d, 1)[0]; end.Cause != tt.cause || end.Up != 1 {
					t.Errorf("cause %s, want %s; %d up", end.Cause, tt.cause, end.Up)
				}
			})
		})
	}
}

// TestOrders: views show what runs, End ends what it is told to.
func TestOrders(t *testing.T) {
	onBoth(t, Config{Threads: 2}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "tcp", "127.0.0.1:0", echo)
		d.target = &flow.Target{Name: "echo", Pool: "all", Addr: s.addr}
		carrier := start()
		addr := listen(t, carrier, flow.Listener{Name: "door"})
		var clients []halfConn
		for range 5 {
			c := dialTo(t, addr)
			io.WriteString(c, "x")
			io.ReadFull(c, make([]byte, 1))
			clients = append(clients, c)
		}
		var views []flow.View
		testkit.Eventually(t, func() error { // a byte is counted after it was sent
			views = carrier.Views()
			if len(views) != 5 || slices.ContainsFunc(views, func(v flow.View) bool { return v.Up != 1 || v.Down != 1 }) {
				return fmt.Errorf("views: %+v", views)
			}
			return nil
		})
		if carrier.Count() != 5 {
			t.Errorf("%d sessions", carrier.Count())
		}
		ids := map[uint64]bool{}
		for _, v := range views {
			ids[v.ID] = true
			if v.Listener != "door" || v.Pool != "all" || v.Remote != "echo" || v.Up != 1 || v.Down != 1 || v.Connected.IsZero() {
				t.Errorf("%+v", v)
			}
		}
		if len(ids) != 5 {
			t.Error("sessions share an ID")
		}
		first := flow.FromNet(clients[0].LocalAddr())
		if n := carrier.End(func(v flow.View) bool { return v.Client == first }, flow.CauseKilled, true); n != 1 {
			t.Errorf("%d were ended", n)
		}
		if _, err := clients[0].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client that was killed sees %v", err)
		}
		if n := carrier.End(func(flow.View) bool { return true }, flow.CauseDown, false); n != 4 {
			t.Errorf("%d were ended", n)
		}
		reads(t, clients[1], "")
		causes := map[flow.Cause]int{}
		for _, end := range closed(t, d, 5) {
			causes[end.Cause]++
		}
		if causes[flow.CauseKilled] != 1 || causes[flow.CauseDown] != 4 {
			t.Errorf("causes: %v", causes)
		}
	})
}

// TestDrain: with the end of Run all sessions are reset and told, whatever they do.
func TestDrain(t *testing.T) {
	testkit.NoLeaks(t)
	for _, kind := range []string{"threads", "goroutines"} {
		d := &desk{}
		var c carrier
		c, err := New(Config{Threads: 3}, d, quiet())
		if kind == "goroutines" {
			c, err = newGoroutines(Config{}, d, quiet())
		}
		if err != nil {
			t.Fatal(err)
		}
		s := serve(t, "tcp", "127.0.0.1:0", echo)
		plans := []flow.Plan{
			{Step: flow.Dial, Target: &flow.Target{Addr: s.addr}},
			{Step: flow.Dial, Target: &flow.Target{Addr: silent(t)}},
			{Step: flow.Look},
			{Step: flow.Wait},
		}
		next := make(chan flow.Plan, len(plans))
		for _, p := range plans {
			next <- p
		}
		d.open = func(*flow.Session) flow.Plan { return <-next }
		stop := start(t, c)
		addr := listen(t, c, flow.Listener{})
		var clients []halfConn
		for range plans {
			clients = append(clients, dialTo(t, addr))
		}
		testkit.Eventually(t, func() error {
			if n, _ := d.counts(); n != len(plans) {
				return fmt.Errorf("%d were opened", n)
			}
			return nil
		})
		stop()
		for _, end := range closed(t, d, len(plans)) {
			if end.Cause != flow.CauseDrain {
				t.Errorf("%s: cause %s", kind, end.Cause)
			}
		}
		for _, c := range clients {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: the client sees %v", kind, err)
			}
		}
		if _, err := net.Dial("tcp", addr.String()); err == nil {
			t.Errorf("%s: still listens", kind)
		}
		if len(c.Views()) != 0 || c.Count() != 0 || c.End(func(flow.View) bool { return true }, flow.CauseKilled, true) != 0 {
			t.Errorf("%s: there are sessions after the end", kind)
		}
	}
}

// TestDoors pauses, changes and closes a listening socket.
func TestDoors(t *testing.T) {
	onBoth(t, Config{Threads: 2}, func(t *testing.T, d *desk, start func() carrier) {
		s := serve(t, "tcp", "127.0.0.1:0", echo)
		d.target = &flow.Target{Addr: s.addr}
		carrier := start()
		addr := listen(t, carrier, flow.Listener{Name: "a"})
		other := listen(t, carrier, flow.Listener{Name: "b"})
		through := func(to flow.Addr) {
			c := dialTo(t, to)
			io.WriteString(c, "x")
			c.CloseWrite()
			reads(t, c, "x")
		}
		carrier.Pause("a", true)
		c := dialTo(t, addr) // waits in the kernel's queue
		io.WriteString(c, "y")
		c.CloseWrite()
		through(other)
		if n, _ := d.counts(); n != 1 {
			t.Errorf("%d were let in while it pauses", n)
		}
		carrier.Pause("a", false)
		reads(t, c, "y")

		if err := carrier.Change(&flow.Listener{Name: "a", Addr: addr, Keep: "new", NoDelay: true}); err != nil {
			t.Error(err)
		}
		through(addr)
		if !slices.ContainsFunc(closed(t, d, 3), func(s flow.Session) bool { return s.Listener.Keep == "new" }) {
			t.Error("no session has the listener that was given")
		}
		if err := carrier.Change(&flow.Listener{Name: "b", Addr: addr}); err == nil {
			t.Error("there is no b at the address of a")
		}
		carrier.Close("a", addr)
		if _, err := net.Dial("tcp", addr.String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after Close: %v", err)
		}
		through(other)
	})
}
