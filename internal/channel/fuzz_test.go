package channel_test

import (
	"testing"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
)

// FuzzBackup: whatever a back-up sends, what is published are whole packets.
func FuzzBackup(f *testing.F) {
	s := &station{id: 1, group: 2}
	f.Add(s.datagram(), uint16(188))
	f.Add(append(s.datagram(), s.datagram()...), uint16(1000))
	f.Add(append(garbage(4096), s.datagram()...), uint16(4096))
	f.Add(append(null(9), s.tables()...), uint16(100))
	lying := s.datagram()
	for i := 0; i < len(lying); i += packet {
		lying[i+3], lying[i+4] = 0x30, 255 // an adaptation field longer than its packet
	}
	f.Add(lying, uint16(7*packet))
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		pool := history.NewPool(0)
		defer pool.Close()
		h := history.New(pool, history.Limits{})
		defer h.Free()
		r := rigOn(t, h, 2, lineup.Settings{NoData: sec, Health: true})
		r.pass(sec, 0)
		r.pass(sec)
		for len(b) > 0 && r.now < 20*sec {
			n := min(len(b), int(size)+1)
			r.put(1, b[:n])
			r.pass(step)
			b = b[n:]
		}
		out := all(h)
		if len(out)%packet != 0 || !ts.Aligned(out) {
			t.Errorf("%d bytes are not whole packets", len(out))
		}
		if s := r.states(); s[1] == "on air" && r.c.State(r.now) == channel.Live {
			t.Errorf("live with %q", s)
		}
	})
}
