package proxyproto

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

var (
	from4, to4 = netip.MustParseAddrPort("198.51.100.7:5000"), netip.MustParseAddrPort("192.0.2.1:80")
	from6, to6 = netip.MustParseAddrPort("[2001:db8::7]:65535"), netip.MustParseAddrPort("[2001:db8::1]:1")
)

// raw is a header of version 2.
func raw(command, family byte, body string) string {
	return signature2 + string([]byte{command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

const (
	block4 = "\xc6\x33\x64\x07\xc0\x00\x02\x01\x13\x88\x00\x50" // from4, to4
	// The longest line that there is, as the specification has it.
	longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
)

func TestParse(t *testing.T) {
	unix := strings.Repeat("\x00", 216)
	for in, want := range map[string]Header{
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n":               {Version: V1, From: from4, To: to4},
		"PROXY TCP6 2001:db8::7 2001:db8::1 65535 1\r\n":              {Version: V1, From: from6, To: to6},
		"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.1 5000 80\r\n": {Version: V1, From: from4, To: to4},
		"PROXY UNKNOWN\r\n":           {Version: V1, Local: true},
		"PROXY UNKNOWN what ever\r\n": {Version: V1, Local: true},
		longest:                       {Version: V1, Local: true},
		raw(0x21, 0x11, block4):       {Version: V2, From: from4, To: to4},
		raw(0x21, 0x11, block4+"\x04\x00\x00\xe0\x00\x01x"): {Version: V2, From: from4, To: to4, TLVs: []TLV{{4, []byte{}}, {0xe0, []byte("x")}}},
		raw(0x21, 0x12, block4):                             {Version: V2}, // UDP
		raw(0x21, 0x31, unix):                               {Version: V2},
		raw(0x21, 0x31, unix+"\x02\x00\x01a"):               {Version: V2, TLVs: []TLV{{TypeAuthority, []byte("a")}}},
		raw(0x20, 0x00, ""):                                 {Version: V2, Local: true},
		raw(0x20, 0x11, block4):                             {Version: V2, Local: true},
		raw(0x20, 0x11, block4[:5]):                         {Version: V2, Local: true},
		raw(0x21, 0x00, ""):                                 {Version: V2},
		raw(0x21, 0x00, "whatever"):                         {Version: V2},
		raw(0x21, 0x00, "\x01\x00\x02h2"):                   {Version: V2, TLVs: []TLV{{TypeALPN, []byte("h2")}}},
	} {
		for _, rest := range []string{"", "GET /", "\r\n"} {
			h, n, err := Parse([]byte(in + rest))
			if err != nil || n != len(in) || !reflect.DeepEqual(h, want) {
				t.Errorf("%.70q: %+v, %d, %v; want %+v, %d", in, h, n, err, want, len(in))
			}
		}
		prefixes(t, []byte(in))
	}
}

// prefixes: each proper beginning of a header wants more, and Missing never wants what is
// beyond the end.
func prefixes(t *testing.T, whole []byte) {
	t.Helper()
	for n := range whole {
		h, took, err := Parse(whole[:n])
		if !errors.Is(err, ErrMore) || took != 0 || !reflect.DeepEqual(h, Header{}) {
			t.Fatalf("%q: %+v, %d, %v", whole[:n], h, took, err)
		}
		if more := Missing(whole[:n]); more < 1 || n+more > len(whole) {
			t.Fatalf("%q: %d bytes are missing, it has %d more", whole[:n], more, len(whole)-n)
		}
	}
}

func TestNoHeader(t *testing.T) {
	for _, in := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "PROPFIND /", "proxy TCP4", "\r\n\r\nGET /", "X"} {
		if h, n, err := Parse([]byte(in)); err != nil || n != 0 || !reflect.DeepEqual(h, Header{}) {
			t.Errorf("%q: %+v, %d, %v", in, h, n, err)
		}
	}
}

func TestBroken(t *testing.T) {
	for in, want := range map[string]string{
		longest[:106] + " \r": "more than 107",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\n" + strings.Repeat("x", 100): "more than 107",
		"PROXY \r\n":         "bad line",
		"PROXY UNKNOWNS\r\n": "bad line",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000\r\n":       "bad line",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80 \r\n":   "bad line",
		"PROXY TCP4  198.51.100.7 192.0.2.1 5000 80\r\n":   "bad line",
		"PROXY TCP5 198.51.100.7 192.0.2.1 5000 80\r\n":    "bad line",
		"PROXY TCP4 2001:db8::7 192.0.2.1 5000 80\r\n":     "no address",
		"PROXY TCP4 198.51.100.7 tv.example 5000 80\r\n":   "no address",
		"PROXY TCP6 198.51.100.7 192.0.2.1 5000 80\r\n":    "no address",
		"PROXY TCP6 fe80::7%eth0 2001:db8::1 5000 80\r\n":  "no address",
		"PROXY TCP4 198.51.100.007 192.0.2.1 5000 80\r\n":  "no address",
		"PROXY TCP4 198.51.100.7 192.0.2.1 05000 80\r\n":   "no port",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80000\r\n": "no port",
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 -1\r\n":    "no port",
		"PROXY TCP4 198.51.100.7 192.0.2.1 +5000 80\r\n":   "no port",
		raw(0x31, 0x11, block4):                            "version or command",
		raw(0x22, 0x11, block4):                            "version or command",
		raw(0x21, 0x41, block4):                            "family or protocol",
		raw(0x21, 0x13, block4):                            "family or protocol",
		raw(0x21, 0x21, block4):                            "12 bytes for addresses",
		raw(0x21, 0x31, block4):                            "12 bytes for addresses",
		raw(0x21, 0x11, ""):                                "0 bytes for addresses",
		raw(0x21, 0x11, block4+"\x01"):                     "TLV is cut off",
		raw(0x21, 0x11, block4+"\x01\x00\x03h2"):           "has 2 bytes and says 3",
		raw(0x21, 0x11, block4+"\x03\x00\x03abc"):          "not 4 bytes",
		raw(0x21, 0x11, block4+"\x03\x00\x04abcd"):         "checksum is wrong",
		raw(0x20, 0x00, "\x03\x00\x04abcd"):                "checksum is wrong",
		raw(0x21, 0x11, "")[:14] + "\xff\xff" + block4[:0]: ErrMore.Error(),
	} {
		if h, n, err := Parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) || n != 0 || !reflect.DeepEqual(h, Header{}) {
			t.Errorf("%q: %+v, %d, %v; want %q", in, h, n, err, want)
		}
	}
}

// TestNothingIsKept: a Header is still right when its buffer has become another's.
func TestNothingIsKept(t *testing.T) {
	in := []byte(raw(0x21, 0x11, block4+"\x01\x00\x02h2"))
	h, _, err := Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	clear(in)
	if want := (Header{Version: V2, From: from4, To: to4, TLVs: []TLV{{TypeALPN, []byte("h2")}}}); !reflect.DeepEqual(h, want) {
		t.Errorf("%+v", h)
	}
}

func TestAppend(t *testing.T) {
	zone := netip.MustParseAddrPort("[fe80::1%eth0]:7")
	mapped := netip.MustParseAddrPort("[::ffff:198.51.100.7]:5000")
	for _, tt := range []struct {
		h    Header
		want string
	}{
		{Header{}, ""},
		{Header{From: from4, To: to4}, ""},
		{Header{Version: V1, From: from4, To: to4}, "PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n"},
		{Header{Version: V1, From: mapped, To: to4}, "PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n"},
		{Header{Version: V1, From: from6, To: to6}, "PROXY TCP6 2001:db8::7 2001:db8::1 65535 1\r\n"},
		{Header{Version: V1, From: zone, To: to6}, "PROXY TCP6 fe80::1 2001:db8::1 7 1\r\n"},
		{Header{Version: V1, From: from4, To: to6}, "PROXY TCP6 ::ffff:198.51.100.7 2001:db8::1 5000 1\r\n"},
		{Header{Version: V1, From: from4}, "PROXY UNKNOWN\r\n"},
		{Header{Version: V1, Local: true, From: from4, To: to4}, "PROXY UNKNOWN\r\n"},
		{Header{Version: V2, From: from4, To: to4}, raw(0x21, 0x11, block4)},
		{Header{Version: V2, From: mapped, To: to4}, raw(0x21, 0x11, block4)},
		{Header{Version: V2, From: from4}, raw(0x20, 0, "")},
		{Header{Version: V2, From: from6, To: from4}, raw(0x21, 0x21, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"+
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x07"+"\xff\xff\x13\x88")},
		{Header{Version: V2, Local: true, From: from4, To: to4}, raw(0x20, 0, "")},
		{Header{Version: V2, From: from4, To: to4, TLVs: []TLV{{TypeALPN, []byte("h2")}}}, raw(0x21, 0x11, block4+"\x01\x00\x02h2")},
	} {
		if got := string(Append([]byte("before"), tt.h)); got != "before"+tt.want {
			t.Errorf("%+v: %q, want %q", tt.h, got, tt.want)
		}
	}
}

// TestChecksum: one that is written is right, and one wrong bit is noticed, unless it makes
// of the checksum something else: the family says where it stands, the type that it is one.
func TestChecksum(t *testing.T) {
	b := Append(nil, Header{Version: V2, From: from6, To: to6, TLVs: []TLV{{TypeAuthority, []byte("a.example")}, {Type: TypeCRC32C}, {Type: 0xe0, Value: []byte("more")}}})
	h, n, err := Parse(b)
	if err != nil || n != len(b) || len(h.TLVs) != 3 || len(h.TLVs[1].Value) != 4 {
		t.Fatalf("%+v, %d of %d, %v", h, n, len(b), err)
	}
	for bit := range 8 * len(b) {
		c := bytes.Clone(b)
		c[bit/8] ^= 1 << (bit % 8)
		if bit/8 == len(signature2)+1 || bit/8 == bytes.Index(b, []byte("a.example"))+len("a.example") {
			continue
		}
		if h, n, err := Parse(c); err == nil && n > 0 {
			t.Errorf("bit %d: %+v", bit, h)
		}
	}
}

// TestTooMuch: what does not fit is left out, and the header is still one.
func TestTooMuch(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 40_000)
	b := Append(nil, Header{Version: V2, From: from4, To: to4, TLVs: []TLV{{0xe0, big}, {0xe1, big}, {0xe2, []byte("small")}}})
	h, n, err := Parse(b)
	if err != nil || n != len(b) || len(h.TLVs) != 2 || h.TLVs[1].Type != 0xe2 {
		t.Errorf("%d TLVs, %d of %d bytes, %v", len(h.TLVs), n, len(b), err)
	}
	room := MaxHeader - len(Append(nil, Header{Version: V2, From: from4, To: to4})) - headTLV
	if b := Append(nil, Header{Version: V2, From: from4, To: to4, TLVs: []TLV{{0xe0, bytes.Repeat([]byte("x"), room)}}}); len(b) != MaxHeader {
		t.Errorf("%d bytes, want %d", len(b), MaxHeader)
	} else if _, n, err := Parse(b); n != MaxHeader || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\nGET /", longest, "PROXY UNKNOWN\r\n", "GET / HTTP/1.1\r\n", "\x16\x03\x01",
		raw(0x21, 0x11, block4) + "GET /", raw(0x20, 0, ""), raw(0x21, 0, "whatever"), raw(0x21, 0x31, strings.Repeat("a", 216)),
		raw(0x21, 0x11, block4+"\x03\x00\x04abcd"), raw(0x20, 0x11, block4+"\x01\x00\x02h2"),
		string(Append(nil, Header{Version: V2, From: from6, To: to6, TLVs: []TLV{{TypeALPN, []byte("h2")}, {Type: TypeCRC32C}}})),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, n, err := Parse(in)
		switch {
		case n < 0 || n > len(in) || n > MaxHeader:
			t.Fatalf("%d of %d bytes", n, len(in))
		case err != nil && (n != 0 || !reflect.DeepEqual(h, Header{})):
			t.Fatalf("%+v, %d beside the error %v", h, n, err)
		case errors.Is(err, ErrMore) && Missing(in) < 1:
			t.Fatal("more is wanted, and nothing is missing")
		case err != nil:
			return
		case h.Version == None && n > 0, h.Version != None && n == 0:
			t.Fatalf("%+v has %d bytes", h, n)
		}
		prefixes(t, in[:n])
		if alone, m, err := Parse(in[:n]); n > 0 && (err != nil || m != n || !reflect.DeepEqual(alone, h)) {
			t.Fatalf("alone %+v, %d, %v; before %+v, %d", alone, m, err, h, n)
		}
		h.Local = h.Version != None && !h.From.IsValid() // that is how it is written
		again := Append(nil, h)
		if back, m, err := Parse(again); h.Version != None && (err != nil || m != len(again) || !reflect.DeepEqual(back, h)) {
			t.Fatalf("%+v was written as %q and read as %+v, %d, %v", h, again, back, m, err)
		}
	})
}
