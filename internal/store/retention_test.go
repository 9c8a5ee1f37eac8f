package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestRepresentation(t *testing.T) {
	for name, want := range map[string]string{
		"seg-12.m4s":                      "seg-#.m4s 12",
		"v/1/chunk-stream0-00003.m4s":     "v/1/chunk-stream0-#.m4s 3",
		"a.b/seg12x.TS":                   "a.b/seg#x.TS 12",
		"7.ts":                            "#.ts 7",
		"stream0.00001.ts":                "stream0.#.ts 1",
		"t-1234567890123456.m4s":          "t-#.m4s 1234567890123456",
		"seg-12.m4s.3":                    "seg-#.m4s.# 12",
		"seg-12.part3.m4s":                "seg-#.part#.m4s 12",
		"seg12_Part_3.mp4":                "seg#_Part_#.mp4 12",
		"filePart271.1.mp4":               "filePart#.#.mp4 271",
		"part-12.3.m4s":                   "part-#.#.m4s 12",
		"part-12.m4s":                     "part-#.m4s 12",
		"part1_seg12.ts":                  "part1_seg#.ts 12",
		"init-1.mp4":                      "",
		"v1/Init.m4s":                     "",
		"seg.m4s":                         "",
		"1/seg.m4s":                       "",
		"live1.mpd":                       "",
		"live1.m3u8":                      "",
		"key1.key":                        "",
		"x.3":                             "",
		"seg-1.m4s.2000":                  "",
		"t-99999999999999999999.m4s":      "",
		"seg-12.m4s/3":                    "",
		"":                                "",
		".":                               "",
		"init.m4s.3":                      "",
		"a/seg-1.m4s.20261122":            "",
		"audio.mp4":                       "",
		"chunk-stream1-initialized-4.m4s": "",
	} {
		got := ""
		if r, n, ok := Representation(name); ok {
			got = fmt.Sprintf("%s %d", strings.ReplaceAll(r, digits, "#"), n)
		}
		if got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
}

// TestKeep: the four rules of acceptance line 49.
func TestKeep(t *testing.T) {
	for _, c := range []struct {
		segments, shift int
		memory          bool
		want            int
	}{
		{segments: 5, shift: 0, want: 0},
		{segments: 5, shift: 9, want: 9},
		{segments: 9, shift: 5, want: 9},
		{segments: -5, shift: 9, want: 5},
		{segments: -5, shift: 0, want: 5},
		{segments: 0, shift: 9, want: 0},
		{segments: 5, shift: 0, memory: true, want: 5},
		{segments: 5, shift: 9, memory: true, want: 5},
		{segments: 9, shift: 5, memory: true, want: 5},
		{segments: -9, shift: 0, memory: true, want: 9},
		{segments: 0, shift: 0, memory: true, want: 1},
	} {
		r := newRetention(Retention{Segments: c.segments, TimeShift: c.shift}, c.memory)
		if got := r.keep("."); got != c.want {
			t.Errorf("%+v: %d are kept", c, got)
		}
		r = newRetention(Retention{Segments: c.segments}, c.memory)
		r.manifest("live/live.mpd", c.shift)
		if got := r.keep("live/v/1"); got != c.want {
			t.Errorf("%+v, by a manifest: %d are kept", c, got)
		}
	}
}

// TestShift: the manifests of a directory hold in it and below, the longest one, until they go; those nearer go before.
func TestShift(t *testing.T) {
	r := newRetention(Retention{Segments: 1}, false)
	shift := func(dir string, want int) {
		t.Helper()
		if got := r.shift(dir); got != want {
			t.Errorf("%s: %d, not %d", dir, got, want)
		}
	}
	r.manifest("root.mpd", 3)
	r.manifest("a/v.m3u8", 5)
	r.manifest("a/w.m3u8", 7)
	shift(".", 3)
	shift("b/c", 3)
	shift("a/b", 7)
	r.manifest("a/w.m3u8", 2)
	shift("a", 5)
	r.forget("a/v.m3u8")
	r.manifest("a/w.m3u8", 0)
	shift("a", 3)
	for n := range 2 * maxManifests {
		r.manifest(fmt.Sprintf("%d.mpd", n), 1)
	}
	if r.count != maxManifests || len(r.shifts["."]) != maxManifests {
		t.Errorf("%d manifests are remembered, %d are counted", len(r.shifts["."]), r.count)
	}
	r.manifest("new/v.m3u8", 9)
	shift("new", 9)
	for n := range maxManifests - 1 {
		r.manifest(fmt.Sprintf("again/%d.mpd", n), 1)
	}
	shift("new", 9)
	r.manifest("new/w.m3u8", 4) // makes room, as the one that came longest ago
	shift("new", 4)
}

// TestExpire: what is too old, in the order of coming; nothing beyond the first that is in use.
func TestExpire(t *testing.T) {
	r := newRetention(Retention{Segments: -2}, false)
	used := map[string]bool{}
	add := func(name string) []string {
		r.add(name)
		representation, _, _ := Representation(name)
		return r.expire(representation, func(n string) bool { return used[n] })
	}
	for _, step := range []struct{ name, use, gone string }{
		{name: "s5.ts"},
		{name: "s6.ts"},
		{name: "s1.ts", gone: "s5.ts"},
		{name: "s6.ts"},
		{name: "s2.ts", use: "s1.ts"},
		{name: "s3.ts"},
		{name: "s4.ts", use: "s6.ts", gone: "s1.ts"},
		{name: "s7.ts", use: "-", gone: "s6.ts s2.ts s3.ts"},
		{name: "other1.ts"},
		{name: "init.mp4"},
	} {
		if step.use != "" {
			used = map[string]bool{step.use: true}
		}
		if got := strings.Join(add(step.name), " "); got != step.gone {
			t.Errorf("%s: %q are gone, not %q", step.name, got, step.gone)
		}
	}
	r.forget("s4.ts")
	r.forget("s4.ts")
	r.forget("never.ts")
	if got := add("s8.ts"); len(got) != 0 {
		t.Errorf("%q are gone, but one was removed before", got)
	}
}

// TestBounded: what is remembered does not grow with what comes.
func TestBounded(t *testing.T) {
	r := newRetention(Retention{Segments: -2}, false)
	for range 1000 {
		r.add("s1.ts")
		r.add("s2.ts")
	}
	for _, s := range r.series {
		if len(s.queue) > 20 {
			t.Errorf("%d arrivals of 2 segments", len(s.queue))
		}
	}
	for n := range 2 * maxSeries {
		r.add(fmt.Sprintf("dir%d/s1.ts", n))
	}
	if len(r.series) > maxSeries {
		t.Errorf("%d representations", len(r.series))
	}
	types := newTypes()
	for n := range 5 * maxTypes {
		types.set(fmt.Sprint(n), "tag", "type")
	}
	if len(types.new)+len(types.old) > 2*maxTypes+1 {
		t.Errorf("%d types", len(types.new)+len(types.old))
	}
	if last := fmt.Sprint(5*maxTypes - 1); types.of(last, "tag") != "type" || types.of(last, "another") != "" {
		t.Error("a type is not that of its object")
	}
}

func TestTimeShiftOf(t *testing.T) {
	const set = `<Period><AdaptationSet>%s</AdaptationSet></Period>`
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"a.mpd", `<MPD timeShiftBufferDepth="PT10S">` + fmt.Sprintf(set, `<SegmentTemplate timescale="90000" duration="180000"/>`) + `</MPD>`, 6},
		{"a.MPD", `<MPD timeShiftBufferDepth="PT9S">` + fmt.Sprintf(set, `<SegmentTemplate duration="2"/>`) + `</MPD>`, 6},
		{"a.mpd", `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" timeShiftBufferDepth="PT1M"><Period><AdaptationSet>
			<SegmentTemplate timescale="1000"><SegmentTimeline><S t="0" d="2000" r="3"/><S d="4000"/></SegmentTimeline></SegmentTemplate>
			<Representation/></AdaptationSet><AdaptationSet><Representation><SegmentTemplate timescale="1" duration="3"/></Representation></AdaptationSet></Period></MPD>`, 16},
		{"a.mpd", `<MPD timeShiftBufferDepth="PT10S"><Period><AdaptationSet><SegmentTemplate timescale="10"/>
			<Representation><SegmentTemplate duration="50"/></Representation></AdaptationSet></Period></MPD>`, 3},
		{"a.mpd", `<MPD>` + fmt.Sprintf(set, `<SegmentTemplate duration="2"/>`) + `</MPD>`, 0},
		{"a.mpd", `<MPD timeShiftBufferDepth="PT10S"/>`, 0},
		{"a.mpd", `<MPD timeShiftBufferDepth="PT10S">` + fmt.Sprintf(set, `<SegmentTemplate duration="-2"/>`) + `</MPD>`, 0},
		{"a.mpd", `<MPD timeShiftBufferDepth="P9999D">` + fmt.Sprintf(set, `<SegmentTemplate timescale="1000000000" duration="1"/>`) + `</MPD>`, 0},
		{"a.mpd", `<MPD timeShiftBufferDepth="P99D">` + fmt.Sprintf(set, `<SegmentTemplate timescale="1000000000" duration="1"/>`) + `</MPD>`, maxShift + 1},
		{"a.mpd", `not xml`, 0},
		{"a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n#EXTINF:2,\n2.ts\n", 3},
		{"a.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n", 0},
		{"a.m3u8", "", 0},
	} {
		if got := timeShift(c.name, []byte(c.text)); got != c.want {
			t.Errorf("%s: %d, not %d: %s", c.name, got, c.want, c.text)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT10S": 10 * time.Second, "PT1H2M3.5S": time.Hour + 2*time.Minute + 3500*time.Millisecond, "P1DT1S": 24*time.Hour + time.Second,
		"PT0S": 0, "P": 0, "": 0, "10": 0, "-PT1S": 0, "P1Y": 0, "PT1.S": time.Second, "P99999999999999999999D": 0,
	} {
		if got := xsDuration(text); got != want {
			t.Errorf("%q is %v, not %v", text, got, want)
		}
	}
}

