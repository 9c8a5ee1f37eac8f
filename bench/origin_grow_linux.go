package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// The measurements of what grows: one upload, and those who read it meanwhile.

const (
	growing     = "grow.m4s"
	chunkCount  = 100
	chunkPause  = 20 * time.Millisecond
	crowdPause  = 50 * time.Millisecond
	growWait    = 15 * time.Second // for all readers to have what is there
	leftWait    = 5 * time.Second  // for a server to be rid of readers that have gone
	waitSettles = time.Second      // until what waits is looked at
)

// chunks measures one reader.
func (s *scenario) chunks(ctx context.Context, _ *rig, server *server) (measured, error) {
	g, err := s.grow(ctx, server, chunkPause, func() error { return nil })
	if err != nil {
		return nil, err
	}
	var all []int64
	for _, c := range g.chunks {
		all = append(all, c...)
	}
	slices.Sort(all)
	return measured{
		chunkP50: float64(percentile(all, 50)) / 1e6, chunkP95: float64(percentile(all, 95)) / 1e6, chunkMost: float64(all[len(all)-1]) / 1e6,
		chunkFirst: g.first / 1e6, chunkEnd: g.end / 1e6,
	}, nil
}

// crowded measures many readers, and what they leave behind. That the first of them has a chunk says that the server has taken it from
// its writer.
func (s *scenario) crowded(ctx context.Context, _ *rig, server *server) (measured, error) {
	pids, err := server.pids()
	if err != nil {
		return nil, err
	}
	memory, files, err := occupied(pids)
	if err != nil {
		return nil, err
	}
	routines, err := goroutines(ctx, server)
	if err != nil {
		return nil, err
	}
	m := measured{}
	g, err := s.grow(ctx, server, crowdPause, func() error {
		if err := pause(ctx, waitSettles); err != nil {
			return err
		}
		more, _, err := occupied(pids)
		m[readerMemory] = float64(more-memory) / float64(s.clients) / (1 << 10)
		return err
	})
	if err != nil {
		return nil, err
	}
	for f, place := range map[figure]float64{takenP99: 0, middleP99: 50, lastP99: 100} {
		var of []int64
		for _, c := range g.chunks {
			of = append(of, percentile(c, place))
		}
		slices.Sort(of)
		m[f] = float64(percentile(of, 99)) / 1e6
	}
	return m, leftBehind(ctx, server, pids, routines, files, m)
}

