package netx

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Held is a socket that is kept for later. The runtime does not poll it, as it does the socket
// of an os.File: clients at a listening one wake nobody but who listens there. Its methods
// are called by one goroutine at a time.
type Held struct {
	fd   int
	name string
}

// Hold takes a socket over; whatever comes of it, the file is closed.
func Hold(f *os.File) (*Held, error) {
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("hold socket %s: %w", f.Name(), err)
	}
	h := &Held{fd: -1, name: f.Name()}
	ctl := raw.Control(func(fd uintptr) { h.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if ctl != nil {
		err = ctl
	}
	if err != nil {
		return nil, fmt.Errorf("hold socket %s: %w", f.Name(), err)
	}
	return h, nil
}

// Name is that of the file.
func (h *Held) Name() string { return h.name }

// FD is the descriptor, which stays ours.
func (h *Held) FD() int { return h.fd }

// File is another descriptor of the socket.
func (h *Held) File() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("copy socket %s: %w", h.name, err)
	}
	return os.NewFile(uintptr(fd), h.name), nil
}

// Close closes our descriptor.
func (h *Held) Close() {
	unix.Close(h.fd)
	h.fd = -1
}
