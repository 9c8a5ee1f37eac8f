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

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/history"
	"sluice/internal/lineup"
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
		binary.BigEndian.PutUint32(p[packetSize-4:], uint32(first+i))
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

	drains int // times that Drain was called
	hold   int // so many times more it says that it holds something back
	fail   error
}

func (s *station) FDs() []int              { return []int{s.fd} }
func (s *station) Holding() bool           { s.hold--; return s.hold >= 0 }
func (s *station) Counters() report.Source { return report.Source{} }
func (s *station) Close() error            { return unix.Close(s.fd) }
func (s *station) Drain(_ time.Duration, w endpoint.Writer) error {
	s.drains++
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
	err                     error // of the refusal
}

// bench drives a loop by hand.
type bench struct {
	t        testing.TB
	l        *Loop
	settings lineup.Settings
	rates    []Rate
	switches []string // sources on air
	failed   int      // sources
	now      time.Duration
	stations map[string]*station
	opens    map[string]int
	tries    int // to open a source
	openErr  error
	joins    func(*station) endpoint.Source                                // if not nil, what is opened
	opened   chan string                                                   // if not nil, told of every channel that is open
	instead  func(context.Context, endpoint.Want) (endpoint.Source, error) // if not nil, what opens
	clients  map[uint64]*outcome
}

func (b *bench) ChannelOpened(tag string) {
	if b.opened != nil {
		b.opened <- tag
	}
}
func (b *bench) ChannelEnded(string, uint64, channel.Reason) {}
func (b *bench) SourceFailed(string, string, error)          { b.failed++ }
func (b *bench) Rates(r []Rate)                              { b.rates = append(b.rates[:0], r...) }
func (b *bench) Switched(tag, from, to string, _ channel.Reason) {
	b.switches = append(b.switches, from+" > "+to)
}

func (b *bench) of(id uint64) *outcome {
	if b.clients[id] == nil {
		b.clients[id] = &outcome{}
	}
	return b.clients[id]
}
func (b *bench) Started(id uint64, _, _ string) { b.of(id).started++ }
func (b *bench) Refused(id uint64, r channel.Reason, err error) {
	b.of(id).refused++
	b.of(id).reason, b.of(id).err = r, err
}

func (b *bench) Ended(id uint64, _, _ string, _ uint64, r channel.Reason) {
	b.of(id).ended++
	b.of(id).reason = r
}

func (b *bench) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	if b.instead != nil {
		return b.instead(ctx, want)
	}
	from := want.Source
	b.tries++
	if b.openErr != nil {
		return nil, b.openErr
	}
	ours, theirs := pair(b.t, unix.SOCK_DGRAM)
	b.t.Cleanup(func() { unix.Close(theirs) })
	s := &station{t: b.t, fd: ours, feed: theirs}
	b.stations[from.Tag()] = s
	b.opens[from.Tag()]++
	if b.joins != nil {
		return b.joins(s), nil
	}
	return s, nil
}

func newBench(t testing.TB, limits history.Limits) *bench {
	b := &bench{t: t, settings: lineup.Defaults(), stations: map[string]*station{}, opens: map[string]int{}, clients: map[uint64]*outcome{}}
	l, err := New(Config{
		Opener: b, Observer: b, Log: slog.New(slog.DiscardHandler), Stall: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.l = l
	b.settings.Health = false
	b.settings.History = lineup.History{Depth: limits.Depth, Bytes: limits.Bytes}
	return b
}

// close ends the loop the hard way, as Run does when the grace period is over.
func (b *bench) close() { b.l.close() }

// channel is one of the channels of the tests.
func (b *bench) channel(n int) lineup.Channel {
	return lineup.Channel{Sources: []uri.Source{{channelEnd(n)}}, Settings: b.settings}
}

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
	if err := b.l.Attach(b.channel(ch), Client{ID: id, FD: ours, Addr: fmt.Sprintf("192.0.2.1:%d", id), Head: v.head}); err != nil {
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
		if !bytes.Equal(body[4:8], body[packetSize-4:packetSize]) {
			return 0, 0, 0, fmt.Errorf("client %d: packet %d is another in part", v.id, n)
		}
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
