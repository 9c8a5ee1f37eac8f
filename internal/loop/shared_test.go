package loop

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/history"
)

// TestNeverRewritten: a client that stalls, with all that its socket takes unread, gets
// every byte as it was published, however much has passed through the history since; and
// has no gap that was not counted as a skip. Its bytes were sent from the
// pages of the history itself.
func TestNeverRewritten(t *testing.T) {
	for _, c := range []struct {
		socket     string
		sharedFrom int
		join       func(*testing.T, *bench) *viewer
	}{
		{"TCP", 1, joinTCP},
		{"TCP", 1000, joinTCP},
		{"UNIX", 1, func(_ *testing.T, b *bench) *viewer { return b.join(1, 1, 0) }},
		{"UNIX", 1000, func(_ *testing.T, b *bench) *viewer { return b.join(1, 1, 0) }},
	} {
		t.Run(fmt.Sprintf("%s, shared from %d", c.socket, c.sharedFrom), func(t *testing.T) {
			b := newBench(t, history.Limits{Bytes: 4 << 20})
			defer b.close()
			b.l.sharedFrom, b.l.conf.Stall = c.sharedFrom, time.Hour
			v := c.join(t, b)
			defer unix.Close(v.fd)
			s := b.stations[channelEnd(1).Tag()]
			pass := func(mib int) {
				for range mib << 20 / (8 * 7 * packetSize) {
					s.send(8)
					b.pass(SlotTime)
				}
			}
			for range 3 {
				pass(12) // three times the window
				last := packets(s.sent-1, 1)
				for !bytes.HasSuffix(v.got, last) {
					v.read(1 << 20)
					b.pass(SlotTime)
				}
			}
			_, next, gaps, err := v.stream()
			if err != nil {
				t.Fatal(err)
			}
			c := b.l.ring.all[0]
			if next != s.sent || uint64(gaps) > c.skips || gaps == 0 {
				t.Errorf("packets up to %d of %d, %d gaps, %d skips", next, s.sent, gaps, c.skips)
			}
		})
	}
}

// joinTCP is join for the client 1 of channel 1, who comes by TCP.
func joinTCP(t *testing.T, b *bench) *viewer {
	t.Helper()
	const fd = 910
	_, client := handed(t, fd)
	b.attach(1, 1, fd)
	file, err := client.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	own, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(own, true); err != nil {
		t.Fatal(err)
	}
	return &viewer{id: 1, fd: own, head: []byte("head")}
}

// TestSharedWhileManyWatch: the history stands in files from sharedFrom clients on.
func TestSharedWhileManyWatch(t *testing.T) {
	b := newBench(t, history.Limits{Bytes: 8 << 20})
	defer b.close()
	b.l.sharedFrom = 3
	fresh := func() bool { // after a new segment was begun
		for range 2<<20/(8*7*packetSize) + 1 {
			b.stations[channelEnd(1).Tag()].send(8)
			b.pass(SlotTime)
		}
		h := b.l.all[0].History()
		_, shared := h.Extent(h.Head()-1, 1)
		return shared
	}
	var viewers []*viewer
	for id, want := range []bool{false, false, true, true} {
		v := b.join(uint64(id), 1, 0)
		defer unix.Close(v.fd)
		viewers = append(viewers, v)
		if fresh() != want {
			t.Errorf("with %d clients: not %v", id+1, want)
		}
	}
	for _, v := range viewers[2:] {
		_ = unix.Shutdown(v.fd, unix.SHUT_RDWR)
	}
	if fresh() {
		t.Error("with 2 clients again: in files")
	}
}
