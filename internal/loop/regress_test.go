package loop

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// handed is a TCP connection as an engine gets it: descriptor fd here, one more of the
// same socket in the hands of gws.
func handed(t *testing.T, fd int) (gws *os.File, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if gws, err = s.(*net.TCPConn).File(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(int(gws.Fd()), fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gws.Close(); c.Close() })
	return gws, c.(*net.TCPConn)
}

func (b *bench) attach(id uint64, ch, fd int) {
	b.t.Helper()
	if err := b.l.Attach(b.channel(ch), Client{ID: id, FD: fd, Addr: "192.0.2.1:1", Head: []byte("head")}); err != nil {
		b.t.Fatal(err)
	}
	b.l.takePosts(b.now)
	b.l.opens.Wait()
	b.l.takePosts(b.now)
}

// TestNumberUsedAgain: what happens to the socket of a refused client, which gws still
// holds, is not told of the client that has its descriptor number now.
func TestNumberUsedAgain(t *testing.T) {
	const fd = 900 // both times, as the lowest free number would be
	b := newBench(t, history.Limits{})
	defer b.close()
	gws, first := handed(t, fd)
	b.openErr = errors.New("no such group")
	b.attach(1, 1, fd)
	if b.of(1).refused != 1 {
		t.Fatal("not refused")
	}
	b.openErr = nil
	_, second := handed(t, fd)
	defer second.Close()
	b.attach(2, 2, fd)
	b.stations[channelEnd(2).Tag()].send(3)
	b.pass(50 * time.Millisecond)
	// Both ends of the first connection close; the second client's must not.
	if err := unix.Shutdown(int(gws.Fd()), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	first.Close()
	b.pass(50 * time.Millisecond)
	if o := b.of(2); o.started != 1 || o.ended != 0 {
		t.Errorf("the second client: %+v", o)
	}
}

// TestSameSocketAgain: a refused socket may be handed over once more.
func TestSameSocketAgain(t *testing.T) {
	const fd = 901
	b := newBench(t, history.Limits{})
	defer b.close()
	gws, _ := handed(t, fd)
	b.openErr = errors.New("no such group")
	b.attach(1, 1, fd)
	b.openErr = nil
	if err := unix.Dup3(int(gws.Fd()), fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	b.attach(2, 1, fd)
	b.stations[channelEnd(1).Tag()].send(3)
	b.pass(50 * time.Millisecond)
	if o := b.of(2); o.started != 1 {
		t.Errorf("%+v", o)
	}
}

// TestCloseLeavesNothing: all sockets are closed at the end, those of clients that are
// about to leave included.
func TestCloseLeavesNothing(t *testing.T) {
	b := newBench(t, history.Limits{})
	var fds []int
	for id := range uint64(5) {
		v := b.join(id, 1, 0)
		defer unix.Close(v.fd)
	}
	for fd := range b.l.clients {
		fds = append(fds, fd)
	}
	b.stations[channelEnd(1).Tag()].send(3)
	b.pass(50 * time.Millisecond)
	b.l.reset(b.now)
	if len(b.l.leaving.all) != 5 {
		t.Fatalf("%d clients are leaving", len(b.l.leaving.all))
	}
	b.close()
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			t.Errorf("descriptor %d is still open", fd)
		}
	}
}

// TestMemoryIsShared: when memory is short, channels of the same rate keep the same.
func TestMemoryIsShared(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.l.pool = history.NewPool(24 * history.SegmentSize)
	for id := 1; id <= 4; id++ {
		v := b.join(uint64(id), id, 0)
		unix.Close(v.fd)
	}
	for range 600 {
		for ch := 1; ch <= 4; ch++ {
			b.stations[channelEnd(ch).Tag()].send(6)
		}
		b.pass(SlotTime / 2)
		if used := b.l.pool.Used(); used > 24*history.SegmentSize {
			t.Fatalf("%d bytes are used", used)
		}
	}
	for _, ch := range b.l.all {
		if held := ch.History().Held() / history.SegmentSize; held < 5 || held > 7 {
			t.Errorf("%s holds %d of 24 segments", ch.Tag(), held)
		}
	}
}

// TestEndedChannelEnds: a client that takes next to nothing does not keep an ended
// channel for ever.
func TestEndedChannelEnds(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	v := b.join(1, 1, 4096)
	defer unix.Close(v.fd)
	s := b.stations[channelEnd(1).Tag()]
	for range 100 {
		s.send(5)
		b.pass(SlotTime)
	}
	for range 30 {
		v.read(1000)
		b.pass(time.Second)
	}
	if len(b.l.all) != 0 {
		t.Errorf("still there: %v for %v", b.l.all[0].State(b.now), b.l.all[0].EndedFor(b.now))
	}
	if o := b.of(1); o.ended != 1 || o.reason != channel.NoData {
		t.Errorf("%+v", o)
	}
}

// TestSkipsDoNotPileUp: tables that were not sent before the next skip are replaced.
func TestSkipsDoNotPileUp(t *testing.T) {
	pool := history.NewPool(0)
	defer pool.Close()
	h := history.New(pool, history.Limits{Bytes: 2 * history.SegmentSize})
	defer h.Free()
	l := &Loop{}
	ch := &live{Channel: channel.New(lineup.Channel{Sources: []uri.Source{{channelEnd(1)}}, Settings: lineup.Defaults()}, h, 0), viewers: roster{place: seatOf}}
	c := &client{ch: ch, pre: []byte("rest of the head")}
	ch.viewers.add(c)
	tables := make([]byte, 3*packetSize)
	feed := ch.Opened(0, 0)
	for range 100 {
		for range history.SegmentSize / (7 * packetSize) {
			feed.Commit(copy(feed.Reserve(7*packetSize), packets(0, 7)))
		}
		h.Mark(history.Mark{Offset: h.Head(), Preamble: tables})
		for h.Due() {
			l.retireOne(ch, 0)
		}
	}
	if want := len("rest of the head") + len(tables); c.skips < 10 || len(c.pre) != want {
		t.Errorf("%d skips, %d bytes before the stream, want %d", c.skips, len(c.pre), want)
	}
	c.advance(len("rest of the head") + 100) // within the tables: they are finished first
	begun := len(c.pre)
	c.off = h.Tail()
	l.retireOne(ch, 0)
	if want := begun + len(tables); len(c.pre) != want {
		t.Errorf("%d bytes before the stream, want %d", len(c.pre), want)
	}
}

// TestAbandon: clients that nothing was written to are refused, the others are not.
func TestAbandon(t *testing.T) {
	b := newBench(t, history.Limits{})
	b.opened = make(chan string, 2)
	ended := make(chan error, 1)
	on := b.join(1, 1, 0)
	defer unix.Close(on.fd)
	b.stations[channelEnd(1).Tag()].send(1)
	b.pass(50 * time.Millisecond)
	waiting := b.join(2, 2, 0)
	defer unix.Close(waiting.fd)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- b.l.Run(ctx) }()
	b.l.Abandon()
	waiting.read(1)
	if !waiting.eof || len(waiting.got) != 0 {
		t.Errorf("the waiting client got %q, eof %v", waiting.got, waiting.eof)
	}
	if on.read(1 << 20); on.eof {
		t.Error("the other client was cut")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	b.l.Abandon() // after the end it returns
}
