package loop

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/report"
)

const (
	// SlotTime is how often a share of the clients is served, and their sources drained.
	SlotTime = 5 * time.Millisecond
	// drainEvery is how long a source may wait to be drained when none of its channel's
	// clients is due: its receive buffer takes what comes.
	drainEvery = 20 * time.Millisecond
	// hotDrain is what a drain must have moved, in bytes, for the source to be drained
	// in every slot: a hundred Mbit/s and more.
	hotDrain = 256 << 10
	// housekeeping is how often the timers of channels and clients are looked at.
	housekeeping = 100 * time.Millisecond
	// drainTime is how long a client that gets no more may take to close its side.
	drainTime = 2 * time.Second
	// tailTime is how long one on this machine may take to read the tail of what has ended:
	// what its socket holds, for a client of its own that is slow.
	tailTime = 10 * time.Minute
	// sharedFrom is how many clients a channel has at least whose history stands in
	// files; see docs/decisions/005.
	sharedFrom = 200
	// maxWindow bounds what is fetched from a patient source before the client that is
	// furthest ahead, in bytes.
	maxWindow = 4 << 20
	// defaultStall is Config.Stall where nothing is said.
	defaultStall = 20 * time.Second
	// maxPosts is how much others may want of the loop before they have to wait.
	maxPosts = 1024
)

// Round is how long it takes until every one of n clients of m channels is served once:
// few get little at a time and at once, many get much at a time, which costs less. At
// 8 Mbit/s it makes sends of 5 KB for up to 20 clients, 13 KB for 200, 49 KB for 1000.
// What many channels cost is mostly receiving: that is the reason for the second part.
// See docs/decisions/005.
func Round(n, m int) time.Duration {
	clients := 4*time.Millisecond + time.Duration(n)*45*time.Microsecond
	channels := time.Duration(m) * 200 * time.Microsecond
	return min(max(SlotTime, clients, min(channels, drainEvery)), 90*time.Millisecond)
}

// Observer is told what happens, on the loop's thread: its methods must not block and
// must not call the loop.
type Observer interface {
	// ChannelOpened: the first of its sources is open.
	ChannelOpened(tag string)
	// ChannelEnded: also of a channel that was never opened.
	ChannelEnded(tag string, bytes uint64, reason channel.Reason)
	// SourceFailed: one of the channel's sources could not be opened, or broke.
	SourceFailed(channel, source string, err error)
	// Switched: another source of the channel is on air.
	Switched(channel, from, to string, reason channel.Reason)
	// Rates are those of all channels, once a second while there are any. The slice is
	// used again.
	Rates(rates []Rate)
	// Started: the client's head is written and data flows.
	Started(id uint64, channel, client string)
	// Refused: nothing was written and the client's socket is closed here. err says why.
	Refused(id uint64, reason channel.Reason, err error)
	// Ended: a client that was started is gone.
	Ended(id uint64, channel, client string, bytes uint64, reason channel.Reason)
}

// Rate is what a channel delivers.
type Rate struct {
	Tag string
	Bps uint64 // bits a second, over the last second
}

// Config of a loop. Zero fields take the defaults.
type Config struct {
	Opener   endpoint.Opener // required
	Observer Observer        // required
	Log      *slog.Logger    // required
	Memory   int64           // bytes for all histories together; if zero, no limit
	Renew    time.Duration   // how often memberships are renewed; if zero, never
	Stall    time.Duration   // a client that takes nothing for so long is closed; if zero 20 s
	Grace    time.Duration   // how long clients may take to get what is left at the end; if zero 3 s
}

// ErrEnded is what the loop's methods return once it has ended.
var ErrEnded = errors.New("the engine is ending")

