package handoff

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/report"
	"sluice/internal/uri"
)

var when = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

// messages is one of every type with every field set, and one with none.
func messages() []Message {
	return []Message{
		Hello{Version: Version, Engine: "1", PID: 4711, Build: "1.2.3", Started: when},
		Hello{},
		Welcome{Version: math.MaxUint64, PID: math.MaxInt32},
		Welcome{},
		Bye{Reason: "version 2, want 1"},
		Bye{},
		Attach{ID: 1<<63 | 5, Channel: fullChannel(), Start: lineup.Start{Back: 7 * time.Second}, Slow: lineup.Disconnect, Peer: "192.0.2.7:50905", Head: []byte("HTTP/1.1 200 OK\r\n\r\n")},
		Attach{Channel: bareChannel()},
		Attach{ID: 2, Channel: webChannel(), Peer: "192.0.2.7:50905", Target: &endpoint.Target{
			End: end("https://me:secret@tv.example:8443/in?k=v"), Write: endpoint.WriteTruncate, Method: "POST", Bitrate: 1 << 40, Trusted: true,
		}},
		Attach{Channel: bareChannel(), Target: &endpoint.Target{End: end("file:///srv/a%20b.ts"), Write: endpoint.WriteAppend, Method: "PUT"}},
		Started{ID: 300},
		Started{},
		Refused{ID: 1, Code: 503, Reason: "no route"},
		Refused{},
		ClientEnd{ID: 1, Bytes: 1 << 40, Reason: "closed by the client"},
		ClientEnd{},
		ChannelOpen{Tag: "UDP://239.1.1.1:5000"},
		ChannelOpen{},
		ChannelEnd{Tag: "UDP://239.1.1.1:5000", Reason: "idle", Failed: true, Bytes: 1 << 40},
		ChannelEnd{},
		Query{ID: 7},
		Query{},
		Report{Query: 7, Last: true, Engine: fullEngine(2, 3)},
		Report{},
		Pin{Channel: fullChannel()},
		Pin{Channel: bareChannel()},
		Unpin{Tag: "UDP://239.1.1.1:5000"},
		Rates{Channels: []Rate{{"UDP://239.1.1.1:5000", 8_000_000}, {"UDP://239.1.1.2:5000", math.MaxUint64}}, More: true},
		Rates{},
		Drop{Channel: "UDP://239.1.1.1:5000", Client: "TCP://192.0.2.7:50905"},
		Drop{},
		Reset{},
	}
}

// fullChannel has every field set, the numbers to different values.
func fullChannel() lineup.Channel {
	return lineup.Channel{
		Name:    "news",
		Sources: []uri.Source{source("udp://239.1.1.1:5000|rtp://[fd00::7]@[ff35::1]:5000"), source("udp://10.0.0.7@239.3.1.1:5000")},
		Settings: lineup.Settings{
			NoData: 5 * time.Second, Linger: 6 * time.Microsecond, Pinned: true,
			History: lineup.History{Depth: 10 * time.Second, Bytes: math.MaxInt64},
			Start:   lineup.Start{Live: true, Back: 3 * time.Second}, Slow: lineup.Disconnect, Health: true,
			Growth: 9 * time.Second, Pace: lineup.Pace{Clock: lineup.NoClock, Bitrate: 1 << 30}, Repeat: true, MaxClients: math.MaxInt32, MaxEgress: 1 << 40,
		},
		Copy: math.MaxUint32, Trusted: true, NotLocal: true,
	}
}

// webChannel has a source of every scheme that is not UDP.
func webChannel() lineup.Channel {
	return lineup.Channel{Sources: []uri.Source{
		source("http://me:secret@tv.example:8080/udp/224.0.2.26:4033?kk=yy|zz"), source("https://tv.example:443/"),
		source("tcp://[fd00::7]:7000"), source("file:///srv/a%20b.ts"), source("upload:///live/a%20b.ts"),
	}}
}

// bareChannel has nothing but its source.
func bareChannel() lineup.Channel {
	return lineup.Channel{Sources: []uri.Source{source("udp://1.2.3.4:5")}}
}

func end(s string) uri.End {
	e, err := uri.Parse(s)
	if err != nil {
		panic(err)
	}
	return e
}

func source(s string) uri.Source {
	src, err := uri.ParseSource(s)
	if err != nil {
		panic(err)
	}
	return src
}

