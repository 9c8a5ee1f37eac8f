package loop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/history"
	"sluice/internal/report"
	"sluice/internal/uri"
)

const packetSize = 188

// packets returns n null packets with running numbers from first on.
func packets(first, n int) []byte {
	b := bytes.Repeat([]byte{0xFF}, n*packetSize)
	for i := range n {
		p := b[i*packetSize:]
		copy(p, []byte{0x47, 0x1F, 0xFF, 0x10})
		binary.BigEndian.PutUint32(p[4:], uint32(first+i))
	}
	return b
}

// pair returns a connected pair of non-blocking unix sockets.
func pair(t testing.TB, kind int) (ours, theirs int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// station is a source that a test feeds: datagrams over a unix socket.
type station struct {
	t    testing.TB
	feed int // the test's end
	fd   int
	sent int // packets
	fail error
}

func (s *station) FD() int                 { return s.fd }
func (s *station) Counters() report.Source { return report.Source{} }
func (s *station) Close() error            { return unix.Close(s.fd) }
func (s *station) Drain(w endpoint.Writer) error {
	for {
		n, err := unix.Read(s.fd, w.Reserve(endpoint.MaxDatagram))
		if errors.Is(err, unix.EAGAIN) {
			return s.fail
		}
		if err != nil {
			return err
		}
		w.Commit(n)
	}
}

// send feeds n datagrams of 7 packets.
func (s *station) send(n int) {
	for range n {
		if _, err := unix.Write(s.feed, packets(s.sent, 7)); err != nil {
			s.t.Fatal(err)
		}
		s.sent += 7
	}
}

// outcome is what the observer was told of a client.
type outcome struct {
	started, refused, ended int
	reason                  channel.Reason
}

// bench drives a loop by hand.
type bench struct {
	t        testing.TB
	l        *Loop
	now      time.Duration
	stations map[string]*station
	opens    map[string]int
	openErr  error
	opened   chan string // if not nil, told of every channel that is open
	clients  map[uint64]*outcome
}

func (b *bench) ChannelOpened(tag string) {
	if b.opened != nil {
		b.opened <- tag
	}
}
func (b *bench) ChannelEnded(string, channel.Reason) {}
func (b *bench) of(id uint64) *outcome {
	if b.clients[id] == nil {
		b.clients[id] = &outcome{}
	}
	return b.clients[id]
}
func (b *bench) Started(id uint64, _, _ string) { b.of(id).started++ }
func (b *bench) Refused(id uint64, r channel.Reason, _ error) {
	b.of(id).refused++
	b.of(id).reason = r
}

func (b *bench) Ended(id uint64, _, _ string, _ uint64, r channel.Reason) {
	b.of(id).ended++
	b.of(id).reason = r
}

func (b *bench) Open(end uri.End) (endpoint.Source, error) {
	if b.openErr != nil {
		return nil, b.openErr
	}
	ours, theirs := pair(b.t, unix.SOCK_DGRAM)
	s := &station{t: b.t, fd: ours, feed: theirs}
	b.stations[end.Tag()] = s
	b.opens[end.Tag()]++
	return s, nil
}

func newBench(t testing.TB, limits history.Limits) *bench {
	b := &bench{t: t, stations: map[string]*station{}, opens: map[string]int{}, clients: map[uint64]*outcome{}}
	l, err := New(Config{
		Opener: b, Observer: b, Log: slog.New(slog.DiscardHandler), History: limits,
		Times: channel.Times{Linger: 5 * time.Second, NoData: 5 * time.Second}, Stall: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.l = l
	return b
}

// close ends the loop the hard way, as Run does when the grace period is over.
func (b *bench) close() { b.l.close() }

func channelEnd(n int) uri.End {
	e, err := uri.Parse(fmt.Sprintf("udp://239.0.0.%d:5000", n))
	if err != nil {
		panic(err)
	}
	return e
}

// pass lets time pass in slots.
func (b *bench) pass(d time.Duration) {
	for end := b.now + d; b.now < end; {
		b.now += SlotTime
		b.turn()
	}
}

// turn does what Run does once.
func (b *bench) turn() {
	r, err := b.l.poll.wait(0, false)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, fd := range r.clients {
		b.l.hungUp(fd, b.now)
	}
	b.l.takePosts(b.now)
	b.l.step(b.now)
}

// viewer is the other end of a client's socket.
type viewer struct {
	id   uint64
	fd   int
	got  []byte
	eof  bool
	head []byte
}

func (b *bench) join(id uint64, ch int, sndbuf int) *viewer {
	ours, theirs := pair(b.t, unix.SOCK_STREAM)
	if sndbuf > 0 {
		if err := unix.SetsockoptInt(ours, unix.SOL_SOCKET, unix.SO_SNDBUF, sndbuf); err != nil {
			b.t.Fatal(err)
		}
	}
	v := &viewer{id: id, fd: theirs, head: []byte(fmt.Sprintf("head of %d\r\n\r\n", id))}
	if err := b.l.Attach(id, channelEnd(ch), ours, fmt.Sprintf("192.0.2.1:%d", id), v.head); err != nil {
		b.t.Fatal(err)
	}
	b.l.takePosts(b.now)
	b.l.opens.Wait()
	b.l.takePosts(b.now)
	return v
}

// read takes at most n bytes.
func (v *viewer) read(n int) {
	buf := make([]byte, 64<<10)
	for n > 0 && !v.eof {
		k, err := unix.Read(v.fd, buf[:min(n, len(buf))])
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if k <= 0 {
			v.eof = true
			return
		}
		v.got = append(v.got, buf[:k]...)
		n -= k
	}
}

// stream is what v got behind the head: the number of the first packet, of the one
// behind the last, and how often there was a gap. Anything but whole, rising packets
// is an error; only the last may be cut, when the stream goes on.
func (v *viewer) stream() (first, next, gaps int, err error) {
	body, ok := bytes.CutPrefix(v.got, v.head)
	if !ok {
		if bytes.HasPrefix(v.head, v.got) {
			return 0, 0, 0, nil
		}
		return 0, 0, 0, fmt.Errorf("client %d: does not begin with its head: %q", v.id, v.got[:min(len(v.got), 40)])
	}
	first, next = -1, -1
	for ; len(body) >= packetSize; body = body[packetSize:] {
		if !bytes.Equal(body[:4], []byte{0x47, 0x1F, 0xFF, 0x10}) {
			return 0, 0, 0, fmt.Errorf("client %d: not a packet: % x", v.id, body[:8])
		}
		n := int(binary.BigEndian.Uint32(body[4:]))
		switch {
		case first < 0:
			first = n
		case n > next:
			gaps++
		case n < next:
			return 0, 0, 0, fmt.Errorf("client %d: packet %d after %d", v.id, n, next-1)
		}
		next = n + 1
	}
	return first, next, gaps, nil
}

// TestModel lets clients come, go, read at any pace and fall behind, while channels
// send or are silent. Whatever happens: every client has exactly one outcome, gets its
// head and then whole packets in order; a gap only where it was skipped, and then it
// is counted; and a client that reads everything misses nothing.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, history.Limits{Depth: time.Second, Bytes: 3 * history.SegmentSize})
		defer b.close()
		viewers := map[uint64]*viewer{}
		gone := map[uint64]bool{}
		defer func() {
			for _, v := range viewers {
				unix.Close(v.fd)
			}
		}()
		nextID := uint64(0)
		pick := func(rt *rapid.T) *viewer {
			if len(viewers) == 0 {
				rt.Skip("nobody there")
			}
			return viewers[rapid.Uint64Range(1, nextID).Draw(rt, "viewer")]
		}
		actions := map[string]func(*rapid.T){
			"join": func(rt *rapid.T) {
				if nextID >= 12 {
					rt.Skip("full house")
				}
				nextID++
				viewers[nextID] = b.join(nextID, rapid.IntRange(1, 2).Draw(rt, "channel"), rapid.SampledFrom([]int{0, 4096}).Draw(rt, "sndbuf"))
			},
			"send": func(rt *rapid.T) {
				s := b.stations[channelEnd(rapid.IntRange(1, 2).Draw(rt, "channel")).Tag()]
				if s == nil || b.l.sources[s.fd] == nil || b.l.sources[s.fd].src != endpoint.Source(s) {
					rt.Skip("not open")
				}
				// In pieces that the socket has room for.
				for range rapid.IntRange(1, 30).Draw(rt, "bursts") {
					s.send(8)
					b.pass(SlotTime)
				}
			},
			"read":  func(rt *rapid.T) { pick(rt).read(rapid.IntRange(1, 1<<20).Draw(rt, "n")) },
			"pass":  func(rt *rapid.T) { b.pass(time.Duration(rapid.IntRange(1, 400).Draw(rt, "ms")) * time.Millisecond) },
			"close": func(rt *rapid.T) { v := pick(rt); gone[v.id] = true; _ = unix.Shutdown(v.fd, unix.SHUT_RDWR) },
		}
		check := func(*rapid.T) {
			for id, v := range viewers {
				if _, _, _, err := v.stream(); err != nil {
					rt.Fatal(err)
				}
				if o := b.of(id); o.started+o.refused > 1 || o.ended > o.started {
					rt.Fatalf("client %d: %+v", id, o)
				}
			}
		}
		actions[""] = check
		rt.Repeat(actions)

		// Everybody reads to the end; who was never behind the window missed nothing.
		for more := true; more; {
			more = false
			b.pass(4 * SlotTime)
			for _, v := range viewers {
				had := len(v.got)
				v.read(1 << 30)
				more = more || len(v.got) > had
			}
		}
		for _, ch := range b.l.report() {
			for _, c := range ch.Clients {
				v := viewers[c.ID]
				_, next, gaps, err := v.stream()
				if err != nil {
					rt.Fatal(err)
				}
				if sent := b.stations[ch.Tag].sent; next != sent && !gone[c.ID] && c.Skips == 0 {
					rt.Fatalf("client %d has packets up to %d of %d", c.ID, next, sent)
				}
				if uint64(gaps) > c.Skips {
					rt.Fatalf("client %d: %d gaps, %d skips counted", c.ID, gaps, c.Skips)
				}
			}
		}
	})
}

