package loop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/report"
)

// stream is a source whose sender waits: a unix stream socket that a test feeds.
type stream struct {
	t       testing.TB
	fd      int
	feed    int // the test's end; -1 = closed
	breaks  error
	reads   int  // system calls
	eager   bool // its sender does not wait
	drained int
}

func newStream(t testing.TB) *stream {
	s := &stream{t: t}
	s.fd, s.feed = pair(t, unix.SOCK_STREAM)
	t.Cleanup(s.finish)
	return s
}

func (s *stream) FDs() []int              { return []int{s.fd} }
func (s *stream) Holding() bool           { return false }
func (s *stream) Waits() bool             { return !s.eager }
func (s *stream) Counters() report.Source { return report.Source{} }
func (s *stream) Close() error            { return unix.Close(s.fd) }
func (s *stream) Drain(_ time.Duration, w endpoint.Writer) error {
	for moved := 0; moved < 1<<20; {
		s.reads++
		n, err := unix.Read(s.fd, w.Reserve(4096))
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return err
		case n == 0 && s.breaks != nil:
			return s.breaks
		case n == 0:
			return fmt.Errorf("stream: %w", endpoint.ErrEnd)
		}
		w.Commit(n)
		moved += n
		s.drained += n
	}
	return nil
}

// offer sends what there is room for and returns the rest.
func (s *stream) offer(b []byte) []byte {
	for len(b) > 0 {
		n, err := unix.Write(s.feed, b)
		if err != nil {
			return b
		}
		b = b[n:]
	}
	return nil
}

func (s *stream) finish() {
	if s.feed >= 0 {
		unix.Close(s.feed)
		s.feed = -1
	}
}

// plays has the bench open these streams, one after the other.
func (b *bench) plays(all ...*stream) {
	b.instead = func(context.Context, endpoint.Want) (endpoint.Source, error) {
		if b.tries++; b.tries > len(all) {
			return nil, errors.New("there are no more")
		}
		return all[b.tries-1], nil
	}
}

// noise is n bytes that are no transport stream.
func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func (b *bench) copyOf(n uint32) lineup.Channel {
	c := b.channel(1)
	c.Copy, c.Linger = n, 0
	return c
}

// TestFileForAll: 64 MiB reach a fast reader and a slow one, who take different times and do
// not share: all bytes, the end in order, and never much in memory.
func TestFileForAll(t *testing.T) {
	film := noise(64 << 20)
	for i, limits := range []history.Limits{{}, {Bytes: 512 << 10}, {Depth: time.Second}} {
		b := newBench(t, limits)
		whole := film[:len(film)>>(3*i)]
		for id, most := range map[uint64]int{1: 8 << 20, 2: 300 << 10} {
			s := newStream(t)
			b.tries = 0
			b.plays(s)
			v := b.joinTo(id, b.copyOf(uint32(id)), lineup.Disconnect)
			rest := whole
			for !v.eof && b.of(id).ended+b.of(id).refused == 0 || len(v.got) < len(whole) && !v.eof {
				if rest = s.offer(rest); len(rest) == 0 {
					s.finish()
				}
				b.pass(10 * SlotTime)
				v.read(most)
				if used := b.l.pool.Used(); used > maxWindow+2<<20 {
					t.Fatalf("%+v: %d bytes in memory", limits, used)
				}
			}
			v.read(1)
			if body := bytes.TrimPrefix(v.got, v.head); !bytes.Equal(body, whole) || !v.eof {
				t.Errorf("%+v: client %d: %d bytes of %d, eof %v", limits, id, len(body), len(whole), v.eof)
			}
			if o := b.of(id); o.ended != 1 || o.reason != channel.SourceEnded {
				t.Errorf("%+v: client %d: %+v", limits, id, o)
			}
			unix.Close(v.fd)
			b.pass(drainTime + time.Second)
		}
		if len(b.l.all)+len(b.l.paused)+len(b.l.taps) != 0 {
			t.Errorf("%d channels, %d paused, %d sources left", len(b.l.all), len(b.l.paused), len(b.l.taps))
		}
		b.close()
	}
}

