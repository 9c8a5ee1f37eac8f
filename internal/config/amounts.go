package config

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxTime bounds every time, so that sums do not overflow.
const maxTime = 365 * 24 * time.Hour

// maxKeepAlive bounds the times of probes: Linux takes no longer ones (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL).
const maxKeepAlive = 32767 * time.Second

// duration is a time with its unit, least at the least and most at the most.
type duration struct {
	to    *time.Duration
	least time.Duration
	most  time.Duration // 0 = maxTime
	zero  bool          // 0 has a meaning of its own and is allowed as well
}

// String leaves out the zeros that time.Duration writes: 1m, not 1m0s.
func (v duration) String() string {
	s := v.to.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Type implements Value.
func (v duration) Type() string { return "time" }

func (v duration) Set(text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		return fmt.Errorf("%q has no unit: write %ss for seconds", text, text)
	case err != nil:
		return fmt.Errorf("bad time %q: want a number with its unit, such as 500ms, 10s or 5m", text)
	case d < 0:
		return fmt.Errorf("bad time %q: it cannot be negative", text)
	case d == 0 && v.zero:
	case d < v.least:
		return fmt.Errorf("bad time %q: want %s at least", text, v.least)
	case d > cmp.Or(v.most, maxTime):
		return fmt.Errorf("bad time %q: want %s at most", text, duration{to: new(cmp.Or(v.most, maxTime))})
	}
	*v.to = d
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// size is a number of bytes with its unit, least at the least.
type size struct {
	to    *int64
	least int64
}

func (v size) String() string { return bytesScale().text(*v.to) }

// Type implements Value.
func (v size) Type() string { return "size" }

func (v size) Set(text string) error {
	n, err := bytesScale().parse(text)
	if err != nil {
		return err
	}
	if n < v.least {
		return fmt.Errorf("bad size %q: want %s at least", text, bytesScale().text(v.least))
	}
	*v.to = n
	return nil
}

// rate is bits a second with their unit.
type rate struct{ to *int64 }

func (v rate) String() string { return bitsScale().text(*v.to) }

// Type implements Value.
func (v rate) Type() string { return "bit rate" }

func (v rate) Set(text string) error {
	n, err := bitsScale().parse(text)
	if err != nil {
		return err
	}
	*v.to = n
	return nil
}

// scale is how an amount is written.
type scale struct {
	what  string // for errors
	want  string // examples, for errors
	hints []string
	units []unit
}

// unit is a name for a number.
type unit struct {
	name string
	is   int64
}

// bytesScale is that of bytes. KB and the like are powers of ten, as disks have them.
func bytesScale() scale {
	return scale{
		what: "size", want: "512KiB, 32MiB or 2GB", hints: []string{"MiB", "MB", "B"},
		units: []unit{
			{"GiB", 1 << 30},
			{"MiB", 1 << 20},
			{"KiB", 1 << 10},
			{"GB", 1e9},
			{"MB", 1e6},
			{"KB", 1e3},
			{"kB", 1e3},
			{"B", 1},
		},
	}
}

// bitsScale is that of bits a second.
func bitsScale() scale {
	return scale{
		what: "rate", want: "8M, 900M or 10G bits a second", hints: []string{"M", "G"},
		units: []unit{
			{"G", 1e9},
			{"M", 1e6},
			{"k", 1e3},
			{"Gbit/s", 1e9},
			{"Mbit/s", 1e6},
			{"kbit/s", 1e3},
			{"bit/s", 1},
		},
	}
}

// text writes n in the first unit that leaves no fraction.
func (s scale) text(n int64) string {
	for _, u := range s.units {
		if n != 0 && n%u.is == 0 {
			return strconv.FormatInt(n/u.is, 10) + u.name
		}
	}
	return "0"
}

func (s scale) parse(text string) (int64, error) {
	bad := fmt.Errorf("bad %s %q: want a number with its unit, such as %s", s.what, text, s.want)
	if text == "0" {
		return 0, nil
	}
	if isNumber(text) {
		return 0, fmt.Errorf("%q has no unit: write %s", text, s.hint(text))
	}
	for _, u := range s.units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(number, " "), 10, 63)
		if err != nil {
			return 0, bad
		}
		if int64(n) > math.MaxInt64/u.is {
			return 0, fmt.Errorf("bad %s %q: it is too large", s.what, text)
		}
		return int64(n) * u.is, nil
	}
	return 0, bad
}

// hint is number with units that may have been meant.
func (s scale) hint(number string) string {
	last := len(s.hints) - 1
	return number + strings.Join(s.hints[:last], ", "+number) + " or " + number + s.hints[last]
}