// fullEngine is an engine of that many channels with that many clients each, in which
// no field is zero and no two numbers of one thing are the same.
func fullEngine(channels, clients int) report.Engine {
	e := report.Engine{ID: "1", PID: 4711, Version: "1.2.3", Started: when, Error: "late"}
	for i := range channels {
		ch := report.Channel{}
		fill(reflect.ValueOf(&ch).Elem(), uint64(1000*i))
		ch.Clients = nil
		ch.Tag = "UDP://239.1.1.1:" + strings.Repeat("5", i+1)
		for j := range clients {
			var cl report.Client
			fill(reflect.ValueOf(&cl).Elem(), uint64(1000*j))
			ch.Clients = append(ch.Clients, cl)
		}
		e.Channels = append(e.Channels, ch)
	}
	return e
}

// fill gives every field of a struct another value, from base on, and every list two
// items: a field that the coder forgets or swaps is seen.
func fill(v reflect.Value, base uint64) {
	for i := range v.NumField() {
		n := base + uint64(i) + 1
		switch f := v.Field(i); f.Kind() {
		case reflect.Uint64, reflect.Uint16:
			f.SetUint(n)
		case reflect.String:
			f.SetString("text " + strings.Repeat("x", i))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Struct:
			if f.Type() == reflect.TypeFor[time.Time]() {
				f.Set(reflect.ValueOf(when.Add(time.Duration(n) * time.Second)))
				continue
			}
			fill(f, n*10)
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
			fill(f.Elem(), n*10)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 2, 2))
			for j := range f.Len() {
				fill(f.Index(j), n*100+uint64(j)*10)
			}
		default:
			panic("a field of kind " + f.Kind().String() + " is not filled")
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, want := range messages() {
		b, err := Encode([]byte("before"), want)
		if err != nil {
			t.Fatalf("encode %#v: %v", want, err)
		}
		got, err := Decode(b[len("before"):])
		if err != nil {
			t.Fatalf("decode %#v: %v", want, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %#v\nwant %#v", got, want)
		}
	}
}

// The bytes are a format: these are the examples of docs/handoff.md, in their order.
func TestBytes(t *testing.T) {
	var all []byte
	pinned := bareChannel()
	pinned.Name, pinned.NoData, pinned.Pinned, pinned.Trusted = "n", 5*time.Second, true, true
	order := Attach{
		ID: 10, Channel: lineup.Channel{Sources: []uri.Source{source("file:///a.ts")}, Copy: 3},
		Target: &endpoint.Target{End: end("tcp://h.l:70")},
	}
	for _, c := range []struct {
		m    Message
		want string
	}{
		{Hello{Version: 4, Engine: "2", PID: 300, Build: "v1"}, "\x01\x04\x012\xac\x02\x02v1\x00"},
		{Attach{ID: 9, Channel: bareChannel(), Peer: "b:1", Head: []byte("H")}, "\x04\x09\x00\x01\x0fudp://1.2.3.4:5" + strings.Repeat("\x00", 21) + "\x03b:1\x01H\x00"},
		{order, "\x04\x0a\x00\x01\x0cfile:///a.ts\x03" + strings.Repeat("\x00", 20) + "\x00\x00\x01\x0ctcp://h.l:70\x00\x00\x00\x00"},
		{Started{ID: 128}, "\x05\x80\x01"},
		{Refused{ID: 9, Code: 504, Reason: "no data"}, "\x06\x09\xf8\x03\x07no data"},
		{ChannelEnd{Tag: "a", Reason: "no data", Failed: true, Bytes: 128}, "\x09\x01a\x07no data\x01\x80\x01"},
		{Report{Last: true}, "\x0b\x00\x01\x00\x00\x00\x00\x00\x00"},
		{Pin{Channel: pinned}, "\x0c\x01n\x01\x0fudp://1.2.3.4:5\x00\x01\x00\xc0\x96\xb1\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		{Rates{Channels: []Rate{{"a", 300}}}, "\x0d\x01\x01a\xac\x02\x00"},
		{Unpin{Tag: "a"}, "\x0e\x01a"},
		{Drop{Channel: "a", Client: "b"}, "\x0f\x01a\x01b"},
		{Reset{}, "\x10"},
	} {
		b, err := Encode(nil, c.m)
		if err != nil || string(b) != c.want {
			t.Errorf("%#v: %q, %v; want %q", c.m, b, err, c.want)
		}
		all = append(all, b...)
	}
	if page := examples(t); !bytes.Equal(page, all) {
		t.Errorf("the examples of docs/handoff.md are\n%x, want\n%x", page, all)
	}
}

// examples are the bytes that docs/handoff.md shows, one example after the other.
func examples(t *testing.T) (all []byte) {
	page, err := os.ReadFile("../../docs/handoff.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\nExamples:\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, strings.Repeat(" ", 16)) {
			continue
		}
		if b, err := hex.DecodeString(strings.Join(strings.Fields(line), "")); err == nil {
			all = append(all, b...)
		}
	}
	return all
}

func TestDecodeRefuses(t *testing.T) {
	settings := strings.Repeat("\x00", 14)                                               // of a channel behind its sources, all zero
	attach := "\x04\x01\x00\x01\x0fudp://1.2.3.4:5" + settings + "\x00\x00\x00" + "\x00" // start, slow, no peer
	for name, in := range map[string]string{
		"nothing":                  "",
		"type 0":                   "\x00",
		"unknown type":             "\x11",
		"no fields":                "\x05",
		"left over":                "\x05\x01\x00",
		"number cut":               "\x05\x80",
		"number too long":          "\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"number above 64 bits":     "\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"number not shortest":      "\x05\x81\x00",
		"text that lies":           "\x03\x05abcd",
		"text of 2^64-1":           "\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"code above 31 bits":       "\x06\x01\x80\x80\x80\x80\x08\x00",
		"bool of 2":                "\x0b\x00\x02\x00\x00\x00\x00\x00\x00",
		"year 10000":               "\x01\x01\x00\x00\x00\x80\xb8\xff\x90\xfd\xce\x39",
		"channels that are not":    "\x0b\x00\x01\x00\x00\x00\x00\x00\x01",
		"channel without a source": "\x0c\x00\x00" + settings,
		"source that is none":      "\x0c\x00\x01\x03abc" + settings,
		"source spelled otherwise": "\x0c\x00\x01\x10udp://1.2.3.4:05" + settings,
		"nine sources":             "\x0c\x00\x09" + strings.Repeat("\x0fudp://1.2.3.4:5", 9) + settings,
		"unknown policy":           "\x0c\x00\x01\x0fudp://1.2.3.4:5" + settings[:9] + "\x02" + settings[10:],
		"copy above 32 bits":       "\x0c\x00\x01\x0fudp://1.2.3.4:5\x80\x80\x80\x80\x10" + settings[1:],
		"time of two years":        "\x0c\x00\x01\x0fudp://1.2.3.4:5\x00\x00\x80\x80\xed\xb4\x8e\xcb\x0e" + settings[3:],
		"head for a target":        attach + "\x01H\x01\x0ctcp://h.l:70\x00\x00\x00\x00",
		"target that is none":      attach + "\x00\x01\x03abc\x00\x00\x00\x00",
		"target spelled otherwise": attach + "\x00\x01\x0cTCP://h.l:70\x00\x00\x00\x00",
		"target written how":       attach + "\x00\x01\x0ctcp://h.l:70\x03\x00\x00\x00",
		"target by GET":            attach + "\x00\x01\x0ctcp://h.l:70\x00\x03GET\x00\x00",
		"tag too long":             "\x0c\x00\x01\x88\x20file:///" + strings.Repeat("~", 4096) + settings,
		"rates that are not":       "\x0d\x02\x01a\x01\x00",
		"health of 2":              "\x0b\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00",
		"channels of 2^63":         "\x0b\x00\x01\x00\x00\x00\x00\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
		"longer than the longest":  "\x03\xfd\xff\x03" + strings.Repeat("x", MaxMessage-3),
	} {
		m, err := Decode([]byte(in))
		if !errors.Is(err, ErrMalformed) || m != nil {
			t.Errorf("%s: %#v, %v; want ErrMalformed", name, m, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	fits := Bye{Reason: strings.Repeat("x", MaxMessage-4)}
	if b, err := Encode(nil, fits); err != nil || len(b) != MaxMessage {
		t.Errorf("the longest message: %d bytes, %v", len(b), err)
	}
	for name, m := range map[string]Message{
		"nil":          nil,
		"pointer":      &Bye{},
		"too long":     Bye{Reason: fits.Reason + "x"},
		"negative PID": Hello{PID: -1},
		"no source":    Pin{},
		"nine sources": Pin{Channel: lineup.Channel{Sources: make([]uri.Source, 9)}},
		"no-data < 0":  Attach{Channel: lineup.Channel{Sources: bareChannel().Sources, Settings: lineup.Settings{NoData: -time.Second}}},
		"slow of 9":    Attach{Channel: bareChannel(), Slow: 9},
		"year 10000":   Hello{Started: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"a head":       Attach{Channel: bareChannel(), Head: []byte("H"), Target: &endpoint.Target{End: end("tcp://a:1")}},
		"GET":          Attach{Channel: bareChannel(), Target: &endpoint.Target{End: end("tcp://a:1"), Method: "GET"}},
		"no target":    Attach{Channel: bareChannel(), Target: &endpoint.Target{}},
		"bitrate < 0":  Attach{Channel: bareChannel(), Target: &endpoint.Target{End: end("udp://1.2.3.4:5"), Bitrate: -1}},
		"long source":  Pin{Channel: lineup.Channel{Sources: []uri.Source{{{Scheme: uri.File, Path: "/" + strings.Repeat("é", 1000)}}}}},
		"long target":  Attach{Channel: bareChannel(), Target: &endpoint.Target{End: end("file:///" + strings.Repeat("~", 4000))}},
	} {
		b, err := Encode([]byte("kept"), m)
		if err == nil || string(b) != "kept" {
			t.Errorf("%s: %q, %v; want an error and nothing added", name, b, err)
		}
	}
}

// The longest channel there is fits, with a target as long: no request is too long for a
// message.
func TestLongestURLsFit(t *testing.T) {
	long := func(s string) string { return s + strings.Repeat("x", uri.MaxLength-len(s)) }
	m := Attach{ID: math.MaxUint64, Peer: "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535", Channel: fullChannel(), Target: &endpoint.Target{End: end(long("http://a.b:80/?"))}}
	m.Channel.Sources = nil
	for i := range lineup.MaxSources {
		m.Channel.Sources = append(m.Channel.Sources, source(long(fmt.Sprintf("https://user:password@%d.tv:443/", i))))
	}
	b, err := Encode(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Decode(b); err != nil || !reflect.DeepEqual(got, Message(m)) {
		t.Errorf("%v, %d bytes", err, len(b))
	}
}

// What cannot be sent is not shown: a source may have credentials.
func TestRefusalsKeepSecrets(t *testing.T) {
	secret := source("http://me:secret@tv.example:80/?token=secret")
	secret[0].Host = "TV.example:80"
	_, err := Encode(nil, Pin{Channel: lineup.Channel{Sources: []uri.Source{secret}}})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// What bounds a list before its items are there must not refuse a real one.
func TestLeast(t *testing.T) {
	for name, c := range map[string]struct{ is, least int }{
		"channel": {size((*coder).channel, report.Channel{}), leastChannel},
		"source":  {size((*coder).source, report.Source{}), leastSource},
		"leg":     {size((*coder).leg, report.Leg{}), leastLeg},
		"stream":  {size((*coder).stream, report.Stream{}), leastStream},
		"client":  {size((*coder).client, report.Client{}), leastClient},
		"rate":    {size((*coder).rate, Rate{}), leastRate},
		"text":    {size((*coder).string, ""), leastText},
	} {
		if c.is != c.least {
			t.Errorf("an empty %s takes %d bytes, the least is taken to be %d", name, c.is, c.least)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range messages() {
		b, err := Encode(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{"\x0c\x00\x01\x10udp://1.2.3.4:05", "\x0d\x02\x01a\x01\x00", "\x0c\x00\x01\x1eudp://1.2.3.4:5|udp://1.2.3.4:5"} {
		f.Add([]byte(s + strings.Repeat("\x00", 14)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Decode(in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		out, err := Encode(nil, m)
		if err != nil {
			t.Fatalf("decoded, but not to be encoded: %#v: %v", m, err)
		}
		if !bytes.Equal(in, out) {
			t.Fatalf("two spellings of %#v: %q and %q", m, in, out)
		}
	})
}
