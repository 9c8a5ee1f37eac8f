package iothread

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
)

// state is what a session is doing.
type state uint8

const (
	beginning state = iota
	looking
	dialing
	waiting
	relaying
	gone
)

// The sides of a session, and the directions that come from them.
const (
	client = 0
	remote = 1
)

// session is a session as a thread has it. Its thread owns it; others may call
// WakeSession.
type session struct {
	flow.Session
	t     *thread
	woken atomic.Bool // it is in the inbox

	state   state
	queued  bool // it is among those that are ready
	spliced bool // it may be
	ending  flow.Cause
	slot    int32
	seen    int32 // bytes of the head that the Desk was shown
	ends    [2]end
	streams [2]stream // from the client, from the remote
	prelude int       // bytes of Remote.Prelude that are sent

	timer timer
	limit int64 // when the time of the step is over; math.MaxInt64 = never
	since int64 // when the last byte was moved, or the step Wait began
}

const never = math.MaxInt64

// end is one side of a session.
type end struct {
	fd       int32 // -1 = none
	tag      int32 // says that an event is of this socket
	network  flow.Network
	ready    bool // there may be something to read
	hungUp   bool // it has ended, or broken: all there will ever be is there
	broken   bool // there is an error
	thorough bool // a short read may not have been all: read until the kernel has no more
	urgent   bool // it has sent urgent data: splice(2) stops before it for good, and takes it for the end when that has come
	full     bool // it did not take all, or is not connected; until the kernel says that there is room
	over     bool // its end was read
}

