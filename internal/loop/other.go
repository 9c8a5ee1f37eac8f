//go:build !linux

package loop

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/history"
)

// poller is poll(2) and a pipe, for systems without epoll. It costs as much as there
// are clients, each time the loop wakes.
type poller struct {
	pipe    [2]int
	watched map[int]int16 // clients
	sources map[int]bool
}

type ready struct {
	clients []int
	sources bool
}

func newPoller() (*poller, error) {
	p := &poller{watched: map[int]int16{}, sources: map[int]bool{}}
	if err := unix.Pipe2(p.pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("set up the wake-up pipe: %w", err)
	}
	return p, nil
}

func (p *poller) wait(timeout time.Duration, watchSources bool) (ready, error) {
	fds := []unix.PollFd{{Fd: int32(p.pipe[0]), Events: unix.POLLIN}}
	for fd, events := range p.watched {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: events})
	}
	clients := len(fds)
	if watchSources {
		fds = p.appendSources(fds)
	}
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	if _, err := unix.Poll(fds, ms); err != nil && !errors.Is(err, unix.EINTR) {
		return ready{}, fmt.Errorf("poll: %w", err)
	}
	var r ready
	if fds[0].Revents != 0 {
		var buf [64]byte
		_, _ = unix.Read(p.pipe[0], buf[:])
	}
	for i, f := range fds[1:] {
		switch {
		case f.Revents == 0:
		case i+1 < clients:
			r.clients = append(r.clients, int(f.Fd))
		default:
			r.sources = true
		}
	}
	return r, nil
}

func (p *poller) appendSources(fds []unix.PollFd) []unix.PollFd {
	for fd := range p.sources {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return fds
}

func (p *poller) readySources() (out []int) {
	fds := p.appendSources(nil)
	if n, err := unix.Poll(fds, 0); n <= 0 || err != nil {
		return nil
	}
	for _, f := range fds {
		if f.Revents != 0 {
			out = append(out, int(f.Fd))
		}
	}
	return out
}

func (p *poller) wake() { _, _ = unix.Write(p.pipe[1], []byte{1}) }

func (p *poller) addSource(fd int) error { p.sources[fd] = true; return nil }
func (p *poller) removeSource(fd int)    { delete(p.sources, fd) }

// addClient watches for the end of a connection: POLLHUP and POLLERR need not be asked
// for.
func (p *poller) addClient(fd int) error  { p.watched[fd] = 0; return nil }
func (p *poller) watchInput(fd int) error { p.watched[fd] = unix.POLLIN; return nil }
func (p *poller) removeClient(fd int)     { delete(p.watched, fd) }

func (p *poller) close() {
	unix.Close(p.pipe[0])
	unix.Close(p.pipe[1])
}

// sendPieces writes pieces to a non-blocking socket and says how much it took; a full
// socket takes 0.
func sendPieces(fd int, pieces [][]byte, _ bool) (int, error) {
	n, err := unix.SendmsgBuffers(fd, pieces, nil, nil, 0)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS):
		return 0, nil
	default:
		return 0, err
	}
}

// sendFile is never asked for: no history of these systems stands in files.
func sendFile(int, history.Extent) (int, error) { return 0, errors.ErrUnsupported }
