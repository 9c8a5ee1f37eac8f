package auth

import (
	"cmp"
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	defaultDeniedFor     = time.Minute
	defaultDeniedEntries = 10_000
)

// subject is what the answer of a hook or a helper may depend on, as a digest: of a fixed
// size, however long the request is. The port of the peer is another for each connection
// and does not count.
type subject [sha256.Size]byte

// subject wants a Question of printable fields (see printable): then a newline is in none.
func (q *Question) subject() subject {
	return sha256.Sum256([]byte(q.Peer.Addr().String() + "\n" + q.Source + "\n" + q.Destination + "\n" + q.Listener))
}

// denials remembers who was denied, and no one else. When it is full the oldest goes.
type denials struct {
	life    time.Duration // negative = nothing is remembered
	entries int

	mu  sync.Mutex // guards what follows
	by  map[subject]*list.Element
	age *list.List // of denial, the oldest first; all live equally long
}

type denial struct {
	subject subject
	answer  Answer
	until   time.Time
}

func newDenials(life time.Duration, entries int) *denials {
	return &denials{
		life:    cmp.Or(life, defaultDeniedFor),
		entries: cmp.Or(entries, defaultDeniedEntries),
		by:      map[subject]*list.Element{},
		age:     list.New(),
	}
}

// find returns the answer that s had, if it still holds.
func (d *denials) find(s subject, now time.Time) (a Answer, found bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expireLocked(now)
	e, found := d.by[s]
	if !found {
		return Answer{}, false
	}
	return e.Value.(denial).answer, true
}

// add remembers that s had answer a.
func (d *denials) add(s subject, a Answer, now time.Time) {
	if d.life < 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, there := d.by[s]; there {
		d.removeLocked(e)
	}
	for d.age.Len() >= d.entries {
		d.removeLocked(d.age.Front())
	}
	d.by[s] = d.age.PushBack(denial{s, a, now.Add(d.life)})
}

func (d *denials) expireLocked(now time.Time) {
	for e := d.age.Front(); e != nil && !now.Before(e.Value.(denial).until); e = d.age.Front() {
		d.removeLocked(e)
	}
}

func (d *denials) removeLocked(e *list.Element) {
	delete(d.by, e.Value.(denial).subject)
	d.age.Remove(e)
}