const (
	socketEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI | unix.EPOLLET
	ended        = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// note takes down what an event says. Urgent data makes the kernel stop before it (tcp(7)).
func (e *end) note(events uint32) {
	if events&(unix.EPOLLIN|ended) != 0 {
		e.ready = true
	}
	if events&ended != 0 {
		e.hungUp = true
	}
	if events&(unix.EPOLLPRI|ended) != 0 {
		e.thorough = true
	}
	if events&unix.EPOLLPRI != 0 {
		e.urgent = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		e.full = false
	}
	if events&unix.EPOLLERR != 0 {
		e.broken = true
	}
}

// attach makes fd the socket of one side and has its events noted.
func (t *thread) attach(s *session, side int32, fd int, network flow.Network) unix.Errno {
	t.tag++
	s.ends[side] = end{fd: int32(fd), tag: t.tag, network: network, thorough: network != flow.TCP}
	return watch(t.epoll, unix.EPOLL_CTL_ADD, fd, socketEvents, s.slot*2+side, t.tag)
}

// detach closes the socket of one side, if it has one.
func (s *session) detach(side int, reset bool) {
	if fd := s.ends[side].fd; fd >= 0 {
		closeSocket(int(fd), reset)
		s.ends[side].fd, s.ends[side].tag = -1, 0
	}
}

// begin makes a session of a client that was accepted.
func (t *thread) begin(a arrival) {
	s := &session{t: t, limit: never, since: t.now}
	s.Session = flow.Session{
		ID: t.pool.ids.Add(1), Listener: a.listener, Peer: a.peer, Client: a.peer, Local: t.localOf(a),
		Begun: time.Now(), Thread: t.number, ClientFD: a.fd, RemoteFD: -1, Waker: s,
	}
	if n := len(t.unused); n > 0 {
		s.slot, t.unused = t.unused[n-1], t.unused[:n-1]
		t.slots[s.slot] = s
	} else {
		s.slot = int32(len(t.slots))
		t.slots = append(t.slots, s)
	}
	t.pool.count.Add(1)
	s.ends[remote].fd = -1
	s.ends[client].fd = int32(a.fd)
	plan := t.pool.desk.Open(&s.Session)
	if plan.Step != flow.End {
		if err := t.welcome(s, a); err != nil {
			plan = flow.Plan{Cause: flow.CauseError, Err: err}
		}
	}
	t.follow(s, plan)
}

// welcome readies the client's socket.
func (t *thread) welcome(s *session, a arrival) error {
	network := a.door.local.Network
	if !a.inherits {
		if err := dress(a.fd, network, s.Listener); err != nil {
			return err
		}
		if s.Listener.DSCP != 0 {
			if err := setDSCP(a.fd, a.door.local, s.Listener.DSCP); err != nil {
				return err
			}
		}
	}
	if errno := t.attach(s, client, s.ClientFD, network); errno != 0 {
		return fmt.Errorf("watch the client's socket: %w", errno)
	}
	return nil
}

// follow does what the Desk wants, until there is something to wait for.
func (t *thread) follow(s *session, p flow.Plan) {
	for {
		s.limit = never
		if p.Within > 0 {
			s.limit = t.now + int64(p.Within)
		}
		switch p.Step {
		case flow.Look:
			s.state, s.seen = looking, 0
			if s.ends[client].ready {
				t.enqueue(s)
			}
		case flow.Dial:
			if err := t.dial(s, p.Target); err != nil {
				p = t.failed(s, err)
				continue
			}
		case flow.Wait:
			s.state, s.since = waiting, t.now
		case flow.Take:
			t.hand(s)
			return
		default:
			t.finish(s, p.Cause, p.Err, p.Reset)
			return
		}
		if s.state != gone {
			t.arm(s)
		}
		return
	}
}

// turn does what a session can do now.
func (t *thread) turn(s *session) {
	switch s.state {
	case relaying:
		t.relay(s)
	case looking:
		t.look(s, false)
	case dialing, waiting:
		if s.ends[client].broken {
			t.lost(s)
		} else if s.state == dialing {
			t.dialed(s)
		}
	}
}

// lost ends a session whose client went before there was a remote.
func (t *thread) lost(s *session) {
	t.finish(s, flow.CauseClient, clientError(s.ends[client].failure()), true)
}

// failure is the error of a side that is known to be broken.
func (e *end) failure() unix.Errno {
	if errno := socketError(int(e.fd)); errno != 0 {
		return errno
	}
	return unix.ECONNRESET
}

// again asks the Desk what becomes of a session that waits.
func (t *thread) again(s *session, late bool) {
	if s.state != waiting {
		return
	}
	s.Queued += time.Duration(t.now - s.since)
	t.follow(s, t.pool.desk.Again(&s.Session, late))
}

// WakeSession implements flow.Waker.
func (s *session) WakeSession(*flow.Session) {
	if !s.woken.Swap(true) {
		s.t.inbox.wake(s)
	}
}

// due is when a session has waited long enough, and with what cause it ends then if it relays.
func (s *session) due() (at int64, why flow.Cause) {
	if s.state != relaying {
		return s.limit, flow.CauseNone
	}
	at = never
	if idle := int64(s.Listener.Idle); idle > 0 {
		at, why = s.since+idle, flow.CauseIdle
	}
	if half := int64(s.Listener.HalfClose); half > 0 && s.ending != flow.CauseNone && s.since+half < at {
		at, why = s.since+half, flow.CauseHalfClosed
	}
	return at, why
}

// arm has s looked at when its time is over.
func (t *thread) arm(s *session) {
	if at, _ := s.due(); at != never {
		t.wheel.set(s, (at+int64(tick)-1)/int64(tick))
	}
}

// expire looks whether the time of a session is over.
func (t *thread) expire(s *session) {
	at, why := s.due()
	if at > t.now {
		t.arm(s)
		return
	}
	switch s.state {
	case looking:
		t.look(s, true)
	case dialing:
		t.failTo(s, errNoAnswer)
	case waiting:
		t.again(s, true)
	case relaying:
		t.finish(s, why, nil, false)
	}
}

// finish ends a session and tells the Desk.
func (t *thread) finish(s *session, why flow.Cause, err error, reset bool) {
	if s.state == gone {
		return
	}
	t.forget(s)
	s.detach(client, reset)
	s.detach(remote, reset)
	s.Cause, s.Err = why, err
	t.pool.desk.Close(&s.Session)
}

// forget takes a session out of all that the thread knows.
func (t *thread) forget(s *session) {
	s.state = gone
	t.wheel.remove(s)
	for i := range s.streams {
		if p := s.streams[i].pipe; p != nil {
			t.pipes.give(p, t.now)
		}
		s.streams[i] = stream{}
	}
	t.slots[s.slot] = nil
	t.unused = append(t.unused, s.slot)
	t.pool.count.Add(-1)
}

// endAll ends what is left when the thread ends.
func (t *thread) endAll() {
	t.inbox.shut(&t.letter)
	for _, a := range t.letter.arrivals {
		closeSocket(a.fd, true)
	}
	for _, s := range t.slots {
		if s != nil {
			t.finish(s, flow.CauseDrain, nil, true)
		}
	}
	for _, v := range append(t.visits, t.letter.visits...) {
		close(v.done)
	}
	t.pipes.closeAll()
	t.publish()
}

// view is a copy of what s is.
func (s *session) view() flow.View {
	pool, remote := s.Destination()
	return flow.View{
		ID: s.ID, Listener: s.Listener.Name, Client: s.Client, Pool: pool, Remote: remote, Begun: s.Begun, Connected: s.Connected,
		Quiet: time.Duration(s.t.now - s.since), Up: s.Up, Down: s.Down,
	}
}
