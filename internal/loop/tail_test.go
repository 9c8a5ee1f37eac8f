package loop

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/history"
	"sluice/internal/lineup"
)

// TestSlowTail: who takes little at a time still gets all that had come of a stream that
// waited for him, also when it has broken.
func TestSlowTail(t *testing.T) {
	for name, breaks := range map[string]error{"ended": nil, "broken": errors.New("reset by peer"), "cut": endpoint.ErrCut} {
		b := newBench(t, history.Limits{})
		s := newStream(t)
		s.breaks = breaks
		b.plays(s)
		v := b.join(1, 1, 0)
		whole := packets(0, 2<<20/packetSize)
		for rest := whole; len(rest) > 0; b.pass(SlotTime) {
			rest = s.offer(rest)
		}
		s.finish()
		for i := 0; i < 200 && !v.eof; i++ {
			b.pass(time.Second)
			v.read(32 << 10)
		}
		if _, next, gaps, err := v.stream(); err != nil || next != len(whole)/packetSize || gaps != 0 || !v.eof {
			t.Errorf("%s: %d packets of %d, %d gaps, %v, eof %v, %+v", name, next, len(whole)/packetSize, gaps, err, v.eof, b.of(1))
		}
		if again := b.tries > 1; again != (name == "broken") {
			t.Errorf("%s: opened %d times", name, b.tries)
		}
		b.close()
	}
}

// TestTailOfLocalClient: an origin, behind a UNIX socket, may read the tail as slowly as its client does, and then still sees that
// the channel has ended in order; of a source that broke off, and of an engine that ends, it sees that at once.
func TestTailOfLocalClient(t *testing.T) {
	for _, c := range []struct {
		breaks error
		ends   bool // the engine
		want   error
	}{{nil, false, nil}, {errors.New("it broke off"), false, unix.EPIPE}, {nil, true, unix.EPIPE}} {
		b := newBench(t, history.Limits{})
		s := newStream(t)
		s.breaks = c.breaks
		b.plays(s)
		v := b.joinTo(1, b.copyOf(1), lineup.Disconnect)
		whole := noise(50_000)
		s.offer(whole)
		if c.ends {
			b.pass(time.Second)
			b.l.endAll(b.now)
		} else {
			s.finish()
			b.pass(time.Second)
		}
		if b.of(1).ended != 1 {
			t.Fatalf("%+v: %+v", c, b.of(1))
		}
		if c.want == nil {
			b.pass(drainTime + 10*time.Second)
		}
		v.read(1 << 20)
		if body := bytes.TrimPrefix(v.got, v.head); !bytes.Equal(body, whole) || !v.eof {
			t.Errorf("%+v: %d bytes, eof %v", c, len(body), v.eof)
		}
		if _, err := unix.Write(v.fd, []byte{0}); !errors.Is(err, c.want) {
			t.Errorf("%+v: what it says: %v", c, err)
		}
		unix.Close(v.fd)
		b.pass(time.Second)
		if n := len(b.l.leaving.all); n != 0 {
			t.Errorf("%+v: %d are leaving yet", c, n)
		}
		b.close()
	}
}
