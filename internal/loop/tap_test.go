package loop

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// backed is a channel with back-up sources: the channels of the tests of that number.
func (b *bench) backed(n int, backups ...int) lineup.Channel {
	c := b.channel(n)
	for _, k := range backups {
		c.Sources = append(c.Sources, uri.Source{channelEnd(k)})
	}
	return c
}

// joinTo is join for any channel.
func (b *bench) joinTo(id uint64, to lineup.Channel, slow lineup.Slow) *viewer {
	ours, theirs := pair(b.t, unix.SOCK_STREAM)
	v := &viewer{id: id, fd: theirs, head: []byte("head")}
	b.t.Cleanup(func() { unix.Close(theirs) })
	if err := b.l.Attach(to, Client{ID: id, FD: ours, Addr: "192.0.2.1:1", Head: v.head, Slow: slow}); err != nil {
		b.t.Fatal(err)
	}
	b.settle()
	return v
}

// settle waits for what is done beside the loop.
func (b *bench) settle() {
	b.l.takePosts(b.now)
	b.l.opens.Wait()
	b.l.takePosts(b.now)
}

// TestBackup: a channel whose first source falls silent goes on with its back-up, and is
// told so once; the source that is no longer wanted is closed.
func TestBackup(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	v := b.joinTo(1, b.backed(1, 2), lineup.Skip)
	first := b.stations["UDP://239.0.0.1:5000"]
	first.send(8)
	b.pass(50 * time.Millisecond)
	if b.stations["UDP://239.0.0.2:5000"] != nil {
		t.Fatal("the back-up is open while the first source is well")
	}
	for range 60 { // it is asked for after the no-data time
		b.pass(100 * time.Millisecond)
		b.settle()
	}
	second := b.stations["UDP://239.0.0.2:5000"]
	if second == nil {
		t.Fatal("the back-up was not opened")
	}
	before := len(v.got)
	for range 80 { // without a key frame it is taken after a while
		second.send(8)
		b.pass(100 * time.Millisecond)
		b.settle()
		v.read(1 << 20)
	}
	if want := []string{"UDP://239.0.0.1:5000 > UDP://239.0.0.2:5000"}; !slices.Equal(b.switches, want) {
		t.Errorf("switches %q, want %q", b.switches, want)
	}
	if len(v.got) <= before {
		t.Error("nothing came of the back-up")
	}
	r := b.l.report(b.now)[0]
	if r.State != "backup" || r.Switches != 1 || r.Sources[0].State == "on air" || r.Sources[1].State != "on air" {
		t.Errorf("%s, sources %+v", r.State, r.Sources)
	}
}

// TestBackupThatFails: a source that cannot be opened is passed over, and when there is
// none left those who wait are told why.
func TestBackupThatFails(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.openErr = errors.New("no such interface")
	b.joinTo(1, b.backed(1, 2, 3), lineup.Skip)
	for range 5 {
		b.settle()
		b.pass(100 * time.Millisecond)
	}
	if o := b.of(1); o.refused != 1 || o.reason != channel.SourceFailed {
		t.Errorf("%+v", o)
	}
	if b.failed != 3 {
		t.Errorf("%d sources told as failed, want 3", b.failed)
	}
	if len(b.l.all) != 0 || len(b.l.taps) != 0 {
		t.Errorf("%d channels, %d sources left", len(b.l.all), len(b.l.taps))
	}
}

// TestPin: a pinned channel is received without clients, also one that was there before.
func TestPin(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.joinTo(1, b.channel(1), lineup.Skip)
	for n := 1; n <= 2; n++ {
		if err := b.l.Pin(b.channel(n)); err != nil {
			t.Fatal(err)
		}
	}
	b.settle()
	b.l.refuseWaiting(b.l.all[0], channel.ClientGone, errGone, b.now)
	for range 100 {
		for _, s := range b.stations {
			s.send(1)
		}
		b.pass(100 * time.Millisecond)
	}
	if len(b.l.all) != 2 {
		t.Errorf("%d channels after 10 s without clients, want 2", len(b.l.all))
	}
	for _, r := range b.l.report(b.now) {
		if !r.Pinned || r.State != "live" {
			t.Errorf("%s: pinned %v, %s", r.Tag, r.Pinned, r.State)
		}
	}
	if len(b.rates) != 2 || b.rates[0].Bps == 0 || b.rates[1].Bps == 0 {
		t.Errorf("rates %+v", b.rates)
	}
	for _, r := range b.l.report(b.now) {
		if err := b.l.Unpin(r.Tag); err != nil {
			t.Fatal(err)
		}
	}
	b.settle()
	for range 100 {
		for tag, s := range b.stations {
			if b.l.channels[tag] != nil {
				s.send(1)
			}
		}
		b.pass(100 * time.Millisecond)
	}
	if len(b.l.all) != 0 {
		t.Errorf("%d channels 10 s after nobody wanted them", len(b.l.all))
	}
}

