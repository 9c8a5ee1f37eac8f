package iothread

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pipeSize     = 1 << 20 // what a pipe is to hold: larger pieces, fewer calls
	pipeLeast    = 64 << 10
	pipeTrim     = int64(time.Second) // pipes that nobody has needed for so long are closed
	pipeTryAgain = int64(time.Second) // after a pipe that could not be made
)

// pipe is a pipe of the kernel through which bytes go between two sockets.
type pipe struct {
	r, w int
	size int // bytes
	n    int // bytes in it
}

// pipes are the pipes of one thread that are not in use. left, of all threads, bounds what
// they have together.
type pipes struct {
	left    *atomic.Int64 // bytes that pipes may still take
	free    []*pipe
	idle    int   // how many of free were not needed since the last trim
	trimAt  int64 // when the idle ones are closed
	retryAt int64
	open    int
}

// take gives an empty pipe; nil when there is none to be had: too many, or no descriptors.
func (p *pipes) take(now int64) *pipe {
	if n := len(p.free); n > 0 {
		last := p.free[n-1]
		p.free = p.free[:n-1]
		p.idle = min(p.idle, n-1)
		return last
	}
	if now < p.retryAt {
		return nil
	}
	made := p.make()
	if made == nil {
		p.retryAt = now + pipeTryAgain
	}
	return made
}

// make makes a pipe as large as the kernel lets it be (pipe(7): pipe-user-pages-soft is
// what one user may have; beyond it pipes are tiny, and not worth it).
func (p *pipes) make() *pipe {
	if p.left.Add(-pipeSize) < 0 {
		p.left.Add(pipeSize)
		return nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		p.left.Add(pipeSize)
		return nil
	}
	size, err := unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	if err != nil {
		size, err = unix.FcntlInt(uintptr(fds[1]), unix.F_GETPIPE_SZ, 0)
	}
	made := &pipe{r: fds[0], w: fds[1], size: size}
	p.left.Add(int64(pipeSize - size))
	p.open++
	if err != nil || size < pipeLeast {
		p.close(made)
		return nil
	}
	return made
}

// give takes back a pipe; one that still has something in it is closed.
func (p *pipes) give(used *pipe, now int64) {
	if used.n > 0 {
		p.close(used)
		return
	}
	if len(p.free) == 0 {
		p.idle, p.trimAt = 0, now+pipeTrim
	}
	p.free = append(p.free, used)
}

// trim closes the pipes that were not needed for a while, if it is time.
func (p *pipes) trim(now int64) {
	if len(p.free) == 0 || now < p.trimAt {
		return
	}
	for _, unused := range p.free[:p.idle] {
		p.close(unused)
	}
	p.free = append(p.free[:0], p.free[p.idle:]...)
	p.idle, p.trimAt = len(p.free), now+pipeTrim
}

func (p *pipes) close(done *pipe) {
	unix.Close(done.r)
	unix.Close(done.w)
	p.left.Add(int64(done.size))
	p.open--
}

func (p *pipes) closeAll() {
	for _, unused := range p.free {
		p.close(unused)
	}
	p.free = nil
}
