//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// sendNoise sends datagrams that are no stream to a group until the test is over.
func sendNoise(t *testing.T, group string) {
	t.Helper()
	noise := openDatagrams(t, group)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		pace := time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			case <-pace.C:
				_, _ = noise.conn.Write(garbage(1316, i)) // nobody may listen
			}
		}
	}()
	t.Cleanup(func() { close(over); <-done })
}

// slowClient takes what it is sent when it is told to. Its receive buffer is small, so
// that what it has not taken is still with the engine.
type slowClient struct {
	p    *product
	conn *net.TCPConn
}

func askSlowly(t *testing.T, p *product, path string) slowClient {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	conn, err := d.Dial("tcp", p.user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(lifetime))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	return slowClient{p, conn.(*net.TCPConn)}
}

// facts is what the status says of the client.
func (s slowClient) facts(st report.Status) (report.Client, error) {
	for _, e := range st.Engines {
		for _, ch := range e.Channels {
			for _, c := range ch.Clients {
				if c.Addr == s.conn.LocalAddr().String() {
					return c, nil
				}
			}
		}
	}
	return report.Client{}, fmt.Errorf("no client %s", s.conn.LocalAddr())
}

// untilLag waits until the client is at least n bytes behind, and returns how far.
func (s slowClient) untilLag(n uint64) (lag uint64) {
	s.p.t.Helper()
	s.p.eventually(func(st report.Status) error {
		c, err := s.facts(st)
		if lag = c.Lag; err == nil && lag < n {
			err = fmt.Errorf("the client is %d bytes behind; waited for %d", lag, n)
		}
		return err
	})
	return lag
}

// one takes one byte.
func (s slowClient) one() {
	s.p.t.Helper()
	if _, err := io.ReadFull(s.conn, make([]byte, 1)); err != nil {
		s.p.t.Fatal(err)
	}
}

// rest takes all until the end.
func (s slowClient) rest() {
	s.p.t.Helper()
	if _, err := io.Copy(io.Discard, s.conn); err != nil {
		s.p.t.Fatal(err)
	}
}

// testByteByByte has a client take a byte each time it has fallen further behind. It is
// told as lagging, put forward when it falls out of the history, and nobody else sees it.
func testByteByByte(t *testing.T) {
	p := run(t, settings{config: "history: {depth: 2s, channel: 1MiB}\nstall: 60s\n"})
	neighbour := startNeighbour(t, p)
	group := newGroup()
	send(t, h264, "udp", group, "--bitrate", "8M")
	v := watch(t, p.url("/udp/"+group))
	slow := askSlowly(t, p, "/udp/"+group)
	lag := slow.untilLag(100_000)
	for range 10 {
		slow.one()
		if lag >= 900_000 {
			break // about all there is
		}
		lag = slow.untilLag(lag + 10_000)
	}
	p.eventually(func(st report.Status) error {
		slow.one()
		c, err := slow.facts(st)
		if err == nil && (c.Skips == 0 || c.Skipped == 0) {
			err = fmt.Errorf("never put forward: %+v", c)
		}
		return err
	})
	v.more(1_000_000)
	v.unbroken()
	neighbour.unnoticed()
}

// testLargeDatagrams sends a stream in datagrams of 9000 bytes and more, in which the
// packets are cut anywhere. Every byte arrives, in packets.
func testLargeDatagrams(t *testing.T) {
	p := run(t, settings{})
	neighbour := startNeighbour(t, p)
	file := []byte(readFile(t, h264.file(t)))
	for _, size := range []int{9000, 47 * ts.PacketSize, 65507} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			group := newGroup()
			waiting := ask(t, p.url("/udp/"+group))
			joined(t, group)
			large := openDatagrams(t, group)
			sent, v := 0, (*viewer)(nil)
			for ; sent+size <= len(file); sent += size {
				large.send(file[sent : sent+size])
				if v == nil {
					v = waiting.answered()
				}
				// A packet is whole with the next datagram at the latest.
				v.until(int64(sent + size - 2*ts.PacketSize))
			}
			v.unbroken()
			if got := v.recorded(); !bytes.Equal(got, file[:len(got)]) {
				t.Error("what arrives is not what was sent")
			}
			c, _, err := channel(p.status(), group)
			if err != nil {
				t.Fatal(err)
			}
			if s := c.Sources[0]; c.Format != "ts" || s.Legs[0].Truncated != 0 || s.Legs[0].Datagrams != uint64(sent/size) || s.SyncLost != 0 {
				t.Errorf("%d datagrams of %d bytes: format %s, source %+v", sent/size, size, c.Format, s)
			}
		})
	}
	neighbour.unnoticed()
}

// testInterfaceVanishes deletes the interface of a channel and makes it anew. The channel
// joins again by itself and its client is kept; one on another interface sees nothing.
func testInterfaceVanishes(t *testing.T) {
	const link, group = "goes0", "239.79.0.1:5000"
	testkit.Need(t, "ip")
	lay(t, link)
	p := run(t, settings{config: "no_data: 0s\n"})
	neighbour := startNeighbour(t, p)
	sender := send(t, h264, "udp", group, "--interface", link)
	v := watch(t, p.url("/udp/"+group))
	v.more(20_000)
	for range 2 {
		sender.Signal(syscall.SIGTERM)
		if err := sender.Wait(); err != nil {
			t.Error(err)
		}
		ip(t, "link", "del", link)
		p.eventually(func(st report.Status) error {
			c, _, err := channel(st, group)
			if err == nil && (c.State != "silent" || !strings.Contains(c.Sources[0].Legs[0].Dropped, link)) {
				err = fmt.Errorf("the channel is %s, leg %+v; want silent, and the interface named", c.State, c.Sources[0].Legs[0])
			}
			return err
		})
		lay(t, link)
		joined(t, group)
		sender = send(t, h264, "udp", group, "--interface", link)
		v.more(20_000)
		p.state(group, "live")
	}
	p.proc.WaitLine(`group not joined any more.*` + link)
	p.proc.WaitLine(`group joined again`)
	neighbour.unnoticed()
}

// lay makes an interface on a cable to nobody. The groups of 239.79.0.0/16 are routed to it.
func lay(t *testing.T, link string) {
	t.Helper()
	ip(t, "link", "add", link, "type", "veth", "peer", "name", link+"-end")
	ip(t, "addr", "add", "10.79.0.1/24", "dev", link)
	ip(t, "link", "set", link, "up")
	ip(t, "link", "set", link+"-end", "up")
	ip(t, "route", "add", "239.79.0.0/16", "dev", link)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", link).Run() }) // gone already is fine
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
