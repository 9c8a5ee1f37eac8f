package loop

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/history"
)

// BenchmarkRound is one round of a channel of 8 Mbit/s: what comes in that time is
// drained and sent to every client, who reads it (that is in the figure: it is for
// comparing one change with another, not for what a client costs; see bench/ for that).
func BenchmarkRound(b *testing.B) {
	for _, clients := range []int{1, 20, 100} {
		for _, from := range []int{1, 1000} {
			name := fmt.Sprintf("clients=%d/pooled", clients)
			if from == 1 {
				name = fmt.Sprintf("clients=%d/shared", clients)
			}
			b.Run(name, func(b *testing.B) { benchRound(b, clients, from) })
		}
	}
}

func benchRound(b *testing.B, clients, sharedFrom int) {
	t := newBench(b, history.Limits{Bytes: 32 << 20})
	defer t.close()
	t.l.sharedFrom = sharedFrom
	viewers := make([]*viewer, clients)
	for i := range viewers {
		viewers[i] = t.join(uint64(i+1), 1, 0)
		defer unix.Close(viewers[i].fd)
	}
	s := t.stations[channelEnd(1).Tag()]
	for range 32 << 20 / (100 * 7 * packetSize) { // the history is full of what it is to be of
		s.send(16)
		t.pass(Round(clients, 1))
		for _, v := range viewers {
			v.read(1 << 20)
			v.got = v.got[:0]
		}
	}
	datagram := packets(0, 7)
	const burst = 16
	b.SetBytes(int64(clients * burst * len(datagram)))
	b.ReportAllocs()
	for b.Loop() {
		for range burst {
			if _, err := unix.Write(s.feed, datagram); err != nil {
				b.Fatal(err)
			}
		}
		t.pass(2 * Round(clients, 1))
		for _, v := range viewers {
			discard(v.fd)
		}
	}
}

// scrap is where what is read and not looked at goes.
var scrap [64 << 10]byte

func discard(fd int) {
	for {
		if n, err := unix.Read(fd, scrap[:]); n <= 0 || err != nil {
			return
		}
	}
}
