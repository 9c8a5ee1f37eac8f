package endtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"sluice/internal/endpoint"
)

// Stream is a kind of source under test whose peer sends a stream of bytes, which ends.
type Stream struct {
	Make func() Closer // an opener; each test closes its own
	Want endpoint.Want
	// Send has the peer of the source that was opened last send b behind all before, in the
	// background.
	Send func(t *testing.T, b []byte)
	// Finish ends that stream in order, behind what was sent; Break ends it in another way;
	// nil = it cannot be broken.
	Finish func(t *testing.T)
	Break  func(t *testing.T)
}

// Closer is an Opener that waits in Close for what its sources still do.
type Closer interface {
	endpoint.Opener
	io.Closer
}

// more than all buffers between a peer and the loop hold.
const flood = 24 << 20

// RunStream tries the suite of all sources on e, and what holds for streams.
func RunStream(t *testing.T, e Stream) {
	for name, try := range map[string]func(*testing.T, Stream){
		"Patient": patient, "EndedInOrder": endedInOrder, "EarlyEnd": earlyEnd, "EmptyEnd": emptyEnd,
		"Broken": broken, "CloseWhileBlocked": closeWhileBlocked,
	} {
		t.Run(name, func(t *testing.T) { try(t, e) })
	}
	t.Run("All", func(t *testing.T) {
		o := e.Make()
		Run(t, End{Opener: fixed{o, e.Want}, Source: e.Want.Source, Send: e.Send, Sizes: []int{1316, 1, 188, 65507, 1000}})
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
}

// fixed opens what is wanted, whatever else is said of it.
type fixed struct {
	endpoint.Opener
	want endpoint.Want
}

func (f fixed) Open(ctx context.Context, _ endpoint.Want) (endpoint.Source, error) {
	return f.Opener.Open(ctx, f.want)
}

// open opens the stream; when the test ends it is closed, and then the opener.
func (e Stream) open(t *testing.T) endpoint.Source {
	t.Helper()
	o := e.Make()
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Errorf("close the opener: %v", err)
		}
	})
	return Open(t, End{Opener: fixed{o, e.Want}})
}

// DrainAll drains src into w until it says that it has nothing more, and returns what it said.
func DrainAll(t *testing.T, src endpoint.Source, w Window) error {
	t.Helper()
	for {
		Await(t, src)
		if err := src.Drain(0, w); err != nil {
			return err
		}
	}
}

// pattern is n bytes that differ from place to place, and look like no wrapping.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>16 ^ i>>8*3 ^ i*7)
	}
	if n > 0 {
		b[0] = 0x47
	}
	return b
}

func checkBytes(t *testing.T, w Window, want []byte) {
	t.Helper()
	if got := w.All(); !bytes.Equal(got, want) {
		t.Errorf("%d bytes sent, %d came, or others", len(want), len(got))
	}
}

// patient: what the sender has waits for it to be drained, and then all comes.
func patient(t *testing.T, e Stream) {
	src, w := e.open(t), NewWindow(t)
	if p, ok := src.(endpoint.Patient); !ok || !p.Waits() {
		t.Fatal("not patient")
	}
	want := pattern(flood)
	e.Send(t, want)
	Collect(t, src, w, len(want))
	checkBytes(t, w, want)
}

// endedInOrder: all that came before the end, and then ErrEnd, again and again.
func endedInOrder(t *testing.T, e Stream) {
	src, w := e.open(t), NewWindow(t)
	want := pattern(3<<20 + 1)
	e.Send(t, want[:1])
	Collect(t, src, w, 1)
	e.Send(t, want[1:])
	e.Finish(t)
	for range 2 {
		if err := DrainAll(t, src, w); !errors.Is(err, endpoint.ErrEnd) {
			t.Errorf("at the end: %v", err)
		}
	}
	checkBytes(t, w, want)
}

// earlyEnd: a stream that ended before anybody looked is all there.
func earlyEnd(t *testing.T, e Stream) {
	src, w := e.open(t), NewWindow(t)
	want := pattern(40_000)
	e.Send(t, want)
	e.Finish(t)
	if err := DrainAll(t, src, w); !errors.Is(err, endpoint.ErrEnd) {
		t.Errorf("at the end: %v", err)
	}
	checkBytes(t, w, want)
}

func emptyEnd(t *testing.T, e Stream) {
	src, w := e.open(t), NewWindow(t)
	e.Finish(t)
	if err := DrainAll(t, src, w); !errors.Is(err, endpoint.ErrEnd) || w.Head() != 0 {
		t.Errorf("%d bytes, %v", w.Head(), err)
	}
}

// broken: a stream that ends in another way is not taken for one that is complete.
func broken(t *testing.T, e Stream) {
	if e.Break == nil {
		return
	}
	src, w := e.open(t), NewWindow(t)
	want := pattern(100_000)
	e.Send(t, want)
	Collect(t, src, w, len(want))
	e.Break(t)
	if err := DrainAll(t, src, w); errors.Is(err, endpoint.ErrEnd) {
		t.Errorf("a broken stream ended in order: %v", err)
	}
	checkBytes(t, w, want)
}

// closeWhileBlocked: a source can be closed at any time, and its opener after it: while
// there is no room for what comes, and while nothing comes.
func closeWhileBlocked(t *testing.T, e Stream) {
	for _, n := range []int{flood, 0} {
		o := e.Make()
		src, err := o.Open(t.Context(), e.Want)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			e.Send(t, pattern(n))
			Await(t, src)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}
