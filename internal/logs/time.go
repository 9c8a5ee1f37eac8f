package logs

import "fmt"

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
