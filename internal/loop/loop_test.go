package loop

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/history"
)

// TestModel lets clients come, go, read at any pace and fall behind, while channels
// send or are silent. Whatever happens: every client has exactly one outcome, gets its
// head and then whole packets in order; a gap only where it was skipped, and then it
// is counted; and a client that reads everything misses nothing.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, history.Limits{Depth: time.Second, Bytes: rapid.SampledFrom([]int64{6 * history.SegmentSize, 4 << 20}).Draw(rt, "bytes")})
		defer b.close()
		b.l.sharedFrom = rapid.SampledFrom([]int{1, 3, 1000}).Draw(rt, "shared from")
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
				if s == nil || b.l.taps[s.fd] == nil || b.l.taps[s.fd].src != endpoint.Source(s) {
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
		for _, ch := range b.l.report(b.now) {
			for _, c := range ch.Clients {
				v := viewers[c.ID]
				_, next, gaps, err := v.stream()
				if err != nil {
					rt.Fatal(err)
				}
				if next < 0 && c.Lag == 0 {
					continue // it came when the window had no place to begin, and nothing came since
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
	b := newBench(t, history.Limits{Depth: time.Second, Bytes: 6 * history.SegmentSize})
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
			if s := b.stations[tag]; b.l.taps[s.fd] != nil {
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
		t.Errorf("channel is still there: %v", b.l.all[0].State(b.now))
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
	if err := b.l.Attach(b.channel(1), Client{ID: 1, FD: ours, Addr: "192.0.2.1:1", Head: []byte("head")}); err != nil {
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
	if err := b.l.Attach(b.channel(1), Client{ID: 2, FD: -1}); !errors.Is(err, ErrEnded) {
		t.Errorf("Attach after the end: %v", err)
	}
	if o := b.of(1); o.started != 1 || o.ended != 1 || o.reason != channel.Shutdown {
		t.Errorf("%+v", o)
	}
}

func TestRound(t *testing.T) {
	for _, tt := range []struct {
		clients, channels int
		want              time.Duration
	}{
		{0, 0, 5e6},
		{1, 1, 5e6},
		{100, 1, 8.5e6},
		{200, 1, 13e6},
		{1000, 1, 49e6},
		{3400, 1, 90e6},
		{100_000, 1, 90e6},
		{10, 10, 5e6},
		{50, 50, 10e6},
		{100, 100, 20e6},
		{1000, 1000, 49e6},
	} {
		if got := Round(tt.clients, tt.channels); got != tt.want {
			t.Errorf("Round(%d, %d) = %v, want %v", tt.clients, tt.channels, got, tt.want)
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
