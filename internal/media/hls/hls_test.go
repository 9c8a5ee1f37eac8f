package hls

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lowLatency is a playlist as the draft's example (9.6) is built.
const lowLatency = `#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-VERSION:6
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=12.0
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-MAP:URI="init.mp4"
#EXTINF:4.00008,
fileSequence266.mp4
#EXTINF:4.00008,
fileSequence267.mp4
#EXT-X-PART:DURATION=0.33334,URI="filePart268.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.33334,URI="filePart268.1.mp4"
#EXT-X-GAP
#EXTINF:4.00008,
fileSequence268.mp4
#EXT-X-PART:DURATION=0.33334,URI="filePart269.0.mp4"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="a,b=c/filePart269.1.mp4",BYTERANGE-START=0
#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="init2.mp4"
#EXT-X-RENDITION-REPORT:URI="../1M/waitForMSN.php",LAST-MSN=273,LAST-PART=2
`

func TestParse(t *testing.T) {
	low := Playlist{
		Sequence: 266, Segments: 3, Parts: 1, Target: 4 * time.Second, PartTarget: 333340 * time.Microsecond, CanBlock: true,
		Hints: []string{"a,b=c/filePart269.1.mp4", "init2.mp4"}, PartsOf: map[int64]int{268: 2},
	}
	plain := Playlist{Segments: 1, Target: 2 * time.Second}
	for name, test := range map[string]struct {
		text string
		want Playlist
	}{
		"low latency": {lowLatency, low},
		"CRLF":        {strings.ReplaceAll(lowLatency, "\n", "\r\n"), low},
		"the sequence comes late": {
			strings.Replace(lowLatency, "#EXT-X-MEDIA-SEQUENCE:266\n", "", 1) + "#EXT-X-MEDIA-SEQUENCE:266", low,
		},
		"delta update": {
			strings.Replace(lowLatency, "#EXTINF:4.00008,\nfileSequence266.mp4\n#EXTINF:4.00008,\nfileSequence267.mp4\n",
				"#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n", 1), low,
		},
		"plain":          {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n# a comment\n#EXTINF:2,\na.ts\n", plain},
		"unknown tags":   {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-WHATEVER:=,\"\n#FOO\n#EXTINF:2,\na.ts\n", plain},
		"no end of line": {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n\n\n#EXTINF:2,\na.ts", plain},
		"ended":          {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-ENDLIST\n", Playlist{Target: 2 * time.Second, Ended: true}},
		"nothing yet":    {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n", Playlist{Target: 2 * time.Second}},
		"may not block": {
			"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=1.56\n",
			Playlist{Target: 2 * time.Second},
		},
		"a hint without a name": {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PRELOAD-HINT:TYPE=PART\n", Playlist{Target: 2 * time.Second}},
		"a hint without its end": {
			"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a\n", Playlist{Target: 2 * time.Second},
		},
	} {
		got, err := Parse([]byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
	for name, text := range map[string]string{
		"nothing":               "",
		"something else":        "<MPD/>",
		"a mark before it":      "\xef\xbb\xbf" + head,
		"multivariant":          "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n",
		"renditions":            head + "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\"\n",
		"I-frame variants":      head + "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"a\"\n",
		"no target duration":    "#EXTM3U\n#EXTINF:2,\na.ts\n",
		"target of nothing":     "#EXTM3U\n#EXT-X-TARGETDURATION:0\n",
		"target that is none":   "#EXTM3U\n#EXT-X-TARGETDURATION:NaN\n",
		"target without an end": "#EXTM3U\n#EXT-X-TARGETDURATION:Inf\n",
		"target before now":     "#EXTM3U\n#EXT-X-TARGETDURATION:-1e300\n",
		"target of two hours":   "#EXTM3U\n#EXT-X-TARGETDURATION:7200\n",
		"negative sequence":     head + "#EXT-X-MEDIA-SEQUENCE:-1\n",
		"sequence too large":    head + "#EXT-X-MEDIA-SEQUENCE:9223372036854775807\n",
		"no part target":        head + "#EXT-X-PART-INF:FOO=1\n",
		"skips nobody knows":    head + "#EXT-X-SKIP:RECENTLY-REMOVED-DATERANGES=\"\"\n",
		"skips in the middle":   head + "a.ts\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n",
		"too long":              head + strings.Repeat("#\n", MaxText/2),
	} {
		if p, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: taken as %+v", name, p)
		}
	}
}

func TestParseBlock(t *testing.T) {
	for query, want := range map[string]*Block{
		"":                                     nil,
		"a=b&c":                                nil,
		"_HLS_skip=YES":                        nil,
		"x_HLS_msn=1":                          nil,
		"%zz=1":                                nil,
		"_HLS_msn=0":                           {0, -1},
		"_HLS_msn=273&_HLS_part=2":             {273, 2},
		"a=%zz&_HLS_part=0&_HLS_msn=7&_HLS_=1": {7, 0},
		"%5FHLS_msn=5":                         {5, -1},
		"_HLS_msn=4611686018427387903":         {1<<62 - 1, -1},
	} {
		got, err := ParseBlock(query)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", query, err, diff)
		}
	}
	for _, query := range []string{
		"_HLS_part=1", "_HLS_msn", "_HLS_msn=", "_HLS_msn=-1", "_HLS_msn=+1", "_HLS_msn=1.0", "_HLS_msn=0x1", "_HLS_msn=%31", "_HLS_msn=a",
		"_HLS_msn=4611686018427387904", "_HLS_msn=1&_HLS_msn=1", "_HLS_msn=1&_HLS_part=-1", "_HLS_msn=1&_HLS_part=", "_HLS_msn=1&_HLS_part=2147483648",
		"_HLS_msn=1&_HLS_part=1&_HLS_part=1",
	} {
		if got, err := ParseBlock(query); err == nil {
			t.Errorf("%q: taken as %+v", query, *got)
		}
	}
}

// TestBlock holds the rules of 6.2.5.2. The playlist has the segments 10, 11 and 12, the last with four parts, and two
// parts of 13.
func TestBlock(t *testing.T) {
	low := Playlist{Sequence: 10, Segments: 3, Parts: 2, Target: 2 * time.Second, PartTarget: 500 * time.Millisecond, PartsOf: map[int64]int{12: 4}}
	long, plain, ended, fresh := low, low, low, low
	long.PartTarget = time.Second
	plain.PartTarget, plain.Parts, plain.PartsOf = 0, 0, nil
	ended.Ended = true
	fresh.Parts = 0
	for _, test := range []struct {
		name       string
		p          *Playlist
		b          Block
		has, sober bool
	}{
		{"long gone", &low, Block{3, -1}, true, true},
		{"a part of a segment without parts", &low, Block{10, 99}, true, true},
		{"the last segment", &low, Block{12, -1}, true, true},
		{"the last part of a segment", &low, Block{12, 3}, true, true},
		{"beyond it: the first of the next", &low, Block{12, 4}, true, true},
		{"beyond it, and the next has none", &fresh, Block{12, 4}, false, true},
		{"the next segment whole", &low, Block{13, -1}, false, true},
		{"a part that is there", &low, Block{13, 1}, true, true},
		{"the next part", &low, Block{13, 2}, false, true},
		{"six parts on", &low, Block{13, 7}, false, true},
		{"seven parts on", &low, Block{13, 8}, false, false},
		{"three long parts on", &long, Block{13, 4}, false, true},
		{"four long parts on", &long, Block{13, 5}, false, false},
		{"the second segment on", &low, Block{14, -1}, false, true},
		{"its sixth part", &low, Block{14, 5}, false, true},
		{"its seventh part", &low, Block{14, 6}, false, false},
		{"the third segment on", &low, Block{15, -1}, false, false},
		{"its first part", &low, Block{15, 0}, false, false},
		{"far away", &low, Block{1<<62 - 1, 1<<31 - 1}, false, false},
		{"the next of a plain one", &plain, Block{13, -1}, false, true},
		{"a part of a plain one", &plain, Block{13, 2}, false, true},
		{"too many parts of a plain one", &plain, Block{13, 3}, false, false},
		{"of one that has ended", &ended, Block{1 << 61, 7}, true, true},
	} {
		if has := test.p.Has(test.b); has != test.has {
			t.Errorf("%s: has %v", test.name, has)
		}
		if sober := test.p.Reasonable(test.b); sober != test.sober {
			t.Errorf("%s: reasonable %v", test.name, sober)
		}
	}
	if low.Patience() != 6*time.Second {
		t.Errorf("patience %v", low.Patience())
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(lowLatency))
	f.Add([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:1e-9\n#EXT-X-SKIP:SKIPPED-SEGMENTS=1073741823\na\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=\"1\",A=\"\n#EXT-X-PART\nb\n#EXT-X-TARGETDURATION:2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		lines := bytes.Count(text, []byte("\n")) + 1
		if p.Sequence < 0 || p.Segments < 0 || p.Target <= 0 || p.Patience() > 3*time.Hour || p.Parts+len(p.Hints)+len(p.PartsOf) > lines {
			t.Fatalf("%+v of %d lines", p, lines)
		}
		last := p.last()
		if last >= 0 && !p.Has(Block{last, -1}) {
			t.Fatalf("the last segment %d is not there: %+v", last, p)
		}
		if !p.Ended && (p.Has(Block{last + 1, -1}) || !p.Reasonable(Block{last + 2, -1}) || p.Reasonable(Block{last + 3, -1})) {
			t.Fatalf("what comes after %d: %+v", last, p)
		}
	})
}

func FuzzParseBlock(f *testing.F) {
	f.Add("_HLS_msn=1&_HLS_part=2&_HLS_skip=v2")
	f.Add("%5FHLS_part=%zz&=&&_HLS_msn")
	f.Fuzz(func(t *testing.T, query string) {
		b, err := ParseBlock(query)
		if b != nil && (err != nil || b.Sequence < 0 || b.Part < -1) {
			t.Fatalf("%q: %+v, %v", query, *b, err)
		}
	})
}
