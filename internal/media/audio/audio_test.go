package audio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestParseFrame: heads written by hand from the tables of the standards.
func TestParseFrame(t *testing.T) {
	for _, c := range []struct {
		name string
		head []byte
		want Frame
	}{
		{"MPEG-1 layer III", []byte{0xFF, 0xFB, 0x90, 0x00}, Frame{417, 26122448, 44100, 2, 128000, false}},
		{"padded, mono", []byte{0xFF, 0xFB, 0x92, 0xC0}, Frame{418, 26122448, 44100, 1, 128000, false}},
		{"with a checksum", []byte{0xFF, 0xFA, 0xE4, 0x40}, Frame{960, 24 * time.Millisecond, 48000, 2, 320000, false}},
		{"MPEG-1 layer II", []byte{0xFF, 0xFD, 0xA4, 0x00}, Frame{576, 24 * time.Millisecond, 48000, 2, 192000, false}},
		{"MPEG-1 layer I", []byte{0xFF, 0xFF, 0xC8, 0x00}, Frame{576, 12 * time.Millisecond, 32000, 2, 384000, false}},
		{"layer I, padded by four bytes", []byte{0xFF, 0xFF, 0xCA, 0x00}, Frame{580, 12 * time.Millisecond, 32000, 2, 384000, false}},
		{"MPEG-2 layer III", []byte{0xFF, 0xF3, 0x84, 0xC0}, Frame{192, 24 * time.Millisecond, 24000, 1, 64000, false}},
		{"MPEG-2 layer II", []byte{0xFF, 0xF5, 0x84, 0x00}, Frame{384, 48 * time.Millisecond, 24000, 2, 64000, false}},
		{"MPEG-2 layer I", []byte{0xFF, 0xF7, 0x14, 0x00}, Frame{64, 16 * time.Millisecond, 24000, 2, 32000, false}},
		{"MPEG-2.5 layer III", []byte{0xFF, 0xE3, 0x48, 0xC0}, Frame{288, 72 * time.Millisecond, 8000, 1, 32000, false}},
		{"AAC", []byte{0xFF, 0xF1, 0x4C, 0x80, 0x20, 0x1F, 0xFC}, Frame{256, 21333333, 48000, 2, 96000, true}},
		{"AAC with a checksum, MPEG-2, 5.1", []byte{0xFF, 0xF8, 0x51, 0x80, 0x7F, 0xFF, 0xFC}, Frame{1023, 23219954, 44100, 6, 352455, true}},
		{"AAC, four blocks, 7.1", []byte{0xFF, 0xF1, 0x5D, 0xC1, 0x00, 0x00, 0x03}, Frame{2048, 185759637, 22050, 8, 88200, true}},
		{"the longest frame of AAC", []byte{0xFF, 0xF1, 0x4C, 0x83, 0xFF, 0xFF, 0xFC}, Frame{8191, 21333333, 48000, 2, 3071625, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseFrame(c.head)
			if diff := cmp.Diff(c.want, got); diff != "" || !ok {
				t.Errorf("%v %s", ok, diff)
			}
			if _, ok := ParseFrame(c.head[:len(c.head)-1]); ok {
				t.Error("a head is shorter")
			}
		})
	}
}

