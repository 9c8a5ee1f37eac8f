package logs

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// TimeFormat says how the time stands in a line of a log file.
type TimeFormat uint8

// The formats.
const (
	TimeLocal TimeFormat = iota // 2026-03-01 12:03:04.512 CET
	TimeGMT                     // the same in GMT
	TimeRaw                     // seconds since 1970, a dot and nine digits of nanoseconds
	TimeMono                    // the same on the system's monotonic clock: for spans only
	TimeNone                    // no time at all
)

// String is what ParseTimeFormat reads.
func (f TimeFormat) String() string {
	return [...]string{"local", "gmt", "raw", "raw_mono", "no_time"}[f]
}

// ParseTimeFormat reads the name of a format; raw-mono is raw_mono.
func ParseTimeFormat(s string) (TimeFormat, error) {
	if s == "raw-mono" {
		return TimeMono, nil
	}
	for f := TimeLocal; f <= TimeNone; f++ {
		if s == f.String() {
			return f, nil
		}
	}
	return 0, fmt.Errorf("bad time format %q: want local, gmt, raw, raw_mono or no_time", s)
}

// Append appends t. TimeMono appends the moment of the call, since a time.Time does
// not tell what the system's clock was.
func (f TimeFormat) Append(b []byte, t time.Time) []byte {
	switch f {
	case TimeLocal:
		return t.Local().AppendFormat(b, "2006-01-02 15:04:05.000 MST")
	case TimeGMT:
		return t.UTC().AppendFormat(b, "2006-01-02 15:04:05.000 GMT")
	case TimeRaw:
		return fmt.Appendf(b, "%d.%09d", t.Unix(), t.Nanosecond())
	case TimeMono:
		var now unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // every system that we run on has it
		seconds, nanoseconds := now.Unix()
		return fmt.Appendf(b, "%d.%09d", seconds, nanoseconds)
	}
	return b
}
