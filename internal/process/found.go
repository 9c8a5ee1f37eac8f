package process

import (
	"os"
	"syscall"
	"time"
)

// found is a process that holds a lock and is no child of ours.
type found struct {
	handle handle
	id     int
	err    error         // of handle.wait
	done   chan struct{} // closed by wait, after err is set
}

// handle means one process for certain, also when its id is used again.
type handle interface {
	wait() error // until the process has ended
	signal(syscall.Signal) error
	close()
}

// find returns the process that holds the lock at path, nil when nobody does.
func find(path string) (running, error) {
	for {
		pid, err := Holder(path)
		if pid == 0 || err != nil {
			return nil, err
		}
		h, err := openHandle(path, pid)
		if err != nil {
			return nil, err
		}
		// The id may have changed hands before the handle was there; not after.
		again, err := Holder(path)
		if err == nil && again == pid {
			p := &found{handle: h, id: pid, done: make(chan struct{})}
			go p.wait()
			return p, nil
		}
		h.close()
		if err != nil {
			return nil, err
		}
	}
}

// wait watches the process; it ends with it.
func (p *found) wait() {
	p.err = p.handle.wait()
	p.handle.close()
	close(p.done)
}

func (p *found) pid() int                      { return p.id }
func (p *found) signal(s syscall.Signal) error { return p.handle.signal(s) }
func (p *found) ended() <-chan struct{}        { return p.done }
func (p *found) retired() <-chan struct{}      { return nil }

// give does nothing: who was found has no link.
func (p *found) give([]string, []*os.File) error { return nil }

func (p *found) succeeded() bool { return false } // that is not known of it

func (p *found) reason() string {
	if p.err != nil {
		return p.err.Error()
	}
	return "ended; it was no child, so its exit status is unknown"
}

// watchEvery is how often a lockHandle looks.
const watchEvery = 250 * time.Millisecond

// lockHandle is the handle of systems without process descriptors: while the lock
// is held by the process it lives, and its id is its own.
type lockHandle struct {
	path string
	id   int
}

func (h lockHandle) wait() error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for range tick.C {
		pid, err := Holder(h.path)
		if err != nil || pid != h.id {
			return err
		}
	}
	return nil
}

func (h lockHandle) signal(s syscall.Signal) error {
	pid, err := Holder(h.path)
	if err != nil || pid != h.id {
		return err
	}
	return syscall.Kill(h.id, s)
}

func (h lockHandle) close() {}
