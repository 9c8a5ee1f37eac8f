package file

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/lineup"
	"sluice/internal/media/ts"
)

// song is n frames of 24 ms and 192 bytes: MPEG-1 layer III at 48 kHz.
func song(n int) (b []byte) {
	for i := range n {
		f := bytes.Repeat([]byte{byte(i) & 0x7F}, 192)
		copy(f, []byte{0xFF, 0xFB, 0x54, 0x00})
		b = append(b, f...)
	}
	return b
}

// radio is n frames of AAC in ADTS at 48 kHz, of 256 bytes.
func radio(n int) (b []byte) {
	for i := range n {
		f := bytes.Repeat([]byte{byte(i) & 0x7F}, 256)
		copy(f, []byte{0xFF, 0xF1, 0x4C, 0x80, 0x20, 0x1F, 0xFC})
		b = append(b, f...)
	}
	return b
}

// cover is a tag of ID3 with so many bytes of a picture.
func cover(n int) []byte {
	return append([]byte{'I', 'D', '3', 4, 0, 0, byte(n >> 21), byte(n >> 14 & 0x7F), byte(n >> 7 & 0x7F), byte(n & 0x7F)}, make([]byte, n)...)
}

func TestClockOf(t *testing.T) {
	auto, pcr, frame, none := lineup.Pace{}, lineup.Pace{Clock: lineup.PCRClock}, lineup.Pace{Clock: lineup.FrameClock}, lineup.Pace{Clock: lineup.NoClock}
	for _, c := range []struct {
		name string
		b    []byte
		pace lineup.Pace
		want string
	}{
		{"a transport stream", film(10), auto, "*file.pcrClock"},
		{"a transport stream", film(10), pcr, "*file.pcrClock"},
		{"a transport stream", film(10), none, "none"},
		{"a transport stream", film(10), frame, errNoFrames.Error()},
		{"a transport stream", film(10), lineup.Pace{Bitrate: 1}, "*file.rateClock"},
		{"one whose clock stands still", bytes.Repeat(film(1), 9), auto, errNoClock.Error()},
		{"one whose clock comes late", slices.Concat(bytes.Repeat(film(1)[ts.PacketSize:], 2000), film(10)), auto, "*file.pcrClock"},
		{"one whose clock comes too late", slices.Concat(bytes.Repeat(film(1)[ts.PacketSize:], 8000), film(10)), auto, errNoClock.Error()},
		{"MP3", song(20), auto, "*file.frameClock"},
		{"MP3", song(20), frame, "*file.frameClock"},
		{"MP3", song(20), pcr, errNoClock.Error()},
		{"MP3 behind a picture", slices.Concat(cover(20<<20), song(20)), auto, "*file.frameClock"},
		{"MP3 from within a frame", song(20)[100:], auto, "*file.frameClock"},
		{"MP3 behind rubbish", slices.Concat(make([]byte, 1<<20), song(20)), auto, "*file.frameClock"},
		{"a tag that is longer than the file", cover(1 << 10)[:100], auto, "none"},
		{"AAC", radio(20), auto, "*file.frameClock"},
		{"three frames, by accident", slices.Concat(make([]byte, 1000), song(3), make([]byte, 1000)), auto, "none"},
		{"text", bytes.Repeat([]byte("text"), 1000), auto, "none"},
		{"nothing", nil, auto, "none"},
		{"nothing", nil, lineup.Pace{Bitrate: 1}, "*file.rateClock"},
	} {
		f := store(t, c.b)
		got, err := clockOf(f, c.pace)
		name := "none"
		switch got.(type) {
		case *pcrClock:
			name = "*file.pcrClock"
		case *frameClock:
			name = "*file.frameClock"
		case *rateClock:
			name = "*file.rateClock"
		}
		if err != nil {
			name = err.Error()
		}
		if name != c.want {
			t.Errorf("%s, paced by %s: %s, want %s", c.name, c.pace, name, c.want)
		}
		if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 0 {
			t.Errorf("%s: left at %d, %v", c.name, at, err)
		}
	}
}

// arrivals notes how many bytes had come at what time; at the time end it fails.
type arrivals struct {
	began time.Time
	end   time.Duration
	got   []byte
	by    map[time.Duration]int
}

func (a *arrivals) Write(b []byte) (int, error) {
	now := time.Since(a.began)
	if a.end > 0 && now >= a.end {
		return 0, io.ErrShortWrite
	}
	a.got = append(a.got, b...)
	a.by[now] = len(a.got)
	return len(b), nil
}