// TestShortOfMemory: with less memory than two windows nobody loses a byte of a file.
func TestShortOfMemory(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.l.pool = history.NewPool(2 << 20)
	whole := noise(16 << 20)
	streams := []*stream{newStream(t), newStream(t), newStream(t)}
	b.plays(streams...)
	rests := make([][]byte, len(streams))
	var viewers []*viewer
	for i := range streams {
		rests[i] = whole
		viewers = append(viewers, b.joinTo(uint64(i+1), b.copyOf(uint32(i+1)), lineup.Skip))
	}
	for done := 0; done < len(viewers); {
		done = 0
		for i, s := range streams {
			if rests[i] = s.offer(rests[i]); len(rests[i]) == 0 {
				s.finish()
			}
			if viewers[i].read(100 << 10 * (i + 1)); viewers[i].eof {
				done++
			}
		}
		b.pass(2 * SlotTime)
		if used := b.l.pool.Used(); used > 2<<20+int64(len(streams))*(2<<20) {
			t.Fatalf("%d bytes in memory", used)
		}
	}
	for _, v := range viewers {
		if body := bytes.TrimPrefix(v.got, v.head); !bytes.Equal(body, whole) {
			t.Errorf("client %d: %d bytes of %d", v.id, len(body), len(whole))
		}
	}
}

// TestWindow: a shared source that waits is read no further than a window before the client
// furthest ahead, costs nothing while it is left alone, is not called silent meanwhile, and
// flows freely without clients.
func TestWindow(t *testing.T) {
	b := newBench(t, history.Limits{Bytes: 4 << 20})
	defer b.close()
	s := newStream(t)
	b.plays(s)
	v := b.joinTo(1, b.channel(1), lineup.Skip)
	rest := packets(0, 40<<20/packetSize)
	feed := func(slots int) {
		for range slots {
			rest = s.offer(rest)
			b.pass(SlotTime)
		}
	}
	feed(300)
	if s.drained < 2<<20 || s.drained > 4<<20 {
		t.Fatalf("%d bytes drained, the window has 2 MiB", s.drained)
	}
	before := s.reads
	feed(int(15 * time.Second / SlotTime)) // longer than the no-data time
	if s.reads != before || b.of(1).ended != 0 {
		t.Errorf("read %d times while it was left alone, client %+v", s.reads-before, b.of(1))
	}
	for range 100 {
		v.read(64 << 10)
		feed(10)
	}
	if first, next, gaps, err := v.stream(); err != nil || first != 0 || gaps != 0 || next*packetSize < 5<<20 {
		t.Errorf("packets %d to %d, %d gaps, %v", first, next, gaps, err)
	}
	if over := s.drained - len(v.got); over > 4<<20 {
		t.Errorf("%d bytes before the client", over)
	}
	unix.Close(v.fd)
	was := s.drained
	feed(200)
	if s.drained-was < 4<<20 {
		t.Errorf("%d bytes in a second without a client", s.drained-was)
	}
}

// TestEagerSource: one whose sender does not wait is drained however far behind clients are.
func TestEagerSource(t *testing.T) {
	b := newBench(t, history.Limits{Bytes: 4 << 20})
	defer b.close()
	s := newStream(t)
	s.eager = true
	b.plays(s)
	b.joinTo(1, b.channel(1), lineup.Skip)
	rest := packets(0, 20<<20/packetSize)
	for range 1000 {
		rest = s.offer(rest)
		b.pass(SlotTime)
	}
	if len(rest) > 0 {
		t.Errorf("%d bytes are left", len(rest))
	}
}

// TestEmptySource: who waits for a source that ends without a byte is refused, and the
// channel has failed.
func TestEmptySource(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	s := newStream(t)
	b.plays(s)
	v := b.joinTo(1, b.copyOf(1), lineup.Skip)
	s.finish()
	b.pass(100 * time.Millisecond)
	v.read(1)
	if o := b.of(1); o.refused != 1 || !errors.Is(o.err, errEmpty) || o.reason != channel.SourceFailed || len(v.got) > 0 || !v.eof {
		t.Errorf("%+v, %q", o, v.got)
	}
	if b.failed != 0 || len(b.l.all) != 0 {
		t.Errorf("%d sources failed, %d channels left", b.failed, len(b.l.all))
	}
}

