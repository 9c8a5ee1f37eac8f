package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// The measurements of the TCP relay.

const (
	cellWarm   = 200 * time.Millisecond // until the load is measured
	cellWindow = time.Second            // how long it is measured
	cellSettle = 8 * time.Second        // sessions are quiet: sluice gives memory back within 6
)

// bulk is what a gigabyte costs that back end sends and clients throw away.
func (s *scenario) bulk(ctx context.Context, r *rig, server *server) (measured, error) {
	g, err := r.invite(server.addr, s.clients, kind{bulk: true})
	if err != nil {
		return nil, err
	}
	defer g.leave()
	return g.bulkFigures(ctx, server)
}

// threads is the same where load and relay share all cores: what the load takes, the relay's
// second thread has not.
func (s *scenario) threads(ctx context.Context, r *rig, server *server) (measured, error) {
	m, err := s.bulk(ctx, r, server)
	if err == nil {
		m[threadBound] = 2 * (1 - m[threadShare]/100)
	}
	return m, err
}

// bulkTLS is the same over TLS.
func (s *scenario) bulkTLS(ctx context.Context, r *rig, server *server) (measured, error) {
	conns, err := secureMany(ctx, server.tls, s.clients, askBulk)
	if err != nil {
		return nil, err
	}
	fds, err := unwrap(conns)
	if err != nil {
		return nil, err
	}
	g, err := r.adopt(fds)
	defer g.leave()
	if err != nil {
		return nil, err
	}
	return g.bulkFigures(ctx, server)
}

func (g *guests) bulkFigures(ctx context.Context, server *server) (measured, error) {
	w, err := g.watch(ctx, server)
	if err != nil {
		return nil, err
	}
	m := w.busy()
	m[tcpCPUPerGB] = w.cpu / 1e6 / (w.count / 1e9)
	m[tcpRate] = w.count * 8 / w.time
	m[threadShare] = 100 * w.own / (w.own + w.cpu)
	return m, nil
}

// connects is what a connection costs on which one byte goes there and back.
func (s *scenario) connects(ctx context.Context, r *rig, server *server) (measured, error) {
	g, err := r.invite(server.addr, s.clients, kind{size: 1, renew: true})
	if err != nil {
		return nil, err
	}
	defer g.leave()
	w, err := g.watch(ctx, server)
	if err != nil {
		return nil, err
	}
	return w.perSession(), nil
}

// handshakes is the same with a full handshake of TLS.
func (s *scenario) handshakes(ctx context.Context, _ *rig, server *server) (m measured, err error) {
	load := shake(ctx, server.tls)
	defer func() { err = errors.Join(err, load.end()) }()
	w, err := observe(ctx, server, func() (int64, error) { return load.count.Load(), nil })
	if err != nil {
		return nil, err
	}
	return w.perSession(), nil
}

func (w window) perSession() measured {
	m := w.busy()
	m[sessionCPU] = w.cpu / 1e3 / w.count
	m[sessionRate] = w.count / (w.time / 1e9)
	return m
}

// trips is what a round trip of a kibibyte costs and lasts.
func (s *scenario) trips(ctx context.Context, r *rig, server *server) (measured, error) {
	g, err := r.invite(server.addr, s.clients, kind{size: 1 << 10, again: true})
	if err != nil {
		return nil, err
	}
	defer g.leave()
	w, err := g.watch(ctx, server)
	if err != nil {
		return nil, err
	}
	m := w.busy()
	m[tripCPU] = w.cpu / 1e3 / w.count
	m[tripRate] = w.count / (w.time / 1e9)
	slices.Sort(g.waits)
	m[tripP50] = float64(percentile(g.waits, 50)) / 1e3
	m[tripP99] = float64(percentile(g.waits, 99)) / 1e3
	return m, nil
}

// window is what lay between two moments.
type window struct {
	count        float64 // what the load counted
	time         float64 // nanoseconds, as the next two
	cpu, own     float64 // CPU of the relay, and of the load
	server, load uint64  // idle ticks of the cores
}