// TestStamps: no two are the same, whatever the clock does.
func TestStamps(t *testing.T) {
	var s stamps
	now := time.Unix(1000, 0)
	var all []int64
	for _, at := range []time.Time{now, now, now.Add(-time.Hour), now.Add(time.Second), now} {
		all = append(all, s.next(at).UnixNano())
	}
	if want := []int64{1e12, 1e12 + 1, 1e12 + 2, 1001e9, 1001e9 + 1}; !slices.Equal(all, want) {
		t.Errorf("%v", all)
	}
}

// FuzzNames: what passes as a name stays in the store, and belongs to one representation at most.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"a/b.ts", "../a", "a//b", "/", ".", ".a", "a\x00b", `a\..\b`, "seg-12.m4s.3", "%2e%2e/a", "a/\xff", strings.Repeat("a/", 600)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if representation, number, ok := Representation(name); ok && (number < 0 || !strings.Contains(representation, digits)) {
			t.Errorf("%q: %q, %d", name, representation, number)
		}
		if checkWrite(name) != nil {
			return
		}
		for element := range strings.SplitSeq(name, "/") {
			if element == "" || element[0] == '.' || len(element) > maxElement || strings.ContainsAny(element, "\\\x00") {
				t.Errorf("%q passes", name)
			}
		}
		if len(name) > maxName || !utf8.ValidString(name) || checkRead(name) != nil {
			t.Errorf("%q passes", name)
		}
	})
}

// FuzzTimeShift: no manifest does harm.
func FuzzTimeShift(f *testing.F) {
	f.Add("a.mpd", []byte(`<MPD timeShiftBufferDepth="PT10S"><Period><AdaptationSet><SegmentTemplate timescale="10" duration="20"/></AdaptationSet></Period></MPD>`))
	f.Add("a.m3u8", []byte("#EXTM3U\n#EXTINF:2,\n1.ts\n"))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		if n := timeShift(name, text); n < 0 || n > max(maxShift, len(text))+1 {
			t.Errorf("%d segments", n)
		}
	})
}
