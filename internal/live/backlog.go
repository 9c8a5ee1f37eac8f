package live

import (
	"errors"
	"sync"
	"time"
)

// backlog is what waits for one client: a ring of bytes with one goroutine on either side.
//
//	fill ◄─ channel     drain ─► client
//
// A ring that is full holds the channel up, as patience permits; then the client is behind.
type backlog struct {
	rings *sync.Pool    // of *[]byte, all of a size
	lends bool          // the ring is given back while nothing is in it
	room  chan struct{} // one signal: a full ring is not any more
	more  chan struct{} // one signal: there are bytes, or the end
	quit  chan struct{} // closed by stop

	mu       sync.Mutex
	patience patience // guarded by mu, as all below
	ring     *[]byte  // nil = none is needed
	head     int      // where the first byte is
	size     int      // how many there are
	filling  bool     // fill has the free part of the ring
	over     bool     // nothing comes behind these bytes
	err      error    // why, if not in order
}

var (
	errBehind  = errors.New("the client is behind")
	errStopped = errors.New("the client has left")
)

func newBacklog(rings *sync.Pool, lends bool) *backlog {
	return &backlog{
		rings: rings, lends: lends, patience: newPatience(time.Now()),
		room: make(chan struct{}, 1), more: make(chan struct{}, 1), quit: make(chan struct{}),
	}
}

// fill takes bytes from a channel until that ends, stop, or the client is behind. Its error is errBehind, errStopped, nil or that of the channel.
func (b *backlog) fill(s *Stream) error {
	for {
		s.wait()
		free, err := b.free()
		if err != nil {
			b.filled(0, err, true)
			return err
		}
		n, err := s.Read(free)
		b.filled(n, broken(err), err != nil)
		if err != nil {
			return broken(err)
		}
	}
}

// free is where fill can put bytes. It waits for room.
func (b *backlog) free() ([]byte, error) {
	for {
		free, until := b.look()
		if len(free) > 0 {
			return free, nil
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-b.room:
		case <-timer.C:
			return nil, errBehind
		case <-b.quit:
			timer.Stop()
			return nil, errStopped
		}
		timer.Stop()
	}
}

// look is a free part of the ring, or, when it is full, until when that may last.
func (b *backlog) look() (free []byte, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ring == nil {
		b.ring = b.rings.Get().(*[]byte)
	}
	ring := *b.ring
	if b.size == len(ring) {
		return nil, b.patience.full(time.Now())
	}
	b.patience.room(time.Now())
	b.filling = true
	begin := (b.head + b.size) % len(ring)
	return ring[begin:min(len(ring), begin+len(ring)-b.size)], time.Time{}
}

// filled takes note of n bytes in the free part, and of the end.
func (b *backlog) filled(n int, err error, over bool) {
	b.mu.Lock()
	b.size += n
	b.filling, b.over, b.err = false, over, err
	b.mu.Unlock()
	signal(b.more)
}

// drain gives the bytes to pass until they end; then its error is that of fill. It ends with an error of pass, too.
func (b *backlog) drain(pass func(p []byte, more bool) error) error {
	for {
		p, more, err := b.next()
		switch {
		case p != nil:
			if err := pass(p, more); err != nil {
				return err // the ring is not given back: net/http (HTTP/2) may be reading from it still
			}
			b.took(len(p))
		case more:
			<-b.more
		default:
			return err
		}
	}
}

// next is bytes that can be passed on, and whether there are more behind them. With none, more says that some are to be waited for.
func (b *backlog) next() (p []byte, more bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(b.err, errBehind):
		return nil, false, b.err
	case b.size > 0:
		ring := *b.ring
		n := min(b.size, len(ring)-b.head, bufferSize)
		return ring[b.head : b.head+n], n < b.size, nil
	}
	b.patience.empty()
	if b.ring != nil && !b.filling && (b.lends || b.over) {
		b.rings.Put(b.ring)
		b.ring, b.head = nil, 0
	}
	return nil, !b.over, b.err
}

// took says that the client has these bytes.
func (b *backlog) took(n int) {
	b.mu.Lock()
	b.head = (b.head + n) % len(*b.ring)
	b.size -= n
	b.mu.Unlock()
	signal(b.room)
}

// stop ends fill when it waits for room.
func (b *backlog) stop() { close(b.quit) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is given already
	}
}

// patience decides how long a backlog may be full. All that a client gets at once when it joins, its burst, it may take as slowly
// as the channel permits: the burst is over when the client has kept up for a while. From then on a backlog that was full and
// does not become empty soon has a client that is too slow; one that is full for a moment has only met a large piece.
type patience struct {
	begun   time.Time
	settled bool      // the burst is over
	isFull  bool      // now
	calm    time.Time // when it last stopped being full, or began
	since   time.Time // it has been full, and not been empty since; zero = no
}

const (
	// settling is how long a client must keep up for its burst to be over.
	settling = time.Second
	// longestBurst is how long a burst lasts at most.
	longestBurst = 30 * time.Second
	// tolerance is how long after it was full a backlog may take to become empty.
	tolerance = time.Second
)

func newPatience(now time.Time) patience { return patience{begun: now, calm: now} }

// full says that the backlog is full, and returns until when it may be.
func (p *patience) full(now time.Time) time.Time {
	if !p.isFull && now.Sub(p.calm) >= settling {
		p.settled = true
	}
	p.isFull = true
	if !p.settled {
		return p.begun.Add(longestBurst)
	}
	if p.since.IsZero() {
		p.since = now
	}
	return p.since.Add(tolerance)
}

// room says that it is not full.
func (p *patience) room(now time.Time) {
	if p.isFull {
		p.isFull, p.calm = false, now
	}
}

// empty says that the client has all there is.
func (p *patience) empty() { p.since = time.Time{} }
