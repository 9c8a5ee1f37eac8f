package lineup

import (
	"fmt"
	"strconv"
	"strings"
)

// Pace says at what speed a file is delivered that is a channel. The zero Pace is that of what is in it.
type Pace struct {
	Clock   Clock
	Bitrate int64 // bits a second, whatever Clock says; 0 = none is said
}

// Clock is by what a file is delivered at its own speed.
type Clock uint8

// The clocks.
const (
	AutoClock  Clock = iota // by what is in it: PCRClock, FrameClock, or NoClock
	PCRClock                // the PCR of a transport stream (ISO/IEC 13818-1)
	FrameClock              // how long the frames last: MPEG audio and AAC
	NoClock                 // none: as fast as it is taken
)

// String is what ParsePace reads.
func (p Pace) String() string {
	switch {
	case p.Bitrate > 0:
		return bitrateText(p.Bitrate)
	case p.Clock == PCRClock:
		return "pcr"
	case p.Clock == FrameClock:
		return "frame"
	case p.Clock == NoClock:
		return "none"
	}
	return "auto"
}

// ParsePace reads "auto", "pcr", "frame", "none" or a bit rate.
func ParsePace(s string) (Pace, error) {
	for c := AutoClock; c <= NoClock; c++ {
		if p := (Pace{Clock: c}); p.String() == s {
			return p, nil
		}
	}
	if n, err := ParseBitrate(s); err == nil {
		return Pace{Bitrate: n}, nil
	}
	return Pace{}, fmt.Errorf("bad pace %q: want auto, pcr, frame, none or a bit rate such as 128k", clip(s))
}

// check says why nothing can be delivered so.
func (p Pace) check() error {
	switch {
	case p.Clock > NoClock:
		return fmt.Errorf("unknown clock %d of files", p.Clock)
	case p.Bitrate < 0 || p.Bitrate > MaxBitrate:
		return fmt.Errorf("pace of %d bits a second: want 0 to %d", p.Bitrate, int64(MaxBitrate))
	}
	return nil
}

// MaxBitrate is that of the fastest network cards, in bits a second.
const MaxBitrate = 100e9

// ParseBitrate reads whole bits a second, or thousands (k), millions (M) and milliards (G): from 1 to MaxBitrate.
func ParseBitrate(s string) (int64, error) {
	number, unit := s, int64(1)
	for suffix, is := range map[string]int64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			number, unit = n, is
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || n == 0 || int64(n) > MaxBitrate/unit {
		return 0, fmt.Errorf("bad bit rate %q: want 1 to 100G, such as 500k or 8M", clip(s))
	}
	return int64(n) * unit, nil
}

// bitrateText is what ParseBitrate reads, as short as it can be.
func bitrateText(n int64) string {
	suffix := ""
	for _, next := range []string{"k", "M", "G"} {
		if n%1000 != 0 {
			break
		}
		n, suffix = n/1000, next
	}
	return strconv.FormatInt(n, 10) + suffix
}
