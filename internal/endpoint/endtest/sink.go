package endtest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/testkit"
)

// Sinks is a kind of target under test.
type Sinks struct {
	Opener endpoint.SinkOpener
	Make   func(t *testing.T) Far // a new target
	Size   int                    // of what is sent there, in bytes
}

// Far is the far side of a target.
type Far struct {
	Target endpoint.Target
	// All waits until the target has got n bytes and their end, and returns them.
	All func(t *testing.T, n int) []byte
	// Hold keeps the target from taking anything until release is called; nil = it always
	// takes what it is given.
	Hold func(t *testing.T) (release func())
	// Break ends the target so that it gets no more; nil = nothing breaks it.
	Break func(t *testing.T)
	Late  bool // that it is broken shows only when more is written
}

// RunSink tries the suite of all targets on s.
func RunSink(t *testing.T, s Sinks) {
	t.Run("WholeAndInOrder", func(t *testing.T) { sinkWhole(t, s) })
	t.Run("OneAfterTheOther", func(t *testing.T) { sinkAgain(t, s) })
	t.Run("SlowTarget", func(t *testing.T) { sinkSlow(t, s) })
	t.Run("BrokenTarget", func(t *testing.T) { sinkBroken(t, s) })
	t.Run("CloseWhileBlocked", func(t *testing.T) { sinkClosed(t, s) })
	t.Run("CloseUnused", func(t *testing.T) { sinkUnused(t, s) })
}

// OpenSink opens a target. Its socket is closed when the test ends, and so is the sink.
func (s Sinks) OpenSink(t *testing.T, to endpoint.Target) (sink endpoint.Sink, socket int) {
	t.Helper()
	testkit.NoLeaks(t)
	sink, err := s.Opener.OpenSink(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() }) // most tests have done it
	socket = sink.Socket()
	t.Cleanup(func() { unix.Close(socket) })
	if flags, err := unix.FcntlInt(uintptr(socket), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Fatalf("the socket blocks (%v)", err)
	}
	return sink, socket
}

// Feed writes b to a non-blocking socket as the loop does: as much as it takes, in pieces. It
// returns what is wrong with the socket.
func Feed(socket int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(socket, b[:min(len(b), 256<<10)], nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			b = b[n:]
		case errors.Is(err, unix.EAGAIN):
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(socket), Events: unix.POLLOUT}}, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
	return nil
}

// fill writes until the socket takes no more at once, and returns how much that was.
func fill(t *testing.T, socket int, b []byte) (n int) {
	t.Helper()
	for n < len(b) {
		m, err := unix.SendmsgN(socket, b[n:], nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			n += m
		case errors.Is(err, unix.EAGAIN):
			return n
		case !errors.Is(err, unix.EINTR):
			t.Fatal(err)
		}
	}
	return n
}

// packets are null packets, each with random bytes in it: they have no clock.
func packets(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3, 4}).Read(b) // never fails
	for i := 0; i < n; i += 188 {
		copy(b[i:], []byte{0x47, 0x1F, 0xFF, 0x10})
	}
	return b
}

// sinkWhole: what was written before the end is there when Wait returns, byte by byte.
func sinkWhole(t *testing.T, s Sinks) {
	far := s.Make(t)
	sink, socket := s.OpenSink(t, far.Target)
	want := packets(s.Size)
	finish(t, sink, socket, want)
	if got := far.All(t, len(want)); !bytes.Equal(got, want) {
		t.Errorf("the target has %d bytes, want the %d that were written", len(got), len(want))
	}
}

// finish writes b and its end, and waits.
func finish(t *testing.T, sink endpoint.Sink, socket int, b []byte) {
	t.Helper()
	if err := Feed(socket, b); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(socket, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if err := sink.Wait(); err != nil {
		t.Fatal(err)
	}
}

func sinkAgain(t *testing.T, s Sinks) {
	for range 3 {
		far := s.Make(t)
		sink, socket := s.OpenSink(t, far.Target)
		finish(t, sink, socket, packets(7*188))
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		far.All(t, 7*188)
	}
}

// flooding is more than all buffers on the way to a target hold.
const flooding = 32 << 20

// sinkSlow: a target that takes its time fills the socket, and nothing is dropped.
func sinkSlow(t *testing.T, s Sinks) {
	far := s.Make(t)
	if far.Hold == nil {
		return // it always takes what it is given
	}
	release := far.Hold(t)
	sink, socket := s.OpenSink(t, far.Target)
	want := packets(flooding)
	n := settled(t, socket, want)
	if n == len(want) {
		t.Fatalf("a target that takes nothing took %d bytes", n)
	}
	release()
	finish(t, sink, socket, want[n:])
	if got := far.All(t, len(want)); !bytes.Equal(got, want) {
		t.Errorf("the target has %d bytes, want the %d that were written", len(got), len(want))
	}
}

// settled writes until nothing more is taken, however long is waited, and returns how much
// was.
func settled(t *testing.T, socket int, b []byte) (n int) {
	t.Helper()
	for n < len(b) {
		n += fill(t, socket, b[n:])
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(socket), Events: unix.POLLOUT}}, 300)
		if ready == 0 && err == nil {
			return n
		}
	}
	return n
}

// sinkBroken: Wait says what happened, in one line, and the socket breaks for its writer.
func sinkBroken(t *testing.T, s Sinks) {
	far := s.Make(t)
	if far.Break == nil {
		return // nothing does
	}
	sink, socket := s.OpenSink(t, far.Target)
	if err := Feed(socket, packets(7*188)); err != nil {
		t.Fatal(err)
	}
	far.Break(t)
	broken := make(chan error, 1)
	write := func() {
		var err error
		for b := packets(7 * 188); err == nil; {
			err = Feed(socket, b)
		}
		broken <- err
	}
	if far.Late {
		go write()
		checkReason(t, sink.Wait())
	} else {
		checkReason(t, sink.Wait())
		write()
	}
	if err := <-broken; !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the socket of the broken target: %v", err)
	}
}

func checkReason(t *testing.T, err error) {
	t.Helper()
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("the reason is %q, want one line", err)
	}
}

// sinkClosed: Close ends Wait, and the writer, though the target takes nothing.
func sinkClosed(t *testing.T, s Sinks) {
	far := s.Make(t)
	if far.Hold == nil {
		return
	}
	defer far.Hold(t)()
	sink, socket := s.OpenSink(t, far.Target)
	settled(t, socket, packets(flooding))
	waited := make(chan error, 1)
	go func() { waited <- sink.Wait() }()
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	checkReason(t, <-waited)
	if err := Feed(socket, packets(188)); !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the socket of the closed target: %v", err)
	}
}

// sinkUnused: nothing is left of a target that nothing was written to.
func sinkUnused(t *testing.T, s Sinks) {
	sink, socket := s.OpenSink(t, s.Make(t).Target)
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	if err := Feed(socket, packets(188)); err == nil {
		t.Error("the socket of the closed target takes bytes")
	}
}