func TestNoFrame(t *testing.T) {
	for name, head := range map[string][]byte{
		"nothing":                    nil,
		"a transport stream":         {0x47, 0x40, 0x00, 0x10, 0, 0, 0},
		"eleven bits of sync":        {0xFF, 0xDB, 0x90, 0x00},
		"a reserved version":         {0xFF, 0xEB, 0x90, 0x00},
		"a layer of 2.5 that is AAC": {0xFF, 0xE1, 0x90, 0x00},
		"the free format":            {0xFF, 0xFB, 0x00, 0x00},
		"a bit rate that is none":    {0xFF, 0xFB, 0xF0, 0x00},
		"a sample rate that is none": {0xFF, 0xFB, 0x9C, 0x00},
		"an emphasis that is none":   {0xFF, 0xFB, 0x90, 0x02},
		"AAC of no known rate":       {0xFF, 0xF1, 0x74, 0x80, 0x20, 0x1F, 0xFC},
		"AAC of its head alone":      {0xFF, 0xF1, 0x4C, 0x80, 0x00, 0xFF, 0xFC},
		"AAC without its checksum":   {0xFF, 0xF0, 0x4C, 0x80, 0x01, 0x3F, 0xFC},
	} {
		if f, ok := ParseFrame(head); ok {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestTagSize(t *testing.T) {
	for _, c := range []struct {
		head string
		want int
	}{
		{"ID3\x04\x00\x00\x00\x00\x02\x01", 10 + 257},
		{"ID3\x04\x00\x10\x00\x00\x02\x01", 20 + 257},
		{"ID3\x03\x00\x80\x7F\x7F\x7F\x7F", 10 + 1<<28 - 1},
		{"ID3\x02\x00\x00\x00\x00\x00\x00", 10},
		{"ID3\x04\x00\x00\x00\x00\x02", 0},
		{"ID3\x05\x00\x00\x00\x00\x02\x01", 0},
		{"ID3\x04\x00\x01\x00\x00\x02\x01", 0},
		{"ID3\x04\x00\x00\x00\x80\x02\x01", 0},
		{"TAG\x04\x00\x00\x00\x00\x02\x01", 0},
	} {
		if got := TagSize([]byte(c.head)); got != c.want {
			t.Errorf("%q: %d, want %d", c.head, got, c.want)
		}
	}
}

// mp3 is n frames of 24 ms, MPEG-1 layer III at 48 kHz and 64 kbit/s.
func mp3(n int) (b []byte) {
	for i := range n {
		f := bytes.Repeat([]byte{0x55}, 192)
		copy(f, []byte{0xFF, 0xFB, 0x54, 0x00})
		binary.BigEndian.PutUint32(f[100:], uint32(i))
		b = append(b, f...)
	}
	return b
}

// aac is n frames of ADTS at 48 kHz, each with one byte more than the last.
func aac(n int) (b []byte) {
	for i := range n {
		f := bytes.Repeat([]byte{0x55}, 200+i)
		copy(f, []byte{0xFF, 0xF1, 0x4C, 0x80, byte(len(f) >> 3), byte(len(f)<<5) | 0x1F, 0xFC})
		b = append(b, f...)
	}
	return b
}

func tag(size int) []byte {
	b := make([]byte, 10+size) // with frames in it, as pictures may have
	copy(b[10:], mp3(1+size/192))
	copy(b, []byte{'I', 'D', '3', 4, 0, 0, 0, byte(size >> 14), byte(size >> 7 & 0x7F), byte(size & 0x7F)})
	return b
}

// TestScanner: what lasts how long, however it is cut. A head is 10 bytes at most, so that much tells that another frame follows.
func TestScanner(t *testing.T) {
	const frame = 24 * time.Millisecond
	cut := func(b []byte, n int) []byte { return b[n:] }
	for _, c := range []struct {
		name   string
		stream []byte
		want   time.Duration
	}{
		{"nothing", nil, 0},
		{"one frame that nothing follows", mp3(1), 0},
		{"frames", mp3(11), 10 * frame},
		{"a tag before", slices.Concat(tag(1000), mp3(11)), 10 * frame},
		{"a tag between", slices.Concat(mp3(3), tag(100_000), mp3(11)), 13 * frame},
		{"a tag behind, as old ones are", slices.Concat(mp3(3), append([]byte("TAG"), make([]byte, 125)...)), 3 * frame},
		{"from within a frame", cut(mp3(12), 100), 10 * frame},
		{"rubbish before", slices.Concat(bytes.Repeat([]byte{0xFF}, 5000), mp3(11)), 10 * frame},
		{"rubbish between costs the frame before it", slices.Concat(mp3(5), []byte("rubbish, rubbish"), mp3(11)), 14 * frame},
		{"a hole in a frame costs it", slices.Concat(mp3(5)[:4*192+50], mp3(11)), 14 * frame},
		{"a lonely head", slices.Concat([]byte{0xFF, 0xFB, 0x54, 0x00}, make([]byte, 100), mp3(11)), 10 * frame},
		{"text", bytes.Repeat([]byte("ID3 and TAG \xFF "), 3000), 0},
		{"two streams", slices.Concat(mp3(5), aac(4)), 4*frame + 3*(1024*time.Second/48000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{1, 7, 191, 192, 193, 4096, 1 << 20} {
				var (
					s   Scanner
					got time.Duration
				)
				for part := range slices.Chunk(c.stream, size) {
					got += s.Write(part)
				}
				if got != c.want {
					t.Fatalf("in pieces of %d: %v, want %v", size, got, c.want)
				}
				if _, ok := s.Last(); ok != (c.want > 0) {
					t.Fatalf("in pieces of %d: a last frame: %v", size, ok)
				}
			}
		})
	}
}

func TestLast(t *testing.T) {
	var s Scanner
	s.Write(aac(3))
	got, ok := s.Last()
	if want := (Frame{201, 21333333, 48000, 2, 75375, true}); got != want || !ok {
		t.Errorf("%+v, %v", got, ok)
	}
}

// FuzzScanner: however a stream is cut, the same is found in it, no more than its bytes can be, and little of it is kept.
func FuzzScanner(f *testing.F) {
	f.Add(mp3(5), 7)
	f.Add(aac(5), 100)
	f.Add(slices.Concat(tag(300), mp3(3), []byte("TAG")), 1)
	f.Add([]byte("ID3\x04\x00\x00\x7F\x7F\x7F\x7F"), 3)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		var whole, pieces Scanner
		want := whole.Write(b)
		var got time.Duration
		for part := range slices.Chunk(b, max(1, size)) {
			got += pieces.Write(part)
		}
		if got != want || want < 0 || cap(pieces.held) > 64<<10 {
			t.Errorf("%v in pieces, %v at once, %d kept", got, want, cap(pieces.held))
		}
		if fmt.Sprint(whole.last) != fmt.Sprint(pieces.last) {
			t.Errorf("%+v in pieces, %+v at once", pieces.last, whole.last)
		}
		if last, ok := whole.Last(); ok && (last.Size < 4 || last.Size > 8191 || last.Duration <= 0 || last.SampleRate <= 0 || last.Bitrate <= 0) {
			t.Errorf("%+v", last)
		}
	})
}
