package push

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"sluice/internal/object"
	"sluice/internal/store"
)

const (
	maxQueue = 1024 // tasks of one lane; the oldest is given up for one more
	maxLanes = 64   // of one server; beyond, all share the lane of others
)

// Keys of lanes; no name of an object and no representation is like them.
const (
	others   = ""     // what is complete and neither a segment nor a manifest
	removals = "\x00" // apart, so that nothing that a manifest waits for stands behind the removal of that manifest
)

// task is an object that one server is to get, or to lose.
type task struct {
	name     string
	removal  bool
	lane     *lane
	complete bool          // there is all of it; guarded by run.mu
	after    []*task       // of the same name, that have begun before; of who does it
	done     chan struct{} // closed when it is done, one way or the other
}

// lane is what one server gets one after the other. It is there as long as there is something to do.
type lane struct {
	key   string
	queue []*task // that have not begun
	busy  *task   // the one that has; nil = none
}

// growing says whether something in the lane is not complete: nobody knows how long it takes.
func (l *lane) growing() bool {
	return l.busy != nil && !l.busy.complete || slices.ContainsFunc(l.queue, func(t *task) bool { return !t.complete })
}

// outbox is what one server is to get. It is guarded by run.mu.
type outbox struct {
	server  *server
	lanes   map[string]*lane
	pending []*task // of all lanes, in order
}

// run is a push of objects that is under way.
type run struct {
	conf    *Config
	source  source
	ctx     context.Context
	cancel  context.CancelCauseFunc
	workers sync.WaitGroup

	mu      sync.Mutex // guards what is below
	over    bool
	boxes   []*outbox
	growing map[string][]*task
}

// begin begins a push. It must be ended.
func (p *Pusher) begin(ctx context.Context, src source) *run {
	r := &run{conf: &p.conf, source: src, growing: map[string][]*task{}}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	for _, s := range p.servers {
		r.boxes = append(r.boxes, &outbox{server: s, lanes: map[string]*lane{}})
	}
	return r
}

// end ends it: what is being sent is broken off. It returns why it had to end, if nobody wanted it.
func (r *run) end() error {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	cause := context.Cause(r.ctx)
	r.cancel(nil)
	r.workers.Wait()
	for _, box := range r.boxes {
		box.server.transport.CloseIdleConnections()
	}
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return nil
	}
	return cause
}

// take takes note of what has happened to an object. Began is said only of what can be opened as it grows.
func (r *run) take(ev store.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	switch ev.What {
	case store.Began:
		if !r.conf.Whole {
			r.growing[ev.Name] = r.putLocked(task{name: ev.Name})
		}
	case store.Ended:
		if !r.completeLocked(ev.Name) {
			r.putLocked(task{name: ev.Name, complete: true})
		}
	case store.Aborted:
		r.abortLocked(ev.Name)
	case store.Removed:
		r.abortLocked(ev.Name)
		if r.conf.Delete {
			r.putLocked(task{name: ev.Name, complete: true, removal: true})
		}
	}
}

// completeLocked takes note that all of something is there; false when nobody has begun it.
func (r *run) completeLocked(name string) bool {
	tasks, begun := r.growing[name]
	delete(r.growing, name)
	for _, t := range tasks {
		t.complete = true
	}
	return begun
}

// abortLocked forgets what has not begun of an object that will not be complete; who sends it finds out by himself.
func (r *run) abortLocked(name string) {
	if tasks, grew := r.growing[name]; grew {
		for _, box := range r.boxes {
			box.withdraw(func(t *task) bool { return slices.Contains(tasks, t) })
		}
	}
	r.completeLocked(name)
}

// putLocked has each server do the same.
func (r *run) putLocked(what task) (tasks []*task) {
	for _, box := range r.boxes {
		t := what
		t.done = make(chan struct{})
		r.queueLocked(box, &t)
		tasks = append(tasks, &t)
	}
	return tasks
}

// queueLocked gives a server something to do. What stands there of the same name and has not begun is in vain.
func (r *run) queueLocked(box *outbox, t *task) {
	for _, old := range box.withdraw(func(old *task) bool { return old.name == t.name }) {
		if t.removal && !old.removal {
			box.server.lost(old.name, fmt.Errorf("it was removed before its turn came: %w", fs.ErrNotExist))
		}
	}
	for _, other := range box.pending {
		if other.name == t.name {
			t.after = append(t.after, other)
		}
	}
	t.lane = box.laneOf(t)
	if len(t.lane.queue) >= maxQueue {
		oldest := t.lane.queue[0]
		box.withdraw(func(x *task) bool { return x == oldest })
		r.giveUp(box.server, oldest, fmt.Errorf("%d others wait for this server", maxQueue))
	}
	t.lane.queue = append(t.lane.queue, t)
	box.pending = append(box.pending, t)
	box.server.waiting.Add(1)
	if box.lanes[t.lane.key] == nil {
		box.lanes[t.lane.key] = t.lane
		r.workers.Go(func() { r.work(box, t.lane) })
	}
}