func goroutines(ctx context.Context, server *server) (int, error) {
	text, err := server.ask(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	return goroutinesOf(text)
}

// leftBehind waits until a server has no more goroutines and descriptors than before, and notes how many it still has.
func leftBehind(ctx context.Context, server *server, pids []int, routines, files int, m measured) error {
	for begin := clock(); ; {
		now, err := goroutines(ctx, server)
		if err != nil {
			return err
		}
		_, open, err := occupied(pids)
		if err != nil {
			return err
		}
		m[goroutinesLeft], m[filesLeft] = float64(max(0, now-routines)), float64(max(0, open-files))
		if now <= routines && open <= files || time.Duration(clock()-begin) > leftWait {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// grown is what came of an upload and its readers, in nanoseconds.
type grown struct {
	chunks [][]int64 // of each chunk that was sent while all were reading: how old it was when each reader had it, sorted
	first  float64   // from before a reader's connect(2) until it had the first chunk, the last of all
	end    float64   // from the writer's end to the last reader's
}

// grow uploads an object in chunks while the scenario's clients read it. atRest is called when all has been sent but the end.
func (s *scenario) grow(ctx context.Context, server *server, between time.Duration, atRest func() error) (g *grown, err error) {
	w, err := startWriter(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	rig, err := startRig(0)
	if err != nil {
		return nil, err
	}
	defer rig.Close()
	f := &hall{rig: rig, ages: map[int64][]int64{}}
	if err := f.enter(ctx, server, s.clients); err != nil {
		return nil, err
	}
	g = &grown{first: float64(f.slowest)}
	var sent []int64
	for next := clock() + int64(between); len(sent) < chunkCount; next += int64(between) {
		sleepUntil(next)
		at, err := w.chunk()
		if err != nil {
			return nil, err
		}
		sent = append(sent, at)
	}
	if err := f.await(ctx, func() bool { return f.count == (chunkCount+1)*s.clients }); err != nil {
		return nil, err
	}
	if err := atRest(); err != nil {
		return nil, err
	}
	ended, err := w.end()
	if err != nil {
		return nil, err
	}
	if err := f.await(ctx, func() bool { return f.ended == s.clients }); err != nil {
		return nil, err
	}
	rig.with(func() {
		g.end = float64(f.last - ended)
		for _, at := range sent {
			slices.Sort(f.ages[at])
			g.chunks = append(g.chunks, f.ages[at])
		}
	})
	return g, nil
}

// writer is an upload that is cut into chunks by hand, so that each is one write(2).
type writer struct {
	conn net.Conn
	buf  []byte
}

// startWriter begins an upload, and returns when it can be read.
func startWriter(ctx context.Context, server *server) (*writer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", server.addr.String())
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, buf: fmt.Appendf(nil, "PUT /%s HTTP/1.1\r\nHost: bench\r\nTransfer-Encoding: chunked\r\n\r\n", growing)}
	if _, err := w.chunk(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := server.until(ctx, server.addr, "/"+growing); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

// chunk sends a chunk, with what was to be sent before, and returns its time.
func (w *writer) chunk() (sent int64, err error) {
	sent = clock()
	w.buf = appendChunk(w.buf, sent)
	_, err = w.conn.Write(w.buf)
	w.buf = w.buf[:0]
	return sent, err
}

// end ends the upload, and returns when it did once it was answered.
func (w *writer) end() (at int64, err error) {
	at = clock()
	if _, err := io.WriteString(w.conn, lastChunk); err != nil {
		return at, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(w.conn), nil)
	if err != nil {
		return at, fmt.Errorf("read the answer to the upload: %w", err)
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return at, fmt.Errorf("the upload was answered with %s", resp.Status)
	}
	return at, resp.Body.Close()
}

// Close ends the connection.
func (w *writer) Close() error { return w.conn.Close() }

// hall is those who read a growing object; each takes part in what the rig's mutex guards.
type hall struct {
	rig     *rig
	ages    map[int64][]int64 // nanoseconds, by the time at which a chunk was sent
	count   int               // chunks of all
	ended   int               // that have come to the end
	last    int64             // when the last one did
	slowest int64             // of the first chunks, since connect(2)
	lost    error
}

// listener is one of them.
type listener struct {
	all    *hall
	begun  int64
	asked  bool
	stamps stamps
	had    bool
}

const growRequest = "GET /" + growing + " HTTP/1.1\r\nHost: bench\r\n\r\n"

// enter brings n readers, each with its first chunk, not all at the same time.
func (f *hall) enter(ctx context.Context, server *server, n int) error {
	to := unix.SockaddrInet4{Addr: server.addr.Addr().As4(), Port: int(server.addr.Port())}
	for have := 0; have < n; {
		step := min(mostWaiting, n-have)
		have += step
		var err error
		f.rig.with(func() {
			for range step {
				if err == nil {
					err = f.connect(&to)
				}
			}
		})
		if err == nil {
			err = f.await(ctx, func() bool { return f.count >= have })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// connect begins a connection.
func (f *hall) connect(to *unix.SockaddrInet4) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a connection: %w", err)
	}
	one := &listener{all: f, begun: clock()}
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return errors.Join(fmt.Errorf("connect to the origin: %w", err), unix.Close(fd))
	}
	return f.rig.add(fd, one)
}

// await waits for something that the rig's mutex guards.
func (f *hall) await(ctx context.Context, ready func() bool) error {
	for begin := clock(); ; {
		var is bool
		var err error
		f.rig.with(func() { is, err = ready(), errors.Join(f.lost, f.rig.failed) })
		if is || err != nil {
			return err
		}
		if time.Duration(clock()-begin) > growWait {
			return fmt.Errorf("%w: %d chunks came within %v", os.ErrDeadlineExceeded, f.count, growWait)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

func (c *listener) act(r *rig, fd int, _ uint32) error {
	if !c.asked {
		switch n, err := unix.Write(fd, []byte(growRequest)); {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOTCONN):
			return nil // not connected yet
		case err != nil || n < len(growRequest):
			return c.lose(fmt.Errorf("ask for a growing object: %w", err))
		}
		c.asked = true
	}
	for {
		n, err := unix.Read(fd, r.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil || n == 0:
			return c.lose(fmt.Errorf("read a growing object: %w", errors.Join(err, io.ErrUnexpectedEOF)))
		}
		if !c.had && !bytes.HasPrefix(r.buf[:n], []byte("HTTP/1.1 200 ")) {
			return c.lose(fmt.Errorf("read a growing object: %.60q", r.buf[:n]))
		}
		now := clock()
		c.stamps.take(r.buf[:n], func(sent int64) { c.note(sent, now) })
		if c.stamps.ended {
			c.all.ended++
			c.all.last = now
			return errOver
		}
	}
}

// note notes a chunk.
func (c *listener) note(sent, now int64) {
	f := c.all
	f.count++
	f.ages[sent] = append(f.ages[sent], now-sent)
	if !c.had {
		c.had = true
		f.slowest = max(f.slowest, now-c.begun)
	}
}

func (c *listener) lose(err error) error {
	c.all.lost = errors.Join(c.all.lost, err)
	return errOver
}