// TestSlowClients: one that falls out of the history skips, or is sent away, as it was
// asked for; one that keeps up is not touched.
func TestSlowClients(t *testing.T) {
	b := newBench(t, history.Limits{Bytes: 1 << 20})
	defer b.close()
	skips := b.joinTo(1, b.channel(1), lineup.Skip)
	sent := b.joinTo(2, b.channel(1), lineup.Disconnect)
	well := b.joinTo(3, b.channel(1), lineup.Disconnect)
	for range 4 << 20 / (8 * 7 * packetSize) {
		b.stations[channelEnd(1).Tag()].send(8)
		b.pass(SlotTime)
		well.read(1 << 20)
	}
	if o := b.of(1); o.ended != 0 {
		t.Errorf("the one that skips: %+v", o)
	}
	if o := b.of(2); o.ended != 1 || o.reason != channel.ClientSlow {
		t.Errorf("the one that is not to skip: %+v", o)
	}
	if _, err := unix.Write(sent.fd, []byte{0}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("what it says: %v; want nobody there, as if the stream had broken off", err)
	}
	if _, _, gaps, err := well.stream(); err != nil || gaps != 0 || b.of(3).ended != 0 {
		t.Errorf("the one that keeps up: %d gaps, %+v, %v", gaps, b.of(3), err)
	}
	for range 1000 {
		skips.read(1 << 20)
		b.pass(SlotTime)
	}
	if _, _, gaps, err := skips.stream(); err != nil || gaps == 0 {
		t.Errorf("the one that skips: %d gaps, %v", gaps, err)
	}
}

// TestSlowClientOfEndedChannel: the last client of a channel that has ended is sent away
// because memory is short or the history full, and the channel goes with it.
func TestSlowClientOfEndedChannel(t *testing.T) {
	for name, kept := range map[string]history.Limits{"its own limit": {Bytes: 1 << 20}, "that of all": {}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, kept)
			defer b.close()
			b.l.pool = history.NewPool(8 * history.SegmentSize)
			b.joinTo(1, b.channel(1), lineup.Disconnect)
			other := b.joinTo(2, b.channel(2), lineup.Skip)
			first, second := b.stations[channelEnd(1).Tag()], b.stations[channelEnd(2).Tag()]
			for range 60 {
				first.send(8)
				b.pass(SlotTime)
			}
			if b.of(1).ended != 0 {
				t.Fatalf("too early: %+v", b.of(1))
			}
			first.fail = endpoint.ErrEnd // behind a burst that fills its history
			for _, err := unix.Write(first.feed, packets(first.sent, 300)); err == nil; {
				_, err = unix.Write(first.feed, packets(first.sent, 300))
			}
			for range 200 {
				second.send(8)
				b.pass(SlotTime)
				other.read(1 << 20)
			}
			if o := b.of(1); o.ended != 1 || o.reason != channel.ClientSlow {
				t.Errorf("%+v", o)
			}
			if len(b.l.all) != 1 || b.of(2).ended != 0 {
				t.Errorf("%d channels, the other client %+v", len(b.l.all), b.of(2))
			}
			b.l.endAll(b.now)
			for _, ch := range slices.Clone(b.l.all) {
				b.l.finishViewers(ch, channel.Shutdown, b.now)
			}
			if used := b.l.pool.Used(); used != 0 {
				t.Errorf("%d bytes are used by no channel", used)
			}
		})
	}
}

// member is a station that has joined a group.
type member struct {
	*station
	renewed, rejoined int
	err               error
}

func (m *member) Renew() error  { m.renewed++; return nil }
func (m *member) Rejoin() error { m.rejoined++; return m.err }

var _ endpoint.Member = (*member)(nil)

// TestMembers: memberships are renewed as often as is configured; after interfaces have
// changed they are joined again, and what cannot be joined is tried each second.
func TestMembers(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.l.conf.Renew = 10 * time.Second
	v := b.joinTo(1, b.channel(1), lineup.Skip)
	s := b.stations[channelEnd(1).Tag()]
	m := &member{station: s}
	b.l.taps[s.fd].src = m
	pass := func(seconds int) {
		for range 10 * seconds {
			s.send(1)
			b.pass(100 * time.Millisecond)
			v.read(1 << 20)
		}
	}
	if pass(35); m.renewed != 3 || m.rejoined != 0 {
		t.Errorf("%d times renewed, %d rejoined in 35 s, want 3 and 0", m.renewed, m.rejoined)
	}
	m.err = errors.New("no such interface")
	if err := b.l.LinksChanged(); err != nil {
		t.Fatal(err)
	}
	pass(5)
	m.err = nil
	pass(1)
	tried := m.rejoined
	if pass(5); tried < 5 || m.rejoined != tried {
		t.Errorf("tried %d times in 6 s, %d when it was joined again", tried, m.rejoined-tried)
	}
}

