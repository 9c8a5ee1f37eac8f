package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// The figures that lines of the acceptance list name; sluice takes part alone.

const (
	refusals   = 40                     // clients that are looked at, of each kind
	downEvery  = 10 * time.Millisecond  // a client comes to remotes that are down
	downTime   = 5 * time.Second        // for so long
	threadMany = 200                    // sessions that two threads share
	patience   = 10 * time.Second       // of one client
	logSettles = 200 * time.Millisecond // after the last session, the log has it
)

// trouble takes one figure after the other.
func (s *scenario) trouble(ctx context.Context, r *rig, server *server) (measured, error) {
	at := func(host int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(host)}), server.addr.Port())
	}
	for host := wellHost; host <= threadsHost; host++ {
		if err := server.until(ctx, at(host), ""); err != nil {
			return nil, err
		}
	}
	m := measured{}
	for _, take := range []func() error{
		func() error { return refusedFigure(at(cproxyHost), m) },
		func() error { return delayFigure(at(wellHost), at(pairHost), m) },
		func() error { return downFigure(ctx, server, at(downHost), m) },
		func() error { return idleFigures(at(idleHost), m) },
		func() error { return threadsFigure(ctx, r, server, at(threadsHost), m) },
	} {
		if err := take(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// refusedFigure is how long a client of cproxy waits for its end when the remote refuses.
func refusedFigure(relay netip.AddrPort, m measured) error {
	var slowest time.Duration
	for range refusals {
		took, err := call(relay, false)
		if err != nil {
			return err
		}
		slowest = max(slowest, took)
	}
	m[refusedEnd] = slowest.Seconds() * 1e3
	return nil
}

// delayFigure is how much longer than others a client waits for its first byte when one of
// two remotes refuses.
func delayFigure(well, pair netip.AddrPort, m measured) error {
	var usual []int64
	var slowest time.Duration
	for range refusals {
		took, err := call(well, true)
		if err != nil {
			return err
		}
		usual = append(usual, int64(took))
		if took, err = call(pair, true); err != nil {
			return err
		}
		slowest = max(slowest, took)
	}
	slices.Sort(usual)
	m[refusedDelay] = float64(int64(slowest)-percentile(usual, 50)) / 1e6
	return nil
}

// downFigure is what the relay's CPU does when clients come and no remote answers.
func downFigure(ctx context.Context, server *server, relay netip.AddrPort, m measured) error {
	pids := []int{server.cmd.Process.Pid}
	begin := clock()
	before, err := cpuTime(pids)
	if err != nil {
		return err
	}
	for time.Duration(clock()-begin) < downTime {
		if _, err := call(relay, false); err != nil {
			return err
		}
		if err := pause(ctx, downEvery); err != nil {
			return err
		}
	}
	after, err := cpuTime(pids)
	m[allDownCPU] = 100 * float64(after-before) / float64(clock()-begin)
	return err
}

// idleFigures are when sessions end that were quiet since their answer.
func idleFigures(relay netip.AddrPort, m measured) error {
	type end struct {
		after time.Duration
		err   error
	}
	ends := make(chan end)
	const clients = 10
	for range clients {
		go func() {
			after, err := quiet(relay)
			ends <- end{after, err}
		}()
	}
	var all []time.Duration
	var err error
	for range clients {
		e := <-ends
		all, err = append(all, e.after), errors.Join(err, e.err)
	}
	m[idleEndEarliest], m[idleEndLatest] = slices.Min(all).Seconds(), slices.Max(all).Seconds()
	return err
}

// threadsFigure is by how much the threads of cproxy differ in sessions.
func threadsFigure(ctx context.Context, r *rig, server *server, relay netip.AddrPort, m measured) error {
	before := sessionsOf(server.errs.about("connect complete "))
	g := r.guests(relay, kind{size: 1})
	defer g.leave()
	if err := g.more(ctx, threadMany, threadMany); err != nil {
		return err
	}
	if err := pause(ctx, logSettles); err != nil {
		return err
	}
	counts := sessionsOf(server.errs.about("connect complete "))
	total := 0
	for thread := range counts {
		counts[thread] -= before[thread]
		total += counts[thread]
	}
	if total != threadMany {
		return fmt.Errorf("the log of %d sessions names %d: %v", threadMany, total, counts)
	}
	m[threadUneven] = float64(uneven(counts, 2))
	return nil
}

// call connects and sends a byte. It returns how long it took until the byte was back, or,
// when none is expected, until the connection ended.
func call(relay netip.AddrPort, answered bool) (time.Duration, error) {
	begin := clock()
	conn, err := speak(relay)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	n, err := conn.Read(make([]byte, 1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), answered && err != nil:
		return 0, fmt.Errorf("client of %s: wait for its answer or end: %w", relay, err)
	case !answered && n > 0:
		return 0, fmt.Errorf("client of %s: an answer, where the remote refuses", relay)
	}
	return time.Duration(clock() - begin), nil
}

// quiet returns how long a session lasted after its answer when nothing more was said.
func quiet(relay netip.AddrPort) (time.Duration, error) {
	conn, err := speak(relay)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	one := make([]byte, 1)
	if _, err := io.ReadFull(conn, one); err != nil {
		return 0, fmt.Errorf("client of %s: %w", relay, err)
	}
	begin := clock()
	n, err := conn.Read(one)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, fmt.Errorf("client of %s: the session did not end: %w", relay, err)
	case n > 0:
		return 0, fmt.Errorf("client of %s: a second answer", relay)
	}
	return time.Duration(clock() - begin), nil
}

// speak connects and says a byte, which may come too late for one that is refused.
func speak(relay netip.AddrPort) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp4", relay.String(), patience)
	if err != nil {
		return nil, err
	}
	_, _ = conn.Write([]byte{askEcho}) // the read tells
	return conn, conn.SetReadDeadline(time.Now().Add(patience))
}
