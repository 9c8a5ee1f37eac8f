package iothread

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
	"sluice/internal/logs"
)

// Threads is the pool. All methods but Run may be called from any goroutine. Views, End and
// Close wait for the threads: a Desk must not call them out of its methods, where the thread waits for it.
type Threads struct {
	config  Config
	desk    flow.Desk
	log     *slog.Logger // lets a line through once a second
	threads []*thread

	turns atomic.Uint32
	ids   atomic.Uint64
	count atomic.Int64
	pipes atomic.Int64 // bytes that may still be had

	mu      sync.Mutex // guards what follows
	doors   []*door    // replaced, never changed: threads read it without the mutex once they have it
	doorIDs int32
	ended   bool
}

// New makes the threads; nothing is accepted before Run.
func New(c Config, desk flow.Desk, log *slog.Logger) (*Threads, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	p := &Threads{config: c, desk: desk, log: logs.Limited(log)}
	p.pipes.Store(c.Pipes)
	for i := range c.Threads {
		p.threads = append(p.threads, newThread(p, i))
	}
	return p, nil
}

// Run carries sessions until ctx ends: then it closes its listening sockets, resets what sessions are left
// (flow.CauseDrain) and returns when all of them were told to the Desk. It is called once.
func (p *Threads) Run(ctx context.Context) error {
	for i, t := range p.threads {
		if err := t.open(); err != nil {
			for _, opened := range p.threads[:i] {
				opened.endAll() // who has asked it something waits
				opened.close()
			}
			p.closeDoors()
			return fmt.Errorf("I/O thread %d: %w", i, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, len(p.threads))
	for i, t := range p.threads {
		all.Go(func() {
			defer cancel()
			if err := t.run(); err != nil {
				errs[i] = fmt.Errorf("I/O thread %d: %w", i, err)
			}
		})
	}
	<-ctx.Done()
	for _, t := range p.threads {
		t.inbox.end()
	}
	all.Wait()
	for _, t := range p.threads {
		t.close()
	}
	p.closeDoors()
	return errors.Join(errs...)
}

// Listen accepts clients at a listening socket, which is the pool's from then on, also when there is an error. Each
// session is carried by the thread whose turn it is.
func (p *Threads) Listen(l *flow.Listener, socket *os.File) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		socket.Close()
		return fmt.Errorf("listener %s: %w", l.Name, errEnded)
	}
	p.doorIDs++
	d, err := newDoor(p.doorIDs, l, socket)
	if err != nil {
		return err
	}
	p.doors = append(slices.Clip(p.doors), d)
	p.doorsChanged()
	return nil
}

// Change gives another Listener to the socket that has one of the same name and address:
// sessions that come from now on have it. Those that run keep theirs.
func (p *Threads) Change(l *flow.Listener) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.doors {
		if d.is(l.Name, l.Addr) {
			if err := d.use(l); err != nil {
				return fmt.Errorf("listener %s: socket of %s: %w", l.Name, l.Addr, err)
			}
			return nil
		}
	}
	return fmt.Errorf("listener %s does not listen on %s", l.Name, l.Addr)
}

// Pause stops accepting at the sockets of a listener (clients wait in the kernel's queue),
// or goes on. It does not wait for anything.
func (p *Threads) Pause(name string, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.doors {
		if d.listener.Load().Name == name {
			d.paused.Store(on)
		}
	}
	p.doorsChanged()
}

// Close closes the listening socket at addr of a listener; its sessions go on. It returns when the
// socket is closed and the Desk knows of all that were accepted there.
func (p *Threads) Close(name string, addr flow.Addr) {
	p.mu.Lock()
	var gone []*door
	p.doors = slices.DeleteFunc(slices.Clone(p.doors), func(d *door) bool {
		is := d.is(name, addr)
		if is {
			gone = append(gone, d)
		}
		return is
	})
	p.mu.Unlock()
	p.visit(nil) // then nobody is accepted there
	p.visit(nil) // then nobody who was is in an inbox
	for _, d := range gone {
		unix.Close(d.fd)
	}
}

func (p *Threads) closeDoors() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.doors {
		unix.Close(d.fd)
	}
	p.doors, p.ended = nil, true
}

func (p *Threads) doorsChanged() {
	for _, t := range p.threads {
		t.inbox.doorsChanged()
	}
}

// openDoors are the listening sockets as they are now.
func (p *Threads) openDoors() []*door {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doors
}

// visit has every thread look at its doors anew and then show its sessions to see, unless
// that is nil: for each thread one after another, the threads at the same time. It
// returns when all have.
func (p *Threads) visit(see func(t *thread) func(s *session)) {
	visits := make([]*visit, len(p.threads))
	for i, t := range p.threads {
		visits[i] = &visit{done: make(chan struct{})}
		if see != nil {
			visits[i].see = see(t)
		}
		t.inbox.ask(visits[i])
	}
	for _, v := range visits {
		<-v.done
	}
}

// Views implements flow.Core.
func (p *Threads) Views() []flow.View {
	parts := make([][]flow.View, len(p.threads))
	p.visit(func(t *thread) func(s *session) {
		part := &parts[t.number]
		return func(s *session) { *part = append(*part, s.view()) }
	})
	return slices.Concat(parts...)
}

// End implements flow.Core.
func (p *Threads) End(match func(flow.View) bool, why flow.Cause, reset bool) int {
	counts := make([]int, len(p.threads))
	p.visit(func(t *thread) func(s *session) {
		return func(s *session) {
			if match(s.view()) {
				t.finish(s, why, nil, reset)
				counts[t.number]++
			}
		}
	})
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// Count implements flow.Core.
func (p *Threads) Count() int { return int(p.count.Load()) }

// Figures returns the sums over all threads.
func (p *Threads) Figures() Figures {
	var f Figures
	for _, t := range p.threads {
		f.Accepted += t.figures.accepted.Load()
		f.Spliced += t.figures.spliced.Load()
		f.Copied += t.figures.copied.Load()
		f.AcceptErrors += t.figures.acceptErrors.Load()
		f.Pipes += int(t.figures.pipes.Load())
	}
	return f
}