// withdraw takes tasks that have not begun out of their lanes.
func (b *outbox) withdraw(which func(*task) bool) (gone []*task) {
	b.pending = slices.DeleteFunc(b.pending, func(t *task) bool {
		if !which(t) {
			return false
		}
		at := slices.Index(t.lane.queue, t)
		if at < 0 {
			return false
		}
		t.lane.queue = slices.Delete(t.lane.queue, at, at+1)
		b.server.waiting.Add(-1)
		close(t.done)
		gone = append(gone, t)
		return true
	})
	return gone
}

// laneOf is the lane of a task, which may be a new one.
func (b *outbox) laneOf(t *task) *lane {
	representation, _, segment := store.Representation(t.name)
	key := others
	switch {
	case t.removal:
		key = removals
	case segment && (b.lanes[representation] == nil || !b.lanes[representation].growing()):
		key = representation
	case segment, store.Manifest(t.name), !t.complete:
		key = t.name
	}
	if b.lanes[key] == nil && len(b.lanes) >= maxLanes && key != removals {
		key = others
	}
	if l := b.lanes[key]; l != nil {
		return l
	}
	return &lane{key: key}
}

// work does what is in a lane until there is no more.
func (r *run) work(box *outbox, l *lane) {
	for {
		t := r.next(box, l)
		if t == nil {
			return
		}
		r.settle(box, t, r.do(box, t))
	}
}

// next is the next task of a lane; without one the lane is closed.
func (r *run) next(box *outbox, l *lane) *task {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		box.withdraw(func(t *task) bool { return t.lane == l })
	}
	if len(l.queue) == 0 {
		delete(box.lanes, l.key)
		return nil
	}
	l.busy, l.queue = l.queue[0], l.queue[1:]
	box.server.waiting.Add(-1)
	return l.busy
}

// do does a task.
func (r *run) do(box *outbox, t *task) error {
	if err := await(r.ctx, t.after); err != nil {
		return err
	}
	t.after = nil
	if t.removal {
		return box.server.remove(r.ctx, t.name)
	}
	return box.server.upload(r.ctx, t.name, func(ctx context.Context) (opened, error) {
		what, err := r.source.open(ctx, t.name)
		if err == nil && store.Manifest(t.name) {
			if err = await(ctx, r.before(box, t)); err != nil {
				_ = what.Close() // it was only opened
			}
		}
		return what, err
	})
}

// before is what a manifest that was just opened waits for: it may name all that is complete. Who shares a lane with others
// waits for nobody, so that nobody waits for himself.
func (r *run) before(box *outbox, manifest *task) (list []*task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if manifest.lane.key != manifest.name {
		return nil
	}
	for _, t := range box.pending {
		if t.complete && !t.removal && !store.Manifest(t.name) {
			list = append(list, t)
		}
	}
	return list
}

// await waits until tasks are done.
func await(ctx context.Context, tasks []*task) error {
	for _, t := range tasks {
		select {
		case <-t.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// settle takes note that a task is done.
func (r *run) settle(box *outbox, t *task, err error) {
	r.mu.Lock()
	t.lane.busy = nil
	box.pending = slices.DeleteFunc(box.pending, func(x *task) bool { return x == t })
	close(t.done)
	r.mu.Unlock()
	switch {
	case err == nil && t.removal:
		box.server.succeeded(0)
	case err == nil:
		box.server.succeeded(1)
	case r.ctx.Err() != nil, errors.Is(err, errLater), errors.Is(err, object.ErrAborted): // nobody's fault
	case errors.Is(err, errOurs):
		box.server.lost(t.name, err)
	default:
		r.giveUp(box.server, t, err)
	}
}

// giveUp takes note that a server has not got something, after which the push may be over.
func (r *run) giveUp(s *server, t *task, err error) {
	s.lost(t.name, err)
	if !r.conf.Keep {
		r.cancel(fmt.Errorf("push %s to %s: %w", t.name, s.to, err))
	}
}
