//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// taker is a client of a made-up channel. It notes which packets it has got.
type taker struct {
	t      *testing.T
	name   string
	addr   string // its own, as the status tells it
	conn   net.Conn
	stream *bufio.Reader
	done   chan struct{} // the stream has ended
	news   chan struct{} // capacity 1: something has arrived

	mu      sync.Mutex // guards the fields below
	got     []stretch
	strange int // bytes that are no packet of the channel
	err     error
}

// stretch is the packets [from, to) without a gap.
type stretch struct{ from, to int }

// anyAddress lets the system choose where a client comes from.
const anyAddress = ""

// errAnswer is an answer that is no stream.
type errAnswer struct {
	code  int
	retry string // Retry-After
}

func (e errAnswer) Error() string { return fmt.Sprintf("answered with %d", e.code) }

// connect sends a request from an address of this machine and reads nothing.
func connect(p *product, path, from string, control func(_, _ string, _ syscall.RawConn) error) (*taker, error) {
	d := net.Dialer{Control: control, Timeout: testkit.Patience}
	if from != anyAddress {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp4", p.user)
	if err != nil {
		return nil, err
	}
	k := &taker{
		name: path, addr: conn.LocalAddr().String(), conn: conn, stream: bufio.NewReader(conn),
		done: make(chan struct{}), news: make(chan struct{}, 1),
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: sluice\r\n\r\n", path); err != nil {
		conn.Close()
		return nil, err
	}
	return k, nil
}

// head reads the head of the answer; one that is no stream is an errAnswer, and closes
// the connection.
func (k *taker) head() error {
	_ = k.conn.SetReadDeadline(time.Now().Add(testkit.Patience))
	resp, err := http.ReadResponse(k.stream, nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errAnswer{resp.StatusCode, resp.Header.Get("Retry-After")}
	}
	if err != nil {
		k.conn.Close()
	} else if len(resp.TransferEncoding) > 0 { // as an origin answers
		k.stream = bufio.NewReader(resp.Body)
	}
	_ = k.conn.SetReadDeadline(time.Time{})
	return err
}

// knock asks for a stream and reads no further than the head of the answer.
func knock(p *product, path, from string) (*taker, error) {
	k, err := connect(p, path, from, nil)
	if err != nil {
		return nil, err
	}
	if err := k.head(); err != nil {
		return nil, err
	}
	return k, nil
}

// take starts a client that reads.
func take(p *product, path, from string) *taker {
	p.t.Helper()
	k, err := knock(p, path, from)
	if err != nil {
		p.t.Fatalf("GET %s: %v", path, err)
	}
	k.read(p.t)
	return k
}

// takeMany starts n clients that read.
func takeMany(p *product, path string, n int) []*taker {
	p.t.Helper()
	all := make([]*taker, n)
	for i := range all {
		all[i] = take(p, path, anyAddress)
	}
	return all
}

// stall starts n clients that read nothing, with a small window, and waits until all are
// clients of the channel. They read when resume is called.
func stall(p *product, path string, n int) []*taker {
	p.t.Helper()
	all := make([]*taker, n)
	for i := range all {
		k, err := connect(p, path, anyAddress, smallWindow)
		if err != nil {
			p.t.Fatal(err)
		}
		k.t = p.t
		p.t.Cleanup(func() { k.conn.Close() })
		all[i] = k
	}
	p.eventually(func(st report.Status) error {
		for _, k := range all {
			if _, err := clientOf(st, k.addr); err != nil {
				return err
			}
		}
		return nil
	})
	return all
}

func smallWindow(_, _ string, c syscall.RawConn) (err error) {
	if problem := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	}); problem != nil {
		return problem
	}
	return err
}

// resume lets a stalled client read.
func (k *taker) resume() {
	k.t.Helper()
	if err := k.head(); err != nil {
		k.t.Fatal(err)
	}
	k.read(k.t)
}

// clientOf finds a client of the status by its address.
func clientOf(st report.Status, addr string) (report.Client, error) {
	for _, e := range st.Engines {
		for _, ch := range e.Channels {
			for _, c := range ch.Clients {
				if c.Addr == addr {
					return c, nil
				}
			}
		}
	}
	return report.Client{}, fmt.Errorf("no client %s", addr)
}

