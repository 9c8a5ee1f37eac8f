package tools

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/uri"
)

// sent is one datagram and when it was sent, from the first.
type sent struct {
	data []byte
	at   time.Duration
}

// wire is a socket that remembers. It ends the sending after so many datagrams.
type wire struct {
	all   []sent
	began time.Time
	most  int // 0 = no end
	stop  context.CancelFunc
	hook  func(n int) error // before datagram n, from 0; may be nil
}

func (w *wire) Write(b []byte) (int, error) {
	if w.hook != nil {
		if err := w.hook(len(w.all)); err != nil {
			return 0, err
		}
	}
	if w.began.IsZero() {
		w.began = time.Now()
	}
	w.all = append(w.all, sent{bytes.Clone(b), time.Since(w.began)})
	if len(w.all) == w.most {
		w.stop()
	}
	return len(b), nil
}

// play sends src through a sender within a bubble of its own time, and returns what
// came out: at most so many datagrams, 0 = all.
func play(t *testing.T, src io.ReadSeeker, o SendOptions, most int, hook func(int) error) ([]sent, SendStats, error) {
	t.Helper()
	var (
		w     *wire
		stats SendStats
		err   error
	)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		w = &wire{most: most, stop: stop, hook: hook}
		s := newSender(src, w, o)
		err = s.run(ctx)
		stats = s.result()
	})
	return w.all, stats, err
}

// analyze judges datagrams by the analyzer that probe uses.
func analyze(all []sent, header int) ts.Analysis {
	var a ts.Analyzer
	for _, d := range all {
		a.Packets(d.data[header:], d.at)
	}
	return a.Report()
}

// packets are all packets of a source until its end, or so many.
func packets(t *testing.T, s *source, most int) []ts.Packet {
	t.Helper()
	var all []ts.Packet
	for len(all) < most {
		p, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(p))
	}
	return all
}

var udpEnd = uri.End{Scheme: uri.UDP}

// packet is a transport packet: flags of byte 3 say what it has (0x10 payload, 0x20
// adaptation field, then with a PCR).
func packet(pid uint16, continuity uint8, payload []byte) ts.Packet {
	p := make(ts.Packet, ts.PacketSize)
	p[0], p[1], p[2], p[3] = ts.SyncByte, byte(pid>>8), byte(pid), continuity&0x0F
	if payload == nil {
		p[3] |= 0x20
		p[4] = ts.PacketSize - 5
		for i := 6; i < ts.PacketSize; i++ {
			p[i] = 0xFF
		}
		return p
	}
	p[3] |= 0x30
	p[4] = byte(ts.PacketSize - 5 - len(payload))
	for i := 6; i < ts.PacketSize; i++ {
		p[i] = 0xFF
	}
	copy(p[ts.PacketSize-len(payload):], payload)
	return p
}

// withPCR gives a packet a clock.
func withPCR(p ts.Packet, pcr int64) ts.Packet {
	p[5] |= 0x10
	p.SetPCR(pcr)
	return p
}

// pes is a packet in which a PES packet with a DTS starts.
func pes(pid uint16, continuity, stream uint8, dts int64) ts.Packet {
	stamp := func(mark byte, v int64) []byte {
		return []byte{mark<<4 | byte(v>>29)&0x0E | 1, byte(v >> 22), byte(v>>14) | 1, byte(v >> 7), byte(v<<1) | 1}
	}
	b := []byte{0, 0, 1, stream, 0, 0, 0x80, 0xC0, 10}
	b = append(b, stamp(3, dts)...)
	b = append(b, stamp(1, dts)...)
	p := packet(pid, continuity, b)
	p[1] |= 0x40
	return p
}

func file(all ...ts.Packet) *bytes.Reader {
	var b []byte
	for _, p := range all {
		b = append(b, p...)
	}
	return bytes.NewReader(b)
}