// TestShortSource: one that ends in the same breath as it begins gives its clients all.
func TestShortSource(t *testing.T) {
	for _, text := range []string{"short", string(packets(0, 3)), string(packets(0, 100))} {
		for n, to := range []lineup.Channel{newBench(t, history.Limits{}).copyOf(1), newBench(t, history.Limits{}).channel(1)} {
			b := newBench(t, history.Limits{})
			s := newStream(t)
			s.offer([]byte(text))
			s.finish()
			b.plays(s)
			v := b.joinTo(1, to, lineup.Skip)
			b.pass(100 * time.Millisecond)
			v.read(1 << 20)
			if string(v.got) != "head"+text || !v.eof || b.of(1).reason != channel.SourceEnded {
				t.Errorf("%d: %d bytes of %d, eof %v, %+v", n, len(v.got), len(text)+4, v.eof, b.of(1))
			}
			b.close()
		}
	}
}

// TestBrokenSource: an only source that breaks is opened again, and the viewer's connection
// stands; when it cannot be had the client gets what there was, and the end.
func TestBrokenSource(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	first, second := newStream(t), newStream(t)
	first.breaks, second.breaks = errors.New("reset by peer"), errors.New("reset by peer")
	b.plays(first, second)
	v := b.joinTo(1, b.channel(1), lineup.Skip)
	all := packets(0, 2000)
	first.offer(all[:500*packetSize])
	b.pass(time.Second)
	first.finish()
	b.pass(100 * time.Millisecond)
	b.settle()
	if b.tries != 2 || b.failed != 1 {
		t.Fatalf("%d sources tried, %d failed", b.tries, b.failed)
	}
	second.offer(all[500*packetSize : 1000*packetSize])
	for i := 0; len(v.got) < 600*packetSize && i < 100; i++ { // no key frame tells where to go on: after a while at any
		second.offer(all[(1000+5*i)*packetSize : (1005+5*i)*packetSize])
		b.pass(100 * time.Millisecond)
		v.read(1 << 20)
	}
	second.finish()
	for range 60 {
		b.pass(100 * time.Millisecond)
		b.settle()
		v.read(1 << 20)
	}
	if o := b.of(1); o.started != 1 || o.ended != 1 || o.reason != channel.SourceFailed || !v.eof {
		t.Errorf("%+v, eof %v", o, v.eof)
	}
	if _, next, _, err := v.stream(); err != nil || next <= 1000 {
		t.Errorf("packets up to %d, %v", next, err)
	}
	if b.tries < 5 || b.tries > 9 {
		t.Errorf("%d times tried in 5 s", b.tries)
	}
}

// TestRefusedSource: why a source cannot be had reaches the client that waits.
func TestRefusedSource(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.openErr = fmt.Errorf("opening: %w", &endpoint.Refusal{Status: 403, Err: errors.New("not permitted")})
	b.joinTo(1, b.channel(1), lineup.Skip)
	var r *endpoint.Refusal
	if o := b.of(1); o.refused != 1 || !errors.As(o.err, &r) || r.Status != 403 {
		t.Errorf("%+v", o)
	}
}

