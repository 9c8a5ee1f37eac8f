package web

import (
	"bytes"
	"io"
	"net/netip"
	"strconv"
	"testing"
	"testing/iotest"

	"sluice/internal/netx"
)

// FuzzTitles: what stands between the titles comes through, however it is cut; nothing else.
func FuzzTitles(f *testing.F) {
	f.Add([]byte("abc\x01StreamTitle='x';def\x00gh"), 3)
	f.Add([]byte("abc\xff"), 3)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, b []byte, interval int) {
		if interval < 1 || interval > maxInterval {
			return
		}
		var want []byte
		for rest := b; len(rest) > 0; {
			n := min(interval, len(rest))
			want, rest = append(want, rest[:n]...), rest[n:]
			if n == interval && len(rest) > 0 {
				rest = rest[min(1+16*int(rest[0]), len(rest)):]
			}
		}
		for _, r := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b)), iotest.DataErrReader(bytes.NewReader(b))} {
			got, err := io.ReadAll(withoutTitles(io.NopCloser(r), strconv.Itoa(interval)))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%q, %v; want %q", got, err, want)
			}
		}
	})
}

// TestDialOfRedirects: a server elsewhere cannot send the operator's source to this machine;
// one of this machine can.
func TestDialOfRedirects(t *testing.T) {
	for _, tt := range []struct {
		trusted bool
		first   string
		local   bool // may be named after it
	}{
		{true, "192.0.2.1", false},
		{true, "127.0.0.1", true},
		{false, "192.0.2.1", true}, // its list decides
	} {
		c := &caller{trusted: tt.trusted, dialer: netx.Dialer{Any: true}}
		c.reached(netip.MustParseAddr(tt.first))
		if err := c.dialer.Permits(netip.MustParseAddr("127.0.0.1")); (err == nil) != tt.local {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
