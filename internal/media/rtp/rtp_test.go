package rtp

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	pion "github.com/pion/rtp"
)

// datagram is RTP with n transport packets.
func datagram(first byte, payloadType uint8, n int, more ...byte) []byte {
	b := Header{PayloadType: payloadType, Sequence: 0xABCD, Timestamp: 90_000, SSRC: 0x01020304}.Append(nil)
	b[0] |= first
	b = append(b, more...)
	for range n {
		b = append(b, tsSyncByte)
		b = append(b, bytes.Repeat([]byte{0x11}, tsPacket-1)...)
	}
	return b
}

const (
	withPadding   = 0x20
	withExtension = 0x10
)

func TestParse(t *testing.T) {
	header := Header{PayloadType: 33, Sequence: 0xABCD, Timestamp: 90_000, SSRC: 0x01020304}
	for _, c := range []struct {
		name  string
		b     []byte
		size  int // of the payload
		field string
	}{
		{"plain", datagram(0, 33, 7), 7 * tsPacket, ""},
		{"no payload", datagram(0, 33, 0), 0, ""},
		{"two CSRC", datagram(2, 33, 7, 1, 2, 3, 4, 5, 6, 7, 8), 7 * tsPacket, ""},
		{"extension", datagram(withExtension, 33, 7, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9), 7 * tsPacket, ""},
		{"empty extension", datagram(withExtension, 33, 7, 0xBE, 0xDE, 0, 0), 7 * tsPacket, ""},
		{"padding", append(datagram(withPadding, 33, 7), 0, 0, 0, 4), 7 * tsPacket, ""},
		{"all of it", append(datagram(withPadding|withExtension|1, 33, 1, 1, 2, 3, 4, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9), 0, 2), tsPacket, ""},
		{"nothing but padding", append(datagram(withPadding, 33, 0), 0, 0, 3), 0, ""},

		{"empty", nil, 0, "length"},
		{"a byte short", datagram(0, 33, 0)[:11], 0, "length"},
		{"plain TS", datagram(0, 33, 7)[12:], 0, "version"},
		{"version 3", datagram(0x40, 33, 7), 0, "version"},
		{"CSRC cut off", datagram(15, 33, 0, make([]byte, 59)...), 0, "csrc"},
		{"extension cut off", datagram(withExtension, 33, 0, 0xBE, 0xDE, 0), 0, "extension"},
		{"extension too long", datagram(withExtension, 33, 1, 0xBE, 0xDE, 0xFF, 0xFF), 0, "extension"},
		{"no room for padding", datagram(withPadding, 33, 0), 0, "padding"},
		{"padding of nothing", append(datagram(withPadding, 33, 1), 0), 0, "padding"},
		{"padding over the header", append(datagram(withPadding, 33, 0), 0, 0, 4), 0, "padding"},
	} {
		got, payload, err := Parse(c.b)
		var bad *HeaderError
		if errors.As(err, &bad) != (c.field != "") || bad != nil && (bad.Field != c.field || bad.Size != len(c.b)) {
			t.Errorf("%s: error %v, want field %q", c.name, err, c.field)
			continue
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(header, got); diff != "" || len(payload) != c.size {
			t.Errorf("%s: payload of %d bytes, want %d %s", c.name, len(payload), c.size, diff)
		}
		if len(payload) > 0 && payload[0] != tsSyncByte {
			t.Errorf("%s: the payload starts with %#x", c.name, payload[0])
		}
	}
}

func TestDetect(t *testing.T) {
	other := append(datagram(0, 96, 0), []byte("no transport packets")...)
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"type 33":                     {datagram(0, 33, 7), true},
		"type 33, other payload":      {append(datagram(0, 33, 0), 1, 2, 3), true},
		"another type with TS":        {datagram(0, 96, 7), true},
		"another type, other payload": {other, false},
		"another type, nothing":       {datagram(0, 96, 0), false},
		"another type, cut packet":    {datagram(0, 96, 7)[:12+7*tsPacket-1], false},
		"plain TS":                    {datagram(0, 33, 7)[12:], false},
		"a header that lies":          {datagram(withExtension, 33, 1, 0xBE, 0xDE, 0xFF, 0xFF), false},
		"nothing":                     {nil, false},
	} {
		if got := Detect(c.b); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAppendIsWhatOthersRead(t *testing.T) {
	for _, want := range []Header{
		{},
		{Marker: true, PayloadType: 127, Sequence: 0xFFFF, Timestamp: 0xFFFFFFFF, SSRC: 0xFFFFFFFF},
		{PayloadType: 33, Sequence: 7, Timestamp: 90_000, SSRC: 42},
	} {
		b := want.Append([]byte("before"))[len("before"):]
		var p pion.Packet
		if err := p.Unmarshal(b); err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		got := Header{p.Marker, p.PayloadType, p.SequenceNumber, p.Timestamp, p.SSRC}
		if got != want || len(b) != HeaderSize {
			t.Errorf("%+v is read as %+v", want, got)
		}
		if again, _, err := Parse(b); err != nil || again != want {
			t.Errorf("%+v is parsed as %+v, %v", want, again, err)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	b := datagram(withExtension, 33, 7, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9)
	var c Counter
	if n := testing.AllocsPerRun(100, func() {
		h, _, _ := Parse(b)
		c.Add(h.Sequence, h.SSRC)
		Detect(b[HeaderSize:])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRTP compares with another implementation. It may only be laxer: it takes
// padding of no bytes, and an extension it can not read inside is an error there.
func FuzzRTP(f *testing.F) {
	f.Add(datagram(0, 33, 1))
	f.Add(datagram(withExtension|2, 33, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0xAB, 0xCD, 0, 1, 9, 9, 9, 9))
	f.Add(append(datagram(withPadding, 96, 1), 0, 0, 0, 4))
	f.Add(append(datagram(withPadding, 96, 0), 200))
	f.Add(datagram(withExtension, 33, 0, 0xBE, 0xDE, 0, 1, 0x10, 9, 0, 0))
	f.Add(datagram(0, 33, 1)[:HeaderSize-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, payload, err := Parse(b)
		if err != nil && (payload != nil || got != Header{}) {
			t.Error("an error, and a result")
		}
		if Detect(b) && (err != nil || b[0] == tsSyncByte) {
			t.Error("detected what does not parse")
		}
		if len(b) < HeaderSize || b[0]>>6 != version {
			if err == nil {
				t.Errorf("% x is no RTP", b[:min(len(b), HeaderSize)])
			}
			return
		}
		var other pion.Packet
		if otherErr := other.Unmarshal(b); otherErr != nil {
			return
		}
		if err != nil {
			if other.Padding && other.PaddingSize == 0 {
				return
			}
			t.Fatalf("%v, but others read %v", err, other.Header)
		}
		want := Header{other.Marker, other.PayloadType, other.SequenceNumber, other.Timestamp, other.SSRC}
		if got != want || !bytes.Equal(payload, other.Payload) {
			t.Errorf("%+v and %d bytes, others read %+v and %d", got, len(payload), want, len(other.Payload))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	in := datagram(0, 33, 7)
	var c Counter
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		h, _, err := Parse(in)
		if err != nil {
			b.Fatal(err)
		}
		c.Add(h.Sequence, h.SSRC)
	}
}