// TestFramesArePaced is acceptance 74 of the origin: audio is delivered at the speed at which it is heard, a piece ahead at
// most; a picture before it costs no time, and over and over the speed is the same.
func TestFramesArePaced(t *testing.T) {
	for name, c := range map[string]struct {
		frames []byte
		size   int
		frame  time.Duration
	}{
		"MP3": {song(100), 192, 24 * time.Millisecond},
		"AAC": {radio(100), 256, 1024 * time.Second / 48000},
	} {
		t.Run(name, func(t *testing.T) {
			tag := cover(50_000)
			whole := slices.Concat(tag, c.frames)
			f := store(t, whole)
			synctest.Test(t, func(t *testing.T) {
				w := &arrivals{began: time.Now(), end: 3 * 100 * c.frame, by: make(map[time.Duration]int)}
				if err := paced(t, f, lineup.Pace{}, true).pump(t.Context(), w); !errors.Is(err, io.ErrShortWrite) {
					t.Fatal(err)
				}
				if want := bytes.Repeat(whole, 3); !bytes.Equal(w.got, want) {
					t.Errorf("%d bytes in the time of three passes, want %d", len(w.got), len(want))
				}
				for at, n := range w.by {
					heard := int(at / c.frame)
					passes, within := heard/100, heard%100
					least := passes*len(whole) + len(tag) + within*c.size
					if most := least + 3*framePiece; within > 0 && within < 98 && (n < least || n > most) {
						t.Fatalf("at %v there were %d bytes, want %d to %d", at, n, least, most)
					}
				}
			})
		})
	}
}

// TestBitrateIsPaced: whatever a file holds, it comes at that rate.
func TestBitrateIsPaced(t *testing.T) {
	for _, bitrate := range []int64{8000, 128_000, 1_000_000_007, 100e9} {
		b := bytes.Repeat([]byte("film"), int(min(bitrate/8/4, 1<<20))) // a second of it, or 4 MiB
		f := store(t, b)
		synctest.Test(t, func(t *testing.T) {
			w := &arrivals{began: time.Now(), by: make(map[time.Duration]int)}
			if err := paced(t, f, lineup.Pace{Bitrate: bitrate}, false).pump(t.Context(), w); err != nil || !bytes.Equal(w.got, b) {
				t.Fatalf("%d of %d bytes, %v", len(w.got), len(b), err)
			}
			for at, n := range w.by {
				due := int(at.Seconds() * float64(bitrate) / 8) // a nanosecond is up to 12.5 bytes
				piece := int(min(max(bitrate/8/ratePieces, ts.PacketSize), chunk))
				if n < due-13 || n > due+piece+13 {
					t.Fatalf("%d bit/s: at %v there were %d bytes, want %d and a piece of %d at most", bitrate, at, n, due, piece)
				}
			}
		})
	}
}

// TestOnce: what is not to be repeated ends with its last byte, when that is due.
func TestOnce(t *testing.T) {
	for name, c := range map[string]struct {
		whole []byte
		pace  lineup.Pace
		lasts time.Duration
	}{
		"transport stream": {film(26), lineup.Pace{}, time.Second},
		"bit rate":         {bytes.Repeat([]byte("x"), 188*51), lineup.Pace{Bitrate: 188 * 50 * 8}, time.Second},
		"MP3":              {song(6), lineup.Pace{}, 5 * 24 * time.Millisecond}, // the last frame is in the last piece
	} {
		t.Run(name, func(t *testing.T) {
			f := store(t, c.whole)
			synctest.Test(t, func(t *testing.T) {
				w := &arrivals{began: time.Now(), by: make(map[time.Duration]int)}
				if err := paced(t, f, c.pace, false).pump(t.Context(), w); err != nil || !bytes.Equal(w.got, c.whole) {
					t.Fatalf("%d of %d bytes, %v", len(w.got), len(c.whole), err)
				}
				if took := time.Since(w.began); took != c.lasts {
					t.Errorf("it took %v, want %v", took, c.lasts)
				}
			})
		})
	}
}

// TestWrittenOver: a file that has no frames any more, or is empty, ends its broadcast.
func TestWrittenOver(t *testing.T) {
	for name, c := range map[string]struct {
		clock clock
		b     []byte
	}{
		"no frames":      {&frameClock{}, []byte("text")},
		"no frames, big": {&frameClock{}, make([]byte, frameBytes+chunk)},
		"empty":          {&rateClock{bitrate: 1}, nil},
	} {
		f := store(t, c.b)
		if err := (&broadcast{file: f, clock: c.clock, repeat: true}).pump(t.Context(), io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
