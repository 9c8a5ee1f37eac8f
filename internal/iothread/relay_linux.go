package iothread

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
)

const (
	turnBytes = 1 << 20  // a direction moves so many bytes in a turn, then it is the next session's
	large     = 16 << 10 // a read of so many bytes is a large one
	largeRow  = 3        // after so many of them in a row a direction is spliced
	sctpMost  = 64 << 10 // one write is one message, which has to fit into the send buffer
	leastCap  = 64 << 10 // a session that may keep less is copied: small pieces are no cheaper by splice
)

// stream is one direction. It keeps bytes only after its sink did not take all of them, and then
// reads none.
type stream struct {
	kept  []byte // what is left of a read
	pipe  *pipe  // what it is spliced through, in its turn or while there is something in it
	large uint8  // large reads in a row, up to largeRow
	done  bool   // its source has ended, all is delivered and the sink knows
}

// outcome is what came of a turn of a direction.
type outcome struct {
	more  bool       // there is more to do than a turn has room for
	errno unix.Errno // of side
	side  int
}

// relay moves what can be moved, both ways. A side that fails gets what it has sent
// delivered as far as that goes at once, then the other side is reset.
func (t *thread) relay(s *session) {
	up := t.pump(s, client)
	if up.errno != 0 {
		e := &s.ends[up.side]
		e.ready, e.broken = true, true // the kernel tells an error once: what is read next looks like an end
	}
	down := t.pump(s, remote)
	failed := up
	if up.errno == 0 {
		failed = down
	}
	switch {
	case failed.errno != 0:
		s.endedBy(failed.side)
		t.finish(s, s.ending, sideError(failed.side, failed.errno), true)
	case s.complete():
		t.finish(s, s.ending, nil, false)
	case up.more || down.more:
		t.enqueue(s)
	}
}

// complete says whether both sides have ended. SCTP has no half-close (RFC 9260, 9.2): the end
// of a side that speaks it is both ends, and a client of SCTP is told the end of its remote by
// that of the session: there is no other way.
func (s *session) complete() bool {
	up, down := s.streams[client].done, s.streams[remote].done
	from, to := s.ends[client].network == flow.SCTP, s.ends[remote].network == flow.SCTP
	return up && down || up && from || down && (from || to)
}

// endedBy remembers who was the first to end.
func (s *session) endedBy(side int) {
	if s.ending != flow.CauseNone {
		return
	}
	s.ending = flow.CauseClient
	if side == remote {
		s.ending = flow.CauseRemote
	}
}

func sideError(side int, errno unix.Errno) error {
	if side == client {
		return clientError(errno)
	}
	return fmt.Errorf("remote: %w", errno)
}

// pump gives one direction a turn. A pipe that has nothing in it afterwards is for others.
func (t *thread) pump(s *session, from int) outcome {
	o := t.move(s, from)
	if d := &s.streams[from]; d.pipe != nil && d.pipe.n == 0 {
		t.copyAgain(d)
	}
	return o
}

// copyAgain takes away the pipe of a direction.
func (t *thread) copyAgain(d *stream) {
	t.pipes.give(d.pipe, t.now)
	d.pipe = nil
}

// move reads and writes until the source has no more, the sink takes no more, or the turn
// is over.
func (t *thread) move(s *session, from int) outcome {
	src, dst, d := &s.ends[from], &s.ends[1-from], &s.streams[from]
	for moved := 0; moved < turnBytes; {
		if src.broken && (src.over || dst.full) { // nobody would see it when reading
			return outcome{side: from, errno: src.failure()}
		}
		if errno := t.flush(s, from); errno != 0 {
			return outcome{side: 1 - from, errno: errno}
		}
		if dst.full || d.done {
			return outcome{}
		}
		if src.over {
			t.passEnd(s, from)
			return outcome{}
		}
		if !src.ready {
			return outcome{}
		}
		n, o := t.transfer(s, from)
		if o.errno != 0 {
			return o
		}
		moved += n
	}
	return outcome{more: true}
}

// transfer reads once, and writes that.
func (t *thread) transfer(s *session, from int) (n int, o outcome) {
	src, d := &s.ends[from], &s.streams[from]
	var errno unix.Errno
	switch {
	case src.urgent && d.pipe != nil:
		t.copyAgain(d)
	case !src.urgent && d.pipe == nil && d.large == largeRow:
		d.pipe = t.pipes.take(t.now)
	}
	if d.pipe != nil {
		n, errno = t.readPipe(s, from)
	} else {
		n, errno = recv(int(src.fd), t.buf[:t.most(s)], 0)
	}
	switch {
	case errno == unix.EAGAIN:
		src.ready = false
		return 0, o
	case errno == unix.EINVAL && d.pipe != nil: // a socket that the kernel cannot splice
		s.spliced, d.large = false, 0
		t.copyAgain(d)
		return 0, o
	case errno != 0:
		return 0, outcome{side: from, errno: errno}
	case n == 0 && d.pipe != nil: // the end, or urgent data before it: a read tells
		d.large = 0
		t.copyAgain(d)
		return 0, o
	case n == 0:
		src.over = true
		s.endedBy(from)
		s.since = t.now
		t.arm(s)
		return 0, o
	}
	s.since = t.now
	if d.pipe != nil {
		return n, o // which is flushed next
	}
	d.count(n, s.spliced)
	if n < t.most(s) && !src.thorough {
		src.ready = false
	}
	return n, t.deliver(s, from, n)
}

