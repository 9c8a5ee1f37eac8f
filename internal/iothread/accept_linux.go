package iothread

import (
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
	"sluice/internal/logs"
)

const acceptBurst = 32 // clients that are accepted at one socket in a round, at most

// acceptor is what a thread knows of the doors.
type acceptor struct {
	doors    map[int32]*door // those in the epoll set, by id
	rounds   uint64          // of the thread
	accepted uint64          // round in which something was accepted, the last
	burst    int             // how many were to be accepted then
	resumeAt int64           // until then nothing is accepted, for want of descriptors or memory; 0 = it is
	pause    time.Duration   // the last such pause
}

// syncDoors watches those doors that are to be watched, and no others.
func (t *thread) syncDoors() {
	wanted := make(map[int32]*door)
	if t.resumeAt == 0 {
		for _, d := range t.pool.openDoors() {
			if !d.paused.Load() {
				wanted[d.id] = d
			}
		}
	}
	for id, d := range t.doors {
		if wanted[id] == nil {
			watch(t.epoll, unix.EPOLL_CTL_DEL, d.fd, 0, 0, 0)
			delete(t.doors, id)
		}
	}
	for id, d := range wanted {
		if t.doors[id] != nil {
			continue
		}
		// By level, so that each thread takes only so many, and one thread is woken for a client.
		errno := watch(t.epoll, unix.EPOLL_CTL_ADD, d.fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, eventKey-1-id, 0)
		if errno != 0 {
			t.holdDoors("watch a listening socket", errno)
			return
		}
		t.doors[id] = d
	}
}

// accept takes clients out of the queue of d, which may be nil: closed in this round.
func (t *thread) accept(d *door) {
	if d == nil {
		return
	}
	most := t.allowance()
	if d.settled.Load() != d.listener.Load() {
		most = acceptBurst
	}
	for range most {
		if d.paused.Load() {
			return
		}
		l := d.listener.Load()
		inherits := d.inherits(l) // before, since another thread may empty the queue meanwhile
		fd, errno := accept(d.fd, &t.addr)
		switch errno {
		case 0:
			t.clients++
			t.pause = 0
			t.handOver(arrival{fd: fd, door: d, listener: l, inherits: inherits, peer: t.addr.addr(d.local.Network)})
		case unix.EAGAIN:
			d.settled.Store(l)
			return
		case unix.ECONNABORTED, unix.EPERM, unix.EPROTO, unix.ENOPROTOOPT, unix.ETIMEDOUT, unix.EOPNOTSUPP,
			unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENONET: // of that client (accept(2))
		default:
			t.acceptErrors++
			t.holdDoors("accept", errno)
			return
		}
	}
}

// allowance is how many clients may be accepted: one, and twice as many with each round in a
// row that there are some. So a quiet socket is not asked whether there is another one.
func (t *thread) allowance() int {
	switch t.rounds - t.accepted {
	case 0: // at another socket, too
	case 1:
		t.burst = min(2*t.burst, acceptBurst)
	default:
		t.burst = 1
	}
	t.accepted = t.rounds
	return t.burst
}

// handOver gives a client to the thread whose turn it is.
func (t *thread) handOver(a arrival) {
	threads := t.pool.threads
	turn := (t.pool.turns.Add(1) - 1) % uint32(len(threads))
	if to := threads[turn]; to != t && to.inbox.arrive(a) {
		return
	}
	t.begin(a)
}

// holdDoors stops accepting for a while, twice as long as the last time: clients wait in
// the kernel's queue, and a thread that cannot take them does not go round and round.
func (t *thread) holdDoors(what string, errno unix.Errno) {
	t.pause = min(max(2*t.pause, acceptFirst), acceptMost)
	t.resumeAt = t.now + int64(t.pause)
	hint := ""
	if errno == unix.EMFILE || errno == unix.ENFILE {
		hint = "raise the limit of open files (ulimit -n)"
	}
	t.pool.log.Error("clients wait: cannot "+what, slog.Any(logs.Error, errno), slog.String(logs.Reason, hint), slog.Duration(logs.Delay, t.pause))
	t.syncDoors()
}

// resumeDoors accepts again when it is time.
func (t *thread) resumeDoors() {
	if t.resumeAt != 0 && t.now >= t.resumeAt {
		t.resumeAt = 0
		t.syncDoors()
	}
}

// localOf is where a client has connected to.
func (t *thread) localOf(a arrival) flow.Addr {
	if !a.door.wildcard {
		return a.door.local
	}
	if errno := getsockname(a.fd, &t.addr); errno != 0 {
		return a.door.local
	}
	return t.addr.addr(a.door.local.Network)
}
