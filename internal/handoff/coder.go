package handoff

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// coder writes fields to the end of b, or reads them from its beginning. The first
// error stays and makes the rest do nothing, so that a list of fields needs no checks.
// A length is believed only when that many bytes are there.
type coder struct {
	reading bool
	b       []byte
	err     error
}

// maxMillis is the last millisecond of the year 9999, the last that JSON can show.
const maxMillis = 253402300799999

// maxMicros is a year of 365 days.
const maxMicros = 365 * 24 * 3600 * 1_000_000

var errShort = errors.New("ends early")

func (c *coder) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// uint is an unsigned LEB128 number as in encoding/binary, of at most 64 bits and the
// shortest form only.
func (c *coder) uint(v *uint64) {
	if c.err != nil {
		return
	}
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	n, size := binary.Uvarint(c.b)
	switch {
	case size == 0:
		c.fail(errShort)
	case size < 0:
		c.fail(errors.New("number of more than 64 bits"))
	case size > 1 && c.b[size-1] == 0:
		c.fail(errors.New("number not written the shortest way"))
	default:
		*v, c.b = n, c.b[size:]
	}
}

// limited is a uint of at most limit.
func (c *coder) limited(v, limit uint64) uint64 {
	if !c.reading && v > limit {
		c.fail(fmt.Errorf("number %d above %d", v, limit))
	}
	c.uint(&v)
	if c.reading && v > limit {
		c.fail(fmt.Errorf("number %d above %d", v, limit))
		return 0
	}
	return v
}

// int is a uint of at most 31 bits: process numbers, HTTP codes.
func (c *coder) int(v *int) {
	*v = int(c.limited(uint64(*v), math.MaxInt32))
}

func (c *coder) uint16(v *uint16) {
	*v = uint16(c.limited(uint64(*v), math.MaxUint16))
}

// bool is one byte, 0 or 1.
func (c *coder) bool(v *bool) {
	n := uint64(0)
	if *v {
		n = 1
	}
	*v = c.limited(n, 1) == 1
}

// time is a uint of milliseconds since 1970; 0 is the zero time, and so is any before
// 1970. What is read is in UTC.
func (c *coder) time(v *time.Time) {
	if !c.reading {
		c.limited(uint64(max(0, v.UnixMilli())), maxMillis)
		return
	}
	if ms := c.limited(0, maxMillis); ms > 0 {
		*v = time.UnixMilli(int64(ms)).UTC()
	}
}

// duration is a uint of microseconds, at most a year.
func (c *coder) duration(v *time.Duration) {
	*v = time.Duration(c.limited(uint64(*v/time.Microsecond), maxMicros)) * time.Microsecond
}

// int64 is a uint of at most 63 bits.
func (c *coder) int64(v *int64) {
	*v = int64(c.limited(uint64(*v), math.MaxInt64))
}

// bytes is a length and that many bytes. What is read is a copy; no bytes are nil.
func (c *coder) bytes(v *[]byte) {
	if b := c.counted(*v); c.reading && len(b) > 0 {
		*v = bytes.Clone(b)
	}
}

func (c *coder) string(v *string) {
	if !c.reading {
		n := uint64(len(*v))
		c.uint(&n)
		c.b = append(c.b, *v...)
		return
	}
	*v = string(c.counted(nil))
}

// counted is a length and that many bytes: v is written, or a part of b returned.
func (c *coder) counted(v []byte) []byte {
	n := uint64(len(v))
	c.uint(&n)
	switch {
	case c.err != nil:
		return nil
	case !c.reading:
		c.b = append(c.b, v...)
		return nil
	case n > uint64(len(c.b)):
		c.fail(errShort)
		return nil
	}
	v, c.b = c.b[:n], c.b[n:]
	return v
}

// list is a count and that many items of at least least bytes each.
func list[T any](c *coder, v *[]T, least int, item func(*coder, *T)) {
	n := uint64(len(*v))
	c.uint(&n)
	if c.err != nil {
		return
	}
	if c.reading {
		if n > uint64(len(c.b)/least) {
			c.fail(errShort)
			return
		}
		if n > 0 {
			*v = make([]T, n)
		}
	}
	for i := range *v {
		item(c, &(*v)[i])
	}
}