// Loop is made by New and runs in Run. Attach and Report may be called from any
// goroutine.
type Loop struct {
	conf    Config
	limited *slog.Logger // for what may come of every channel at once
	poll    *poller
	clock   clock
	opens   sync.WaitGroup
	life    context.Context // of what is being opened beside the loop
	die     context.CancelFunc

	posts   chan func(now time.Duration)
	done    chan struct{} // closed when the loop begins to end: posting has no use any more
	gone    chan struct{} // closed when it has ended, and all its sockets are closed
	posting sync.RWMutex  // held for reading by those who post; guards ended
	ended   bool

	// Owned by the thread of Run.
	pool       *history.Pool
	channels   map[string]*live // by tag, those that can be joined
	sharedFrom int              // see the constant; tests change it
	all        []*live          // those and the ended ones that still have clients
	ring       roster           // clients that data goes to, in the order of their turns
	turn       int              // index in ring of the next to be served
	again      []*client        // took much and still want more: served in the next slot as well
	again2     []*client        // the list of the slot before, to be used again
	rates      []Rate           // told last, to be used again
	taps       map[int]*tap     // open sources, by descriptor
	ready      []*tap           // that have something to be drained, in this slot
	holding    []*tap           // that keep something back which time may set free
	paused     []*tap           // whose sender waits until clients have taken more
	clients    map[int]*client  // by descriptor
	leaving    roster           // got everything; their input is drained until they close
	pieces     [][]byte

	lastStep time.Duration
	lastLook time.Duration // housekeeping
	lastRate time.Duration
	lastBusy time.Duration // when bytes came, or a client was behind
	share    float64       // the part of a client that was left over from the last slot's share
	idle     bool          // sleeping until a source is readable
	ending   bool
	deadline time.Duration // of the end, once ending
}

// live is a channel with its sources and the clients that wait for its first byte.
type live struct {
	*channel.Channel
	taps    []tap     // one for each of its sources
	waiting []*client // for the first byte
	viewers roster    // those in the ring
	since   time.Time
	meter   meter

	opened  bool           // the Observer was told so
	patient bool           // what came last came from a source whose sender waits
	err     error          // of the source that failed last
	reason  channel.Reason // of the end
}

// New makes a loop that has nothing to do yet.
func New(c Config) (*Loop, error) {
	c.Stall = cmp.Or(c.Stall, defaultStall)
	if c.Grace == 0 {
		c.Grace = 3 * time.Second
	}
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	life, die := context.WithCancel(context.Background())
	return &Loop{
		life: life, die: die,
		conf: c, limited: logs.Limited(c.Log), poll: p, clock: clock{began: time.Now()},
		posts: make(chan func(time.Duration), maxPosts), done: make(chan struct{}), gone: make(chan struct{}),
		ring: roster{place: turnOf}, leaving: roster{place: turnOf},
		pool: history.NewPool(c.Memory), sharedFrom: sharedFrom,
		channels: map[string]*live{}, taps: map[int]*tap{}, clients: map[int]*client{},
	}, nil
}

// Run moves bytes until ctx ends; then every client gets what is left for it, its
// connection is ended in order, and Run returns. Clients that take longer than Grace
// are cut.
func (l *Loop) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, l.nudge)
	defer stop()
	defer l.close()
	for {
		now, late := l.clock.tick(0)
		timeout := l.timeout(now)
		ready, err := l.poll.wait(timeout, l.idle)
		if err != nil {
			return err
		}
		now, more := l.clock.tick(timeout)
		if late += more; late > 0 {
			l.limited.Warn("the engine was not run for a while: the machine was suspended, or has too much to do", logs.Delay, late.Round(time.Millisecond))
		}
		for _, fd := range ready.clients {
			l.hungUp(fd, now)
		}
		l.takePosts(now)
		if ctx.Err() != nil && !l.ending {
			l.endAll(now)
		}
		if l.ending && (len(l.all) == 0 && len(l.leaving.all) == 0 || now >= l.deadline) {
			return nil
		}
		if ready.sources || now-l.lastStep >= SlotTime {
			l.step(now)
		}
	}
}

// Client is what Attach is given.
type Client struct {
	ID    uint64 // under which the Observer is told the outcome, exactly once
	FD    int    // a connected, non-blocking socket
	Addr  string // of who asked, for reports
	Tag   string // of who gets it, for reports and orders; "" = "TCP://" and Addr
	Away  bool   // who asked is not the one who gets it, and has no part in the socket
	Head  []byte // what it gets before the first byte
	Start lineup.Start
	Slow  lineup.Slow
}

// Attach gives the loop a client of a channel, which is opened when nobody has it yet; one
// that is open has the settings of to from now on. The loop becomes the owner of the
// client's socket; with an error it stays the caller's.
func (l *Loop) Attach(to lineup.Channel, who Client) error {
	c := &client{id: who.ID, fd: who.FD, addr: who.Addr, tag: cmp.Or(who.Tag, "TCP://"+who.Addr), away: who.Away, pre: who.Head, start: who.Start, slow: who.Slow}
	return l.post(func(now time.Duration) { l.attach(c, to, now) })
}