// TestOneSource: a channel is opened once, however many clients there are.
func TestOneSource(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	var viewers []*viewer
	for id := range uint64(50) {
		v := b.join(id, 1, 0)
		defer unix.Close(v.fd)
		viewers = append(viewers, v)
	}
	tag := channelEnd(1).Tag()
	if b.opens[tag] != 1 {
		t.Fatalf("opened %d times", b.opens[tag])
	}
	for range 20 {
		b.stations[tag].send(4)
		b.pass(50 * time.Millisecond)
	}
	for _, v := range viewers {
		v.read(1 << 20)
		first, next, gaps, err := v.stream()
		if err != nil || first != 0 || next != b.stations[tag].sent || gaps != 0 {
			t.Errorf("client %d: packets %d to %d of %d, %d gaps, %v", v.id, first, next, b.stations[tag].sent, gaps, err)
		}
	}
}

// TestSecondClientStartsFromHistory: while the source is paused a new client gets
// what is there, at once.
func TestSecondClientStartsFromHistory(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	first := b.join(1, 1, 0)
	defer unix.Close(first.fd)
	b.stations[channelEnd(1).Tag()].send(10)
	b.pass(100 * time.Millisecond)
	second := b.join(2, 1, 0)
	defer unix.Close(second.fd)
	second.read(1 << 20) // no slot has passed since
	if from, next, _, err := second.stream(); err != nil || from != 0 || next != 70 {
		t.Errorf("got packets %d to %d: %v", from, next, err)
	}
}

