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
	for _, sharedFrom := range []int{1, 1000} {
		t.Run(fmt.Sprintf("shared from %d", sharedFrom), func(t *testing.T) {
			b := newBench(t, history.Limits{Bytes: 4 << 20})
			defer b.close()
			b.l.sharedFrom, b.l.conf.Stall = sharedFrom, time.Hour
			const fd = 910
			_, client := handed(t, fd)
			defer client.Close()
			b.attach(1, 1, fd)
			s := b.stations[channelEnd(1).Tag()]
			pass := func(mib int) {
				for range mib << 20 / (8 * 7 * packetSize) {
					s.send(8)
					b.pass(SlotTime)
				}
			}
			file, err := client.File()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			v := &viewer{id: 1, fd: int(file.Fd()), head: []byte("head")}
			if err := unix.SetNonblock(v.fd, true); err != nil {
				t.Fatal(err)
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