// TestGivenUp: an opening ends when nobody wants the source any more, and is no failure.
func TestGivenUp(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.settings.Linger = 0
	ended := make(chan struct{})
	b.instead = func(ctx context.Context, _ endpoint.Want) (endpoint.Source, error) {
		defer close(ended)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ours, theirs := pair(t, unix.SOCK_STREAM)
	if err := b.l.Attach(b.channel(1), Client{ID: 1, FD: ours, Addr: "192.0.2.1:1"}); err != nil {
		t.Fatal(err)
	}
	b.l.takePosts(b.now)
	unix.Close(theirs)
	b.pass(time.Second)
	<-ended
	b.settle()
	if o := b.of(1); o.refused != 1 || o.reason != channel.ClientGone || b.failed != 0 || len(b.l.all) != 0 {
		t.Errorf("%+v, %d failed, %d channels", o, b.failed, len(b.l.all))
	}
}

// TestDrop: orders by the tags that reports show.
func TestDrop(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	one, two := b.join(1, 1, 0), b.join(2, 1, 0)
	ours, theirs := pair(t, unix.SOCK_STREAM)
	target := &viewer{id: 3, fd: theirs}
	if err := b.l.Attach(b.channel(1), Client{ID: 3, FD: ours, Addr: "192.0.2.1:3", Tag: "FILE:///srv/x.ts"}); err != nil {
		t.Fatal(err)
	}
	waits := b.join(4, 2, 0)
	for _, v := range []*viewer{one, two, target, waits} {
		defer unix.Close(v.fd)
	}
	b.stations[channelEnd(1).Tag()].send(10)
	b.pass(100 * time.Millisecond)
	var tags []string
	for _, c := range b.l.report(b.now)[0].Clients {
		tags = append(tags, c.Tag)
	}
	if got := fmt.Sprint(tags); got != "[TCP://192.0.2.1:1 TCP://192.0.2.1:2 FILE:///srv/x.ts]" {
		t.Errorf("tags %s", got)
	}
	order := func(f func() error) {
		t.Helper()
		if err := f(); err != nil {
			t.Fatal(err)
		}
		b.pass(100 * time.Millisecond)
	}
	of := func(n int) string { return channelEnd(n).Tag() }
	order(func() error { return b.l.Drop(of(1), "TCP://192.0.2.1:9") })
	order(func() error { return b.l.Drop(of(9), "") })
	if b.of(1).ended+b.of(2).ended+b.of(3).ended+b.of(4).refused != 0 {
		t.Fatal("an order for what is not there ended somebody")
	}
	order(func() error { return b.l.Drop(of(1), "FILE:///srv/x.ts") })
	if o := b.of(3); o.ended != 1 || o.reason != channel.Dropped || b.of(1).ended != 0 {
		t.Errorf("dropped %+v, another %+v", o, b.of(1))
	}
	order(func() error { return b.l.Drop(of(2), "TCP://192.0.2.1:4") })
	if o := b.of(4); o.refused != 1 || !errors.Is(o.err, errDropped) {
		t.Errorf("who waited: %+v", o)
	}
	order(func() error { return b.l.Drop(of(1), "") })
	for _, v := range []*viewer{one, two} {
		v.read(1 << 20)
		if _, next, _, err := v.stream(); err != nil || next != 70 || !v.eof || b.of(v.id).reason != channel.Dropped {
			t.Errorf("client %d: packets up to %d, eof %v, %+v, %v", v.id, next, v.eof, b.of(v.id), err)
		}
	}
	if _, there := b.l.channels[of(1)]; there {
		t.Error("the channel is still there")
	}
}

// TestReset: everything goes, pinned channels as well, and the next client is served.
func TestReset(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	if err := b.l.Pin(b.channel(3)); err != nil {
		t.Fatal(err)
	}
	b.settle()
	for id := range uint64(4) {
		defer unix.Close(b.join(id, 1+int(id)%2, 0).fd)
	}
	b.stations[channelEnd(1).Tag()].send(1)
	b.pass(100 * time.Millisecond)
	if err := b.l.Reset(); err != nil {
		t.Fatal(err)
	}
	b.pass(drainTime + time.Second)
	if len(b.l.all) != 0 || len(b.l.taps) != 0 {
		t.Errorf("%d channels, %d sources left", len(b.l.all), len(b.l.taps))
	}
	for id := range uint64(4) {
		if o := b.of(id); o.ended+o.refused != 1 || o.reason != channel.Dropped {
			t.Errorf("client %d: %+v", id, o)
		}
	}
	defer unix.Close(b.join(9, 1, 0).fd)
	b.stations[channelEnd(1).Tag()].send(1)
	b.pass(100 * time.Millisecond)
	if b.of(9).started != 1 {
		t.Errorf("the next client: %+v", b.of(9))
	}
}

// TestLaterSettings: those of the newest order hold for a channel that is open.
func TestLaterSettings(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	v := b.join(1, 1, 0)
	s := b.stations[channelEnd(1).Tag()]
	send := func(d time.Duration) {
		for range d / (100 * time.Millisecond) {
			s.send(8)
			b.pass(100 * time.Millisecond)
			v.read(1 << 20)
		}
	}
	send(time.Second)
	b.settings.Linger, b.settings.History = time.Minute, lineup.History{Depth: time.Second, Bytes: 2 * history.SegmentSize}
	if err := b.l.Pin(b.channel(1)); err != nil {
		t.Fatal(err)
	}
	if err := b.l.Unpin(channelEnd(1).Tag()); err != nil {
		t.Fatal(err)
	}
	send(5 * time.Second)
	if held := b.l.all[0].History().Held(); held > 3*history.SegmentSize {
		t.Errorf("%d bytes are held", held)
	}
	unix.Close(v.fd)
	send(50 * time.Second)
	if len(b.l.all) != 1 {
		t.Error("the channel did not linger as long as the later order says")
	}
}