// Pin opens a channel, or keeps one that is there, whether it has clients or not. Its
// settings are those of c from now on.
func (l *Loop) Pin(c lineup.Channel) error {
	return l.post(func(now time.Duration) { l.pin(c, now) })
}

// Unpin takes Pin back: without clients the channel is kept for its linger time from now.
func (l *Loop) Unpin(tag string) error {
	return l.post(func(now time.Duration) { l.unpin(tag, now) })
}

// Drop ends the clients of a channel whose tag is client, or with "" the channel. Tags are
// those of reports; one that is not there is no error. Who waits for the first byte is
// refused, the others get an orderly end: of the channel with all that it has for them.
func (l *Loop) Drop(channel, client string) error {
	return l.post(func(now time.Duration) { l.drop(channel, client, now) })
}

// Reset drops every channel. The loop goes on: the next client opens its channel anew.
func (l *Loop) Reset() error { return l.post(l.reset) }

// Adjust has Memory, Renew and Stall of c hold from now on.
func (l *Loop) Adjust(c Config) error {
	return l.post(func(time.Duration) {
		l.pool.SetLimit(c.Memory)
		l.conf.Memory, l.conf.Renew, l.conf.Stall = c.Memory, c.Renew, cmp.Or(c.Stall, defaultStall)
	})
}

// LinksChanged has the sources join again what they have lost with an interface.
func (l *Loop) LinksChanged() error { return l.post(l.rejoin) }

// Abandon refuses every client that nothing was written to yet. When it returns their
// sockets are closed here, or the loop has ended.
func (l *Loop) Abandon() { l.giveUp(func(*client) bool { return true }) }

// AbandonAway is Abandon for those only who are Away.
func (l *Loop) AbandonAway() { l.giveUp(func(c *client) bool { return c.away }) }

func (l *Loop) giveUp(which func(*client) bool) {
	done := make(chan struct{})
	if l.post(func(now time.Duration) { l.abandon(which, now); close(done) }) != nil {
		<-l.gone
		return
	}
	select {
	case <-done:
	case <-l.gone:
	}
}

// Report tells what the loop carries: the channels of an engine, with their clients.
func (l *Loop) Report(ctx context.Context) ([]report.Channel, error) {
	answer := make(chan []report.Channel, 1)
	if err := l.post(func(now time.Duration) { answer <- l.report(now) }); err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		return r, nil
	case <-l.done:
		return nil, ErrEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// post has f done by the loop. It waits while maxPosts are waiting.
func (l *Loop) post(f func(now time.Duration)) error {
	l.posting.RLock()
	defer l.posting.RUnlock()
	if l.ended {
		return ErrEnded
	}
	select {
	case l.posts <- f:
		l.poll.wake()
		return nil
	case <-l.done:
		return ErrEnded
	}
}

// nudge ends the loop's sleep, from any goroutine.
func (l *Loop) nudge() {
	l.posting.RLock()
	defer l.posting.RUnlock()
	if !l.ended {
		l.poll.wake()
	}
}

func (l *Loop) takePosts(now time.Duration) {
	for range maxPosts { // no more than were there, so that the bytes get their turn
		select {
		case f := <-l.posts:
			f(now)
		default:
			return
		}
	}
}

// timeout is how long the loop may sleep; negative is for ever.
func (l *Loop) timeout(now time.Duration) time.Duration {
	switch {
	case !l.idle:
		return max(0, l.lastStep+SlotTime-now)
	case len(l.all) > 0 || len(l.leaving.all) > 0 || l.ending:
		return max(0, l.lastLook+housekeeping-now)
	default:
		return -1
	}
}

// close ends what is left, without ceremony.
func (l *Loop) close() {
	l.ending = true
	close(l.done)
	l.posting.Lock()
	l.ended = true
	l.posting.Unlock()
	now, _ := l.clock.tick(0)
	for len(l.all) > 0 { // first, so that no other source is opened in place of one that fails
		ch := l.all[0]
		l.endChannel(ch, channel.Shutdown, ErrEnded, now)
		l.finishViewers(ch, channel.Shutdown, now)
	}
	l.die()
	l.opens.Wait()
	l.takePosts(now)
	for len(l.leaving.all) > 0 {
		l.forget(l.leaving.all[0])
	}
	l.pool.Close()
	l.poll.close()
	close(l.gone)
}