// TestOpenedInPart: what a source could not join when it was opened is tried each second.
func TestOpenedInPart(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	m := &member{err: errors.New("no such address")}
	b.joins = func(s *station) endpoint.Source { m.station = s; return m }
	b.joinTo(1, b.channel(1), lineup.Skip)
	for range 30 {
		m.send(1)
		b.pass(100 * time.Millisecond)
	}
	if m.rejoined < 3 {
		t.Errorf("tried %d times in 3 s", m.rejoined)
	}
	m.err = nil
	b.pass(time.Second)
	tried := m.rejoined
	if b.pass(3 * time.Second); m.rejoined != tried {
		t.Errorf("tried %d times more when it was joined", m.rejoined-tried)
	}
}

// TestCloseOpensNothing: a source that failed just before the end is replaced by none.
func TestCloseOpensNothing(t *testing.T) {
	b := newBench(t, history.Limits{})
	posts := make(chan struct{})
	tries := 0
	b.instead = func(context.Context, endpoint.Want) (endpoint.Source, error) {
		tries++ // one goroutine at a time
		<-posts
		return nil, errors.New("no such group")
	}
	ours, theirs := pair(t, unix.SOCK_STREAM)
	defer unix.Close(theirs)
	if err := b.l.Attach(b.backed(1, 2), Client{ID: 1, FD: ours, Addr: "192.0.2.1:1"}); err != nil {
		t.Fatal(err)
	}
	b.l.takePosts(b.now)
	close(posts)
	b.l.opens.Wait() // what became of it is posted, and not taken
	b.close()
	b.l.opens.Wait()
	if tries != 1 || b.of(1).refused != 1 {
		t.Errorf("%d sources tried, %+v", tries, b.of(1))
	}
}

// TestRejoinedHolds: a source that has something new to read after it has joined again is
// drained, though nothing arrives where the loop waits.
func TestRejoinedHolds(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.joinTo(1, b.channel(1), lineup.Skip)
	s := b.stations[channelEnd(1).Tag()]
	b.l.taps[s.fd].src = &member{station: s}
	b.pass(time.Second)
	if s.drains != 0 || !b.l.idle {
		t.Fatalf("drained %d times, idle %v", s.drains, b.l.idle)
	}
	s.hold = 3
	if err := b.l.LinksChanged(); err != nil {
		t.Fatal(err)
	}
	b.pass(10 * drainEvery)
	if s.drains != 3 {
		t.Errorf("drained %d times, want 3", s.drains)
	}
}

// TestHolding: a source that keeps something back is drained again though nothing comes.
func TestHolding(t *testing.T) {
	b := newBench(t, history.Limits{})
	defer b.close()
	b.joinTo(1, b.channel(1), lineup.Skip)
	s := b.stations[channelEnd(1).Tag()]
	s.hold = 3
	s.send(1)
	b.pass(10 * drainEvery)
	if s.drains != 4 {
		t.Errorf("drained %d times, want 4: for the datagram, and three times more", s.drains)
	}
}

// TestPaceOfFiles: the file of a channel is paced, over and over if it says so; a copy is sent once, as fast
// as it is taken, unless the channel says how else.
func TestPaceOfFiles(t *testing.T) {
	pcr, none := lineup.Pace{Clock: lineup.PCRClock}, lineup.Pace{Clock: lineup.NoClock}
	for _, c := range []struct {
		copy   uint32
		pace   lineup.Pace
		repeat bool
		want   lineup.Pace
		anew   bool
	}{
		{0, lineup.Pace{}, true, lineup.Pace{}, true},
		{0, lineup.Pace{}, false, lineup.Pace{}, false},
		{0, pcr, true, pcr, true},
		{0, none, true, none, true},
		{1, lineup.Pace{}, true, none, false},
		{1, pcr, true, pcr, false},
		{1, lineup.Pace{Bitrate: 1}, true, lineup.Pace{Bitrate: 1}, false},
	} {
		b := newBench(t, history.Limits{})
		var got endpoint.Want
		b.instead = func(_ context.Context, want endpoint.Want) (endpoint.Source, error) {
			got = want
			return nil, errors.New("no file")
		}
		of := b.channel(1)
		of.Sources = []uri.Source{{{Scheme: uri.File, Path: "/film.ts"}}}
		of.Copy, of.Pace, of.Repeat = c.copy, c.pace, c.repeat
		ours, theirs := pair(t, unix.SOCK_STREAM)
		if err := b.l.Attach(of, Client{ID: 1, FD: ours, Addr: "192.0.2.1:1"}); err != nil {
			t.Fatal(err)
		}
		b.l.takePosts(b.now)
		b.l.opens.Wait()
		b.l.takePosts(b.now)
		if got.Pace != c.want || got.Repeat != c.anew {
			t.Errorf("copy %d at %v: %v, repeated %v", c.copy, c.pace, got.Pace, got.Repeat)
		}
		unix.Close(theirs)
		b.close()
	}
}