// TestRefusals: a client that cannot be served is told why, and its socket is closed
// with nothing written.
func TestRefusals(t *testing.T) {
	t.Run("silent source", func(t *testing.T) {
		b := newBench(t, history.Limits{})
		defer b.close()
		v := b.join(1, 1, 0)
		defer unix.Close(v.fd)
		b.pass(4900 * time.Millisecond)
		if o := b.of(1); o.refused != 0 {
			t.Fatalf("refused too early: %+v", o)
		}
		b.pass(300 * time.Millisecond)
		v.read(100)
		if o := b.of(1); o.refused != 1 || o.reason != channel.NoData || len(v.got) > 0 || !v.eof {
			t.Errorf("%+v, %d bytes, eof %v", o, len(v.got), v.eof)
		}
	})
	t.Run("source that cannot be opened", func(t *testing.T) {
		b := newBench(t, history.Limits{})
		defer b.close()
		b.openErr = errors.New("no such interface")
		v := b.join(1, 1, 0)
		defer unix.Close(v.fd)
		if o := b.of(1); o.refused != 1 || o.reason != channel.SourceFailed {
			t.Errorf("%+v", o)
		}
	})
	t.Run("client that does not wait", func(t *testing.T) {
		b := newBench(t, history.Limits{})
		defer b.close()
		v := b.join(1, 1, 0)
		unix.Close(v.fd)
		b.pass(SlotTime)
		if o := b.of(1); o.refused != 1 || o.reason != channel.ClientGone {
			t.Errorf("%+v", o)
		}
	})
}

// TestEndOfSource: what a source delivered before it stopped reaches every client
// whole, a slow one too, and then the connection is ended in order.
func TestEndOfSource(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	quick, slow := b.join(1, 1, 0), b.join(2, 1, 4096)
	defer unix.Close(quick.fd)
	defer unix.Close(slow.fd)
	s := b.stations[channelEnd(1).Tag()]
	for range 20 {
		s.send(5)
		b.pass(SlotTime)
	}
	b.pass(5 * time.Second) // silent
	for range 200 {
		quick.read(1 << 20)
		slow.read(4096)
		b.pass(SlotTime)
	}
	for _, v := range []*viewer{quick, slow} {
		if _, next, gaps, err := v.stream(); err != nil || next != s.sent || gaps != 0 || !v.eof {
			t.Errorf("client %d: packets up to %d of %d, %d gaps, eof %v, %v", v.id, next, s.sent, gaps, v.eof, err)
		}
		if o := b.of(v.id); o.ended != 1 || o.reason != channel.NoData {
			t.Errorf("client %d: %+v", v.id, o)
		}
	}
	if len(b.l.all) != 0 || len(b.l.channels) != 0 {
		t.Errorf("%d channels left", len(b.l.all))
	}
}