// read starts to read; it goes on until the end of the stream or of the test.
func (k *taker) read(t *testing.T) {
	k.t = t
	t.Cleanup(k.close)
	go k.loop()
}

func (k *taker) loop() {
	defer close(k.done)
	buf := make([]byte, 0, 64<<10+ts.PacketSize)
	for {
		n, err := k.stream.Read(buf[len(buf):cap(buf)])
		buf = k.note(buf[:len(buf)+n], err)
		select {
		case k.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// note takes the whole packets of b and returns the rest.
func (k *taker) note(b []byte, err error) (rest []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := b
	for len(b) >= ts.PacketSize {
		if n, ok := numberOf(ts.Packet(b)); ok {
			k.count(n)
		} else {
			k.strange += ts.PacketSize
		}
		b = b[ts.PacketSize:]
	}
	k.err = err
	return all[:copy(all, b)]
}

func (k *taker) count(n int) {
	if last := len(k.got) - 1; last >= 0 && k.got[last].to == n {
		k.got[last].to++
		return
	}
	k.got = append(k.got, stretch{n, n + 1})
}

func (k *taker) close() {
	k.conn.Close()
	<-k.done
}

// end waits for the end of the stream and returns why; io.EOF is an orderly one.
func (k *taker) end() error {
	k.t.Helper()
	limit := time.NewTimer(testkit.Patience)
	defer limit.Stop()
	select {
	case <-k.done:
	case <-limit.C:
		k.t.Fatalf("%s has not ended", k.name)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// next is the number behind the newest packet, 0 before the first.
func (k *taker) next() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.got) == 0 {
		return 0
	}
	return k.got[len(k.got)-1].to
}

// until waits for the packets below n.
func (k *taker) until(n int) {
	k.t.Helper()
	limit := time.NewTimer(testkit.Patience)
	defer limit.Stop()
	for k.next() < n {
		select {
		case <-k.news:
		case <-k.done:
			if k.next() < n {
				k.t.Fatalf("%s ended (%v) at packet %d of %d", k.name, k.end(), k.next(), n)
			}
		case <-limit.C:
			k.t.Fatalf("%s has %v, waited for packet %d", k.name, k.packets(), n)
		}
	}
}

func (k *taker) packets() []stretch {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.got)
}

// goesOn waits until each has got n more packets.
func goesOn(n int, all ...*taker) {
	want := make([]int, len(all))
	for i, k := range all {
		want[i] = k.next() + n
	}
	for i, k := range all {
		k.t.Helper()
		k.until(want[i])
	}
}

// whole wants everybody to have got packets without a gap.
func whole(all ...*taker) {
	for _, k := range all {
		k.t.Helper()
		if got := k.check(); len(got) != 1 {
			k.t.Errorf("%s %s: packets %v, want no gap", k.name, k.addr, got)
		}
	}
}

// check returns what has come in one piece each. All but the first, which may be where
// the channel itself begins, begin with tables and a key frame.
func (k *taker) check() []stretch {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.strange != 0 {
		k.t.Errorf("%s %s: %d bytes that are no packet of the channel", k.name, k.addr, k.strange)
	}
	for i, r := range k.got {
		if i > 0 && r.from%groupPackets != 0 {
			k.t.Errorf("%s %s: packets %v: %d is no PAT before a key frame", k.name, k.addr, k.got, r.from)
		}
	}
	return slices.Clone(k.got)
}

// refused reports the answer of a limit; any other error fails the test.
func refused(t *testing.T, err error) bool {
	t.Helper()
	var a errAnswer
	if err == nil {
		return false
	}
	if !errors.As(err, &a) || a.code != http.StatusServiceUnavailable {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(a.retry); err != nil || n < 1 {
		t.Errorf("503 with Retry-After %q, want seconds", a.retry)
	}
	return true
}

// residentBytes is the resident memory of a process.
func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("process %d has no VmRSS", pid)
	return 0
}