// busy are the figures that tell what the others are worth.
func (w window) busy() measured {
	return measured{serverBusy: 100 * busyShare(w.server, int64(w.time)), loadBusy: 100 * busyShare(w.load, int64(w.time))}
}

// watch lets the guests run warm and then measures for a while; waits are kept meanwhile.
func (g *guests) watch(ctx context.Context, server *server) (window, error) {
	defer g.rig.with(func() { g.keep = false })
	return observe(ctx, server, func() (n int64, err error) {
		g.rig.with(func() { n, err, g.keep = g.count, errors.Join(g.lost, g.rig.failed), true })
		return n, err
	})
}

// observe measures a server under load, after a time to warm up.
func observe(ctx context.Context, server *server, count func() (int64, error)) (window, error) {
	pids, err := server.pids()
	if err != nil {
		return window{}, err
	}
	if err := pause(ctx, cellWarm); err != nil {
		return window{}, err
	}
	before, err := glanceAt(pids, count)
	if err != nil {
		return window{}, err
	}
	if err := pause(ctx, cellWindow); err != nil {
		return window{}, err
	}
	after, err := glanceAt(pids, count)
	if err != nil {
		return window{}, err
	}
	if after.count == before.count {
		return window{}, fmt.Errorf("nothing came through the relay for %v: %s", cellWindow, server.errs)
	}
	return window{
		count: float64(after.count - before.count), time: float64(after.time - before.time),
		cpu: float64(after.cpu - before.cpu), own: float64(after.own - before.own),
		server: after.server - before.server, load: after.load - before.load,
	}, nil
}

// moment is what a reading adds to that of the machine.
type moment struct {
	reading
	count, own int64
}

func glanceAt(pids []int, count func() (int64, error)) (m moment, err error) {
	if m.reading, err = read(pids); err != nil {
		return m, err
	}
	if m.own, err = cpuTime([]int{os.Getpid()}); err != nil {
		return m, err
	}
	m.count, err = count()
	return m, err
}

// idle is what a session costs that has carried a byte each way and is quiet.
func (s *scenario) idle(ctx context.Context, r *rig, server *server) (measured, error) {
	return s.hold(ctx, server, func() (func(), error) {
		g := r.guests(server.addr, kind{size: 1})
		for n := 0; n < s.clients; {
			step := min(mostWaiting, s.clients-n)
			n += step
			if err := g.more(ctx, step, int64(n)); err != nil {
				g.leave()
				return nil, err
			}
		}
		return g.leave, nil
	})
}

// idleTLS is the same with TLS.
func (s *scenario) idleTLS(ctx context.Context, _ *rig, server *server) (measured, error) {
	return s.hold(ctx, server, func() (func(), error) {
		conns, err := secureMany(ctx, server.tls, s.clients, askEcho)
		return func() { closeMany(conns) }, err
	})
}

// hold compares a server without clients and with all of them.
func (s *scenario) hold(ctx context.Context, server *server, enter func() (leave func(), err error)) (measured, error) {
	pids, err := server.pids()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, cellWarm); err != nil {
		return nil, err
	}
	memory, files, err := occupied(pids)
	if err != nil {
		return nil, err
	}
	leave, err := enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := pause(ctx, cellSettle); err != nil {
		return nil, err
	}
	moreMemory, moreFiles, err := occupied(pids)
	if err != nil {
		return nil, err
	}
	n := float64(s.clients)
	return measured{
		sessionMemory: float64(moreMemory-memory) / n / (1 << 10), sessionFiles: float64(moreFiles-files) / n,
		bareMemory: float64(memory) / (1 << 20),
	}, nil
}

// occupied is the memory of processes, in bytes, and the number of their descriptors.
func occupied(pids []int) (memory int64, files int, err error) {
	for _, pid := range pids {
		pss, err := memoryOf(pid)
		if err != nil {
			return 0, 0, err
		}
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return 0, 0, err
		}
		memory, files = memory+pss, files+len(fds)
	}
	return memory, files, nil
}
