package file

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/lineup"
	"sluice/internal/media/ts"
)

// film is n parts of 40 ms: a packet with a clock, then three without.
func film(n int) (b []byte) {
	for i := range n {
		for j := range 4 {
			p := make(ts.Packet, ts.PacketSize)
			copy(p, []byte{ts.SyncByte, 1, 0, 0x10})
			if j == 0 {
				copy(p[3:], []byte{0x30, 7, 0x10})
				p.SetPCR(int64(i) * ts.ClockRate / 25)
			}
			binary.BigEndian.PutUint32(p[100:], uint32(4*i+j))
			b = append(b, p...)
		}
	}
	return b
}

func store(t *testing.T, b []byte) *os.File {
	path := filepath.Join(t.TempDir(), "film.ts")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// clocked notes when its bytes came; at the time end it fails.
type clocked struct {
	began time.Time
	end   time.Duration
	got   []byte
	at    []time.Duration // of each packet
}

func (c *clocked) Write(b []byte) (int, error) {
	now := time.Since(c.began)
	if now >= c.end {
		return 0, io.ErrShortWrite
	}
	c.got = append(c.got, b...)
	for range len(b) / ts.PacketSize {
		c.at = append(c.at, now)
	}
	return len(b), nil
}

// paced is the broadcast of f, which has a clock.
func paced(t *testing.T, f *os.File, pace lineup.Pace, repeat bool) *broadcast {
	t.Helper()
	clock, err := clockOf(f, pace)
	if err != nil || clock == nil {
		t.Fatalf("no clock: %v", err)
	}
	return &broadcast{file: f, clock: clock, repeat: repeat}
}

// TestBroadcast: a file is delivered at the speed of its clock, over and over, each part
// when it is due, and the first at once.
func TestBroadcast(t *testing.T) {
	const parts = 10
	whole := film(parts)
	f := store(t, whole)
	synctest.Test(t, func(t *testing.T) {
		w := &clocked{began: time.Now(), end: 3 * parts * 40 * time.Millisecond}
		if err := paced(t, f, lineup.Pace{}, true).pump(t.Context(), w); !errors.Is(err, io.ErrShortWrite) {
			t.Fatal(err)
		}
		if want := bytes.Repeat(whole, 3); !bytes.Equal(w.got, want) {
			t.Errorf("%d bytes in the time of three passes, want %d", len(w.got), len(want))
		}
		for i, at := range w.at {
			if want := time.Duration(i/4) * 40 * time.Millisecond; at != want {
				t.Fatalf("packet %d came at %v, want %v", i, at, want)
			}
		}
	})
}

// short takes so many bytes.
type short int

func (s *short) Write(b []byte) (int, error) {
	if *s -= short(len(b)); *s < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

// TestBroadcastEnds: when nobody wants it any more, at once; and when the file was written
// over with what tells no time.
func TestBroadcastEnds(t *testing.T) {
	f := store(t, film(100))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := paced(t, f, lineup.Pace{}, true).pump(ctx, io.Discard); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
	for _, b := range [][]byte{nil, []byte("text"), bytes.Repeat([]byte("text"), 1<<20), film(1)[ts.PacketSize:], film(1), bytes.Repeat(film(1), 9)} {
		if err := os.WriteFile(f.Name(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rewind(f); err != nil {
			t.Fatal(err)
		}
		room := short(8 << 20)
		if err := (&broadcast{file: f, clock: &pcrClock{}, repeat: true}).pump(t.Context(), &room); !errors.Is(err, errNoClock) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

// TestWithoutNotice: growth is seen where nothing tells of it.
func TestWithoutNotice(t *testing.T) {
	var w watch
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w.wait(t.Context(), pollTime)
		if time.Since(began) != pollTime {
			t.Errorf("waited %v", time.Since(began))
		}
	})
}