// maySplice says whether a session is spliced when it is in bulk.
func (t *thread) maySplice(s *session) bool {
	return !t.pool.config.Copy && !s.Listener.Copy &&
		(s.Listener.Buffer == 0 || s.Listener.Buffer >= leastCap) &&
		s.ends[client].network != flow.SCTP && s.ends[remote].network != flow.SCTP
}

// count notes a read: bulk is spliced after a few large ones.
func (d *stream) count(n int, spliced bool) {
	switch {
	case n < large || !spliced:
		d.large = 0
	case d.large < largeRow:
		d.large++
	}
}

// most is how much a session may read, and keep then.
func (t *thread) most(s *session) int {
	if b := s.Listener.Buffer; b > 0 && b < len(t.buf) {
		return b
	}
	return len(t.buf)
}

// deliver writes the first n bytes of the buffer, and keeps what is not taken.
func (t *thread) deliver(s *session, from, n int) outcome {
	b := t.buf[:n]
	taken, errno := s.ends[1-from].write(b)
	t.copied += uint64(taken)
	s.delivered(from, taken)
	if errno != 0 {
		return outcome{side: 1 - from, errno: errno}
	}
	if taken < n {
		s.streams[from].kept = append([]byte(nil), b[taken:]...)
	}
	return outcome{}
}

// delivered counts what the other side of from has taken.
func (s *session) delivered(from, n int) {
	if from == client {
		s.Up += uint64(n)
	} else {
		s.Down += uint64(n)
	}
}

// readPipe has the kernel move what the source has into the pipe, which is empty: so
// EAGAIN is the source's. Who delivers little is copied again.
func (t *thread) readPipe(s *session, from int) (int, unix.Errno) {
	d := &s.streams[from]
	most := d.pipe.size
	if b := s.Listener.Buffer; b > 0 {
		most = min(most, b)
	}
	n, errno := splice(int(s.ends[from].fd), d.pipe.w, most)
	if errno == 0 {
		d.pipe.n = n
	}
	if errno == 0 && n < large {
		d.large = 0
	}
	return n, errno
}

// flush writes what a direction keeps, as much as its sink takes.
func (t *thread) flush(s *session, from int) unix.Errno {
	dst, d := &s.ends[1-from], &s.streams[from]
	if dst.full {
		return 0
	}
	if from == client && s.prelude < len(s.Remote.Prelude) {
		n, errno := dst.write(s.Remote.Prelude[s.prelude:])
		if s.prelude += n; errno != 0 || dst.full {
			return errno
		}
	}
	if len(d.kept) > 0 {
		n, errno := dst.write(d.kept)
		t.copied += uint64(n)
		s.delivered(from, n)
		s.since = t.now
		if d.kept = d.kept[n:]; len(d.kept) > 0 {
			return errno
		}
		d.kept = nil
	}
	if d.pipe != nil && d.pipe.n > 0 {
		return t.writePipe(s, from)
	}
	return 0
}

// writePipe has the kernel move what is in the pipe to the sink.
func (t *thread) writePipe(s *session, from int) unix.Errno {
	dst, p := &s.ends[1-from], s.streams[from].pipe
	for p.n > 0 {
		n, errno := splice(p.r, int(dst.fd), p.n)
		if errno == unix.EAGAIN {
			dst.full = true
			return 0
		}
		if errno != 0 {
			return errno
		}
		p.n -= n
		t.spliced += uint64(n)
		s.delivered(from, n)
		s.since = t.now
	}
	return 0
}

// write sends what the side takes of b; if that is not all it is full.
func (e *end) write(b []byte) (int, unix.Errno) {
	done := 0
	for done < len(b) {
		piece := b[done:]
		if e.network == flow.SCTP {
			piece = piece[:min(len(piece), sctpMost)]
		}
		n, errno := send(int(e.fd), piece)
		done += n
		if errno != 0 && errno != unix.EAGAIN {
			return done, errno
		}
		if n < len(piece) {
			e.full = true
			return done, 0
		}
	}
	return done, 0
}

// passEnd tells the sink that its source has ended, after all was delivered. SCTP would end both ways (RFC
// 9260, 9.2), so there it waits for the other end.
func (t *thread) passEnd(s *session, from int) {
	s.streams[from].done = true
	if dst := &s.ends[1-from]; dst.network != flow.SCTP && !s.streams[1-from].done {
		shutdownWrite(int(dst.fd))
	}
}