// TestStuckClient: one that takes nothing is closed after the stall time; the others
// lose nothing.
func TestStuckClient(t *testing.T) {
	b := newBench(t, history.Limits{Depth: time.Second, Bytes: 3 * history.SegmentSize})
	defer b.close()
	stuck, healthy := b.join(1, 1, 4096), b.join(2, 1, 0)
	defer unix.Close(stuck.fd)
	defer unix.Close(healthy.fd)
	s := b.stations[channelEnd(1).Tag()]
	for range 250 {
		s.send(8)
		b.pass(100 * time.Millisecond)
		healthy.read(1 << 20)
	}
	if o := b.of(1); o.ended != 1 || o.reason != channel.ClientStuck {
		t.Errorf("stuck client: %+v", o)
	}
	if _, next, gaps, err := healthy.stream(); err != nil || next != s.sent || gaps != 0 {
		t.Errorf("healthy client: up to %d of %d, %d gaps, %v", next, s.sent, gaps, err)
	}
}

// TestLinger: the source is kept for the linger time after the last client, and a
// client that comes back in time finds it open.
func TestLinger(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	tag := channelEnd(1).Tag()
	keep := func(d time.Duration) {
		for range d / (100 * time.Millisecond) {
			if s := b.stations[tag]; b.l.sources[s.fd] != nil {
				s.send(1)
			}
			b.pass(100 * time.Millisecond)
		}
	}
	v := b.join(1, 1, 0)
	keep(time.Second)
	unix.Close(v.fd)
	keep(4 * time.Second)
	v = b.join(2, 1, 0)
	keep(time.Second)
	if b.opens[tag] != 1 {
		t.Fatalf("opened %d times", b.opens[tag])
	}
	unix.Close(v.fd)
	keep(6 * time.Second)
	if len(b.l.all) != 0 {
		t.Errorf("channel is still there: %v", b.l.all[0].State())
	}
}

// TestRun: the loop with its thread and its clock; on the end of ctx a client gets
// what is left, then the end.
func TestRun(t *testing.T) {
	b := newBench(t, history.Limits{})
	b.opened = make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- b.l.Run(ctx) }()
	ours, theirs := pair(t, unix.SOCK_STREAM)
	defer unix.Close(theirs)
	if err := unix.SetNonblock(theirs, false); err != nil {
		t.Fatal(err)
	}
	if err := b.l.Attach(1, channelEnd(1), ours, "192.0.2.1:1", []byte("head")); err != nil {
		t.Fatal(err)
	}
	tag := <-b.opened
	if chs, err := b.l.Report(ctx); err != nil || len(chs) != 1 || chs[0].Tag != tag || chs[0].State != "joining" {
		t.Fatalf("report %+v, %v", chs, err)
	}
	b.stations[tag].send(3)
	v := &viewer{id: 1, fd: theirs, head: []byte("head")}
	v.read(len("head") + 3*7*packetSize)
	cancel()
	v.read(1)
	if _, next, _, err := v.stream(); err != nil || next != 21 || !v.eof {
		t.Errorf("packets up to %d, eof %v, %v", next, v.eof, err)
	}
	unix.Close(theirs)
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := b.l.Attach(2, channelEnd(1), -1, "", nil); !errors.Is(err, ErrEnded) {
		t.Errorf("Attach after the end: %v", err)
	}
	if o := b.of(1); o.started != 1 || o.ended != 1 || o.reason != channel.Shutdown {
		t.Errorf("%+v", o)
	}
}

func TestRound(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 5e6, 1: 5.1e6, 200: 25e6, 850: 90e6, 100000: 90e6} {
		if got := Round(n); got != want {
			t.Errorf("Round(%d) = %v, want %v", n, got, want)
		}
	}
}

// TestNoAllocation: a slot in which a datagram comes and goes out allocates nothing.
func TestNoAllocation(t *testing.T) {
	b := newBench(t, history.Limits{Bytes: 2 * history.SegmentSize})
	defer b.close()
	v := b.join(1, 1, 0)
	defer unix.Close(v.fd)
	s := b.stations[channelEnd(1).Tag()]
	datagram := packets(0, 7)
	buf := make([]byte, 64<<10)
	slot := func() {
		if _, err := unix.Write(s.feed, datagram); err != nil {
			t.Fatal(err)
		}
		b.now += SlotTime
		b.l.step(b.now)
		_, _ = unix.Read(v.fd, buf)
	}
	for range 1000 {
		slot()
	}
	if n := testing.AllocsPerRun(2000, slot); n > 0.02 { // a start point now and then
		t.Errorf("%v allocations a slot", n)
	}
}
