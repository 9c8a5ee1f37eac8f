package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"sluice/internal/logs"
)

// Value is a setting as text. Set checks; its errors say what is wrong and what
// would be right, but not which setting it is.
type Value interface {
	Set(text string) error
	String() string
}

// List is a Value of several items.
type List interface {
	Value
	Clear()
	Add(item string) error
	Items() []string
}

// maxEngines is as many as one gws takes.
const maxEngines = 64

// address is HOST:PORT.
type address struct{ to *string }

func (v address) String() string { return *v.to }

func (v address) Set(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if _, err := strconv.ParseUint(text, 10, 16); err == nil {
			return fmt.Errorf("%q has no colon: write \":%s\" for that port on all addresses", text, text)
		}
		return fmt.Errorf("bad address %q: want HOST:PORT or :PORT (IPv6 as [ADDRESS]:PORT)", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("bad port %q in %q: want 0 to 65535", port, text)
	}
	if err := printable(host); err != nil {
		return fmt.Errorf("bad host in %q: %w", text, err)
	}
	*v.to = text
	return nil
}

// count is a whole number from 0 to limit.
type count struct {
	to    *int
	limit int
}

func (v count) String() string { return strconv.Itoa(*v.to) }

func (v count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > v.limit {
		return fmt.Errorf("bad number %q: want 0 to %d", text, v.limit)
	}
	*v.to = n
	return nil
}

// word is a name or a path: any text on one line.
type word struct{ to *string }

func (v word) String() string { return *v.to }

func (v word) Set(text string) error {
	if err := printable(text); err != nil {
		return fmt.Errorf("bad text %q: %w", text, err)
	}
	*v.to = text
	return nil
}

func printable(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return errors.New("it has characters that cannot be shown")
	}
	return nil
}

// prefixes is a list of networks and single addresses.
type prefixes struct{ to *[]netip.Prefix }

func (v prefixes) String() string { return strings.Join(v.Items(), ",") }

func (v prefixes) Clear() { *v.to = nil }

func (v prefixes) Items() []string {
	items := make([]string, 0, len(*v.to))
	for _, p := range *v.to {
		if p.IsSingleIP() {
			items = append(items, p.Addr().String())
		} else {
			items = append(items, p.String())
		}
	}
	return items
}

func (v prefixes) Set(text string) error {
	before := *v.to
	v.Clear()
	for item := range strings.SplitSeq(text, ",") {
		if err := v.Add(strings.TrimSpace(item)); err != nil {
			*v.to = before
			return err
		}
	}
	return nil
}

func (v prefixes) Add(item string) error {
	p, err := parsePrefix(item)
	if err != nil {
		return err
	}
	*v.to = append(slices.Clip(*v.to), p)
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("bad network %q: want an address or ADDRESS/BITS, such as 10.0.0.0/8", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("bad network %q: the network is %s", s, p.Masked())
	}
	return p, nil
}

// duration is a time with its unit, least at the least.
type duration struct {
	to    *time.Duration
	least time.Duration
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

func (v duration) Set(text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && isNumber(text):
		return fmt.Errorf("%q has no unit: write %ss for seconds", text, text)
	case err != nil:
		return fmt.Errorf("bad time %q: want a number with its unit, such as 500ms, 10s or 5m", text)
	case d < 0:
		return fmt.Errorf("bad time %q: it cannot be negative", text)
	case d < v.least:
		return fmt.Errorf("bad time %q: want %s at least", text, v.least)
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

// unit is a name for a number of bytes.
type unit struct {
	name  string
	bytes int64
}

// units lists the larger first. KB and the like are powers of ten, as disks have them.
func units() []unit {
	return []unit{
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"GB", 1e9},
		{"MB", 1e6},
		{"KB", 1e3},
		{"kB", 1e3},
		{"B", 1},
	}
}

func (v size) String() string {
	if *v.to == 0 {
		return "0"
	}
	for _, u := range units() {
		if *v.to%u.bytes == 0 {
			return strconv.FormatInt(*v.to/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(*v.to, 10) + "B"
}

func (v size) Set(text string) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	if n < v.least {
		least := size{to: &v.least}
		return fmt.Errorf("bad size %q: want %s at least", text, least)
	}
	*v.to = n
	return nil
}

func parseSize(text string) (int64, error) {
	bad := fmt.Errorf("bad size %q: want a number with its unit, such as 512KiB, 32MiB or 2GB", text)
	if text == "0" {
		return 0, nil
	}
	if isNumber(text) {
		return 0, fmt.Errorf("%q has no unit: write %sMiB, %sMB or %sB", text, text, text, text)
	}
	for _, u := range units() {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(number, " "), 10, 63)
		if err != nil {
			return 0, bad
		}
		if int64(n) > math.MaxInt64/u.bytes {
			return 0, fmt.Errorf("bad size %q: it is too large", text)
		}
		return int64(n) * u.bytes, nil
	}
	return 0, bad
}

// level is how much is logged.
type level struct{ to *slog.Level }

func (v level) String() string { return strings.ToLower(v.to.String()) }

func (v level) Set(text string) error {
	l, err := logs.ParseLevel(text)
	if err != nil {
		return err
	}
	*v.to = l
	return nil
}
