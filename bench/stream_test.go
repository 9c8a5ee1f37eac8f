package main

import (
	"testing"
	"time"

	"sluice/internal/media/ts"
)

// second is a second of the stream at 8 Mbit/s, one stamp a nanosecond.
func second() (*stream, []byte) {
	s := newStream(8_000_000)
	var b []byte
	for i := int64(0); len(b) < 1_000_000; i++ {
		b = s.appendPacket(b, i)
	}
	return s, b
}

// The product's own reader finds the stream without fault.
func TestStreamIsValid(t *testing.T) {
	_, b := second()
	var a ts.Analyzer
	s := newStream(8_000_000)
	for at := 0; at < len(b); at += packetSize {
		a.Packets(b[at:at+packetSize], time.Duration(s.duration(int64(at))))
	}
	r := a.Report()
	if !r.Valid || len(r.Warnings) > 0 {
		t.Errorf("problems %q, warnings %q", r.Problems, r.Warnings)
	}
	if r.ClockBitRate < 7_990_000 || r.ClockBitRate > 8_010_000 {
		t.Errorf("%d bits a second by PCR, want 8000000", r.ClockBitRate)
	}
	if len(r.Programs) != 1 || len(r.Programs[0].Streams) != 1 || r.Programs[0].Streams[0].Codec != "h264" {
		t.Errorf("programs %+v, want one of h264", r.Programs)
	}
}

// What the benchmark takes for a key frame is what the product takes for one.
func TestStreamKeyFrames(t *testing.T) {
	_, b := second()
	var want []int64
	for at := 0; at < len(b); at += packetSize {
		if startsKeyFrame(b[at:]) {
			want = append(want, int64(at))
		}
	}
	var tracker ts.Tracker
	var got []int64
	for _, s := range tracker.Scan(b, 0) {
		if s.Kind == ts.KeyFrame {
			got = append(got, s.Offset)
		}
	}
	if len(want) != 2 || len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("key frames at %v, the tracker says %v; want the same two", want, got)
	}
}

func TestStampInEveryPacket(t *testing.T) {
	_, b := second()
	for i := range len(b) / packetSize {
		s, ok := readStamp(b[i*packetSize:])
		if !ok || s.seq != uint64(i) || s.time != int64(i) {
			t.Fatalf("packet %d: stamp %+v, %v", i, s, ok)
		}
	}
}

func TestReadStampRefuses(t *testing.T) {
	_, b := second()
	tests := map[string]func(p []byte) []byte{
		"short":         func(p []byte) []byte { return p[:stampEnd-1] },
		"no sync":       func(p []byte) []byte { p[0] = 0; return p },
		"no adaptation": func(p []byte) []byte { p[3] &^= 0x20; return p },
		"no private":    func(p []byte) []byte { p[5] &^= 0x02; return p },
		"other data":    func(p []byte) []byte { p[7]++; return p },
	}
	for name, damage := range tests {
		p := append([]byte(nil), b[:packetSize]...)
		if s, ok := readStamp(damage(p)); ok {
			t.Errorf("%s: read %+v", name, s)
		}
	}
}
