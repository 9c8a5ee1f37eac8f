package iothread

import (
	"golang.org/x/sys/unix"

	"sluice/internal/flow"
)

// look shows the Desk what the client has sent; over says that the time for it has ended.
// The bytes stay where they are.
func (t *thread) look(s *session, over bool) {
	e := &s.ends[client]
	n, errno := recv(int(e.fd), t.buf, unix.MSG_PEEK)
	switch {
	case errno == unix.EAGAIN:
		if e.ready = false; !over {
			return
		}
	case errno != 0:
		t.finish(s, flow.CauseClient, clientError(errno), true)
		return
	}
	last := over || errno == 0 && n == 0 || e.hungUp || n == len(t.buf)
	if n == int(s.seen) && !last {
		return
	}
	plan := t.pool.desk.Look(&s.Session, t.buf[:n], last)
	if plan.Step == flow.Look && plan.Skip <= 0 {
		if !last && !isFull(int(e.fd), n) {
			s.seen = int32(n)
			if plan.Within > 0 {
				s.limit = t.now + int64(plan.Within)
				t.arm(s)
			}
			return
		}
		if !last {
			plan = t.pool.desk.Look(&s.Session, t.buf[:n], true)
		}
		if plan.Step == flow.Look && plan.Skip <= 0 {
			plan = flow.Plan{Cause: flow.CauseError, Err: errNoMore}
		}
	}
	if errno := t.skip(e, min(plan.Skip, n)); errno != 0 {
		t.finish(s, flow.CauseClient, clientError(errno), true)
		return
	}
	t.follow(s, plan)
}

// skip takes away n bytes that were looked at.
func (t *thread) skip(e *end, n int) unix.Errno {
	for n > 0 {
		got, errno := recv(int(e.fd), t.buf[:n], 0)
		if errno != 0 {
			return errno
		}
		n -= got
	}
	return 0
}

// isFull says whether the kernel takes no more than the n bytes it has of a socket. A receiver
// offers half of its memory at least (tcp(7)), and many small pieces take much for themselves; an eighth less is near enough.
func isFull(fd, n int) bool {
	have, most := received(fd)
	return most > 0 && max(have, 2*n) >= most-most/8
}
