package alias

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sluice/internal/lineup"
)

const somePlaylist = "\ufeff#EXTM3U url-tvg=\"http://guide.example/\"\r\n" + `
#EXTINF:-1 tvg-id="n.1" tvg-name="ignored" tvg-logo="http://l.example/новости.png" group-title="News, all" tvg-shift=3,News, in HD
#EXTVLCOPT:http-user-agent=VLC
udp://@239.1.1.1:5000
#EXTINF:0,  Первый   канал (HD)
#EXTGRP:Общие
rtp://@239.1.1.2:5000
#EXTGRP: Films 
#EXTINF:-1 group-title="",24/7
http://udpxy.example:4022/udp/239.1.1.3:5000
#EXTINF:-1 tvg-name="By its name"
udp://@10.0.0.7@232.1.1.1:5000?pkt_size=1316

#EXTINF:-1 tvg-id=n5 tvg-logo=x.png,News, in HD
http://tv.example/a b.ts?c=d|User-Agent=x#frag
#EXTINF:-1,News in HD-2
tcp://encoder.example:7000
#EXTINF:-1,News, in HD
udp://239.1.1.6:5000|udp://239.2.1.6:5000
#EXTINF:-1 group-title="Un"matched",quotes" and a comma, Title
film.ts
/srv/other.ts
`

func TestParsePlaylist(t *testing.T) {
	got, err := ParsePlaylist("/srv/lists/list.m3u", []byte(somePlaylist), lineup.Defaults())
	if err != nil || len(got.Warnings) != 0 {
		t.Fatalf("%v, %v", got.Warnings, err)
	}
	type seen struct {
		name, source string
		lineup.Listing
	}
	var all []seen
	for _, ch := range got.Channels {
		if !ch.Trusted || ch.Settings != lineup.Defaults() || len(ch.Sources) != 1 {
			t.Errorf("%+v", ch)
		}
		all = append(all, seen{ch.Name, ch.Sources[0].String(), ch.Listing})
	}
	want := []seen{
		{"News_in_HD", "udp://239.1.1.1:5000", lineup.Listing{
			Group: "News, all", Title: "News, in HD", Guide: "n.1", Logo: "http://l.example/%D0%BD%D0%BE%D0%B2%D0%BE%D1%81%D1%82%D0%B8.png",
		}},
		{"Первый_канал_HD", "rtp://239.1.1.2:5000", lineup.Listing{Title: "Первый   канал (HD)", Group: "Общие"}},
		{"247", "http://udpxy.example:4022/udp/239.1.1.3:5000", lineup.Listing{Title: "24/7", Group: "Films"}},
		{"By_its_name", "udp://10.0.0.7@232.1.1.1:5000", lineup.Listing{Title: "By its name"}},
		{"News_in_HD-2", "http://tv.example:80/a%20b.ts?c=d", lineup.Listing{Title: "News, in HD", Guide: "n5"}},
		{"News_in_HD-2-2", "tcp://encoder.example:7000", lineup.Listing{Title: "News in HD-2"}},
		{"News_in_HD-3", "udp://239.1.1.6:5000|udp://239.2.1.6:5000", lineup.Listing{Title: "News, in HD"}},
		{"Title", "file:///srv/lists/film.ts", lineup.Listing{Title: "Title", Group: "Un"}},
		{"channel", "file:///srv/other.ts", lineup.Listing{}},
	}
	if !reflect.DeepEqual(all, want) {
		for i := range max(len(all), len(want)) {
			if i >= len(all) || i >= len(want) || all[i] != want[i] {
				t.Errorf("%d: got %+v\nwant %+v", i, all[min(i, len(all)-1)], want[min(i, len(want)-1)])
			}
		}
	}
	if _, err := lineup.New(lineup.Defaults(), got.Channels); err != nil {
		t.Error(err)
	}
}

// TestRelative: what is relative is relative to the playlist.
func TestRelative(t *testing.T) {
	const where = "http://u:p@tv.example:8080/lists/all.m3u?token=1"
	for line, want := range map[string]string{
		"a.ts":                    "http://u:p@tv.example:8080/lists/a.ts",
		"../a b.ts?x":             "http://u:p@tv.example:8080/a%20b.ts?x",
		"/a.ts":                   "http://u:p@tv.example:8080/a.ts",
		"//other.example/a.ts":    "http://other.example:80/a.ts",
		"?x=y":                    "http://u:p@tv.example:8080/lists/all.m3u?x=y",
		"https://other.example/a": "https://other.example:443/a",
		"udp://@239.1.1.1:5000":   "udp://239.1.1.1:5000",
	} {
		got, err := ParsePlaylist(where, []byte("#EXTM3U\n"+line), lineup.Defaults())
		if err != nil || len(got.Channels) != 1 || got.Channels[0].Sources[0].String() != want {
			t.Errorf("%s: %+v, %v; want %s", line, got, err, want)
		}
		if got.Name != "http://-@tv.example:8080/lists/all.m3u?-" {
			t.Errorf("name %s", got.Name)
		}
	}
}

// TestLeftOut: an entry that cannot be used costs a warning, and the others stay.
func TestLeftOut(t *testing.T) {
	const remote, local = "http://tv.example/list.m3u", "/srv/list.m3u"
	for _, c := range []struct{ where, line, want string }{
		{local, "rtmp://h/x", "unsupported scheme"},
		{local, "udp://@:5000", "bad address"},
		{local, "udp://239.1.1.1", "bad address"},
		{local, "http://u:SECRET@h:x/", "bad port"},
		{local, "http://h/x.m3u8?token=SECRET", "HLS"},
		{local, "http://h/%zz", "hexadecimal"},
		{local, "rtp://239.9.9.9:9", "the channel of line 2 has the same source"},
		{remote, "file:///etc/passwd", "cannot name files"},
		{remote, "http://127.0.0.1:4047/status", "addresses of this machine"},
		{remote, "http://[::1]:4047/status", "addresses of this machine"},
		{remote, "http://[::ffff:127.0.0.1]:4047/status", "addresses of this machine"},
		{remote, "http://LocalHost:4047/status", "addresses of this machine"},
		{remote, "http://a.localhost/status", "addresses of this machine"},
		{remote, "http://localhost.:4047/status", "addresses of this machine"},
		{remote, "tcp://0.0.0.0:22", "addresses of this machine"},
		{remote, "http://169.254.169.254/latest/meta-data", "addresses of this machine"},
		{remote, "udp://127.0.0.1:5000", "addresses of this machine"},
		{remote, "http://h\\:x/", "bad"},
		{remote, "::", "missing protocol scheme"},
	} {
		text := "#EXTM3U\nudp://239.9.9.9:9\n#EXTINF:-1,Bad one\n" + c.line + "\n#EXTINF:-1,Good\nudp://239.9.9.9:10\n"
		got, err := ParsePlaylist(c.where, []byte(text), lineup.Defaults())
		if err != nil || len(got.Channels) != 2 || len(got.Warnings) != 1 {
			t.Errorf("%s: %+v, %v", c.line, got, err)
			continue
		}
		if w := got.Warnings[0]; !strings.HasPrefix(w, c.where+": line 4: \"Bad one\" left out: ") || !strings.Contains(w, c.want) || strings.Contains(w, "SECRET") {
			t.Errorf("%s: %s; want %s", c.line, w, c.want)
		}
	}
	for _, own := range []string{"http://127.0.0.1:4046/a", "udp://127.0.0.1:5000"} {
		if got, err := ParsePlaylist("http://localhost/list.m3u", []byte(own), lineup.Defaults()); err != nil || len(got.Warnings) != 0 {
			t.Errorf("%s: %+v, %v", own, got, err)
		}
	}
}

// TestNotLocal: what a name stands for shows later, so a channel of a list from the net takes
// with it that it is not to be this machine.
func TestNotLocal(t *testing.T) {
	host := strings.TrimPrefix(provider(t).URL, "http://")
	here, err := LoadPlaylist(t.Context(), "http://"+host+"/below/list", lineup.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]bool{"http://tv.example/list.m3u": true, "http://localhost/list.m3u": false, "/srv/list.m3u": false} {
		got, err := ParsePlaylist(where, []byte("http://name.example/x\n"), lineup.Defaults())
		if err != nil || got.Channels[0].NotLocal != want || !got.Channels[0].Trusted {
			t.Errorf("%s: %+v, %v", where, got, err)
		}
	}
	if here.Channels[0].NotLocal {
		t.Errorf("of this machine's own list: %+v", here)
	}
}

func TestNoPlaylist(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "no channel in it",
		"#EXTM3U\n":             "no channel in it",
		"<html>\n<p>404</p>\n":  "is it M3U at all",
		"#EXTM3U\nrtmp://h/x\n": "/x/y.m3u: line 2: left out: unsupported scheme",
	} {
		for _, where := range []string{"/x/y.m3u", "http://h:1/x/y.m3u"} {
			if got, err := ParsePlaylist(where, []byte(text), lineup.Defaults()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %q: %+v, %v; want %s", where, text, got, err, want)
			}
		}
	}
}

func TestNotUTF8(t *testing.T) {
	got, err := ParsePlaylist("x.m3u", []byte("#EXTINF:-1,\xcf\xe5\xf0v\nudp://239.1.1.1:5\n"), lineup.Defaults())
	if err != nil || len(got.Channels) != 1 || got.Channels[0].Name != "v" || got.Channels[0].Title != "v" || len(got.Warnings) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPlaylistLimits: entries and warnings are bounded.
func TestPlaylistLimits(t *testing.T) {
	got, err := ParsePlaylist("x.m3u", []byte(playlistOf(MaxEntries+200)), lineup.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Channels) != MaxEntries || len(got.Warnings) != maxWarnings+1 {
		t.Fatalf("%d channels, %d warnings", len(got.Channels), len(got.Warnings))
	}
	if last := got.Warnings[maxWarnings]; last != "x.m3u: 101 more warnings" {
		t.Error(last)
	}
}

// TestLongTexts: texts are cut to what a channel may have.
func TestLongTexts(t *testing.T) {
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "#EXTINF:-1 tvg-id=\"%s\" group-title=\"%s\",Same %s\nudp://239.1.1.1:%d\n", long(), long(), strings.Repeat("ж", 300), 5000+i)
	}
	got, err := ParsePlaylist("x.m3u", []byte(b.String()), lineup.Defaults())
	if err != nil || len(got.Channels) != 20 || len(got.Warnings) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, ch := range got.Channels {
		if suffix := fmt.Sprintf("-%d", i+1); i > 0 && !strings.HasSuffix(ch.Name, suffix) || len(ch.Name) < lineup.MaxName-maxNumber {
			t.Errorf("%s, want %s", ch.Name, suffix)
		}
	}
}

func TestNameOf(t *testing.T) {
	for title, want := range map[string]string{
		"News": "News", " News  24 ": "News_24", "Канал №1": "Канал_1", "***": "channel", "": "channel", "a\u00a0b": "a_b", "A & B": "A_B", "電視台": "電視台",
		strings.Repeat("ж", 40): strings.Repeat("ж", 32), "x" + strings.Repeat("ж", 40): "x" + strings.Repeat("ж", 31), "हिन्दी": "हिन्दी", "TV+ (HD)": "TV_HD",
	} {
		if got := nameOf(title); got != want || lineup.CheckName(got) != nil {
			t.Errorf("%q is named %q, want %q", title, got, want)
		}
	}
}

// playlistOf is a playlist of n channels, a tenth of which have the same title.
// TestNamesOnce: however titles are alike, no number is tried twice.
func TestNamesOnce(t *testing.T) {
	n := names{taken: make(map[string]bool), next: make(map[string]int)}
	const titles = 2000
	for i := range titles {
		n.of(fmt.Sprintf("%s%05d", strings.Repeat("a", lineup.MaxName-5), i/2))
	}
	tried := 0
	for _, next := range n.next {
		tried += next
	}
	if len(n.taken) != titles || tried > titles {
		t.Errorf("%d names of %d titles, %d numbers tried", len(n.taken), titles, tried)
	}
}

func playlistOf(n int) string {
	var b strings.Builder
	b.WriteString("#EXTM3U\n")
	for i := range n {
		title := fmt.Sprintf("Channel %d", i)
		if i%10 == 0 {
			title = "Test card"
		}
		fmt.Fprintf(&b, "#EXTINF:-1 tvg-id=\"c%d\" tvg-logo=\"http://l.example/%d.png\" group-title=\"Group %d\",%s\nudp://@239.%d.%d.%d:5000\n",
			i, i, i%50, title, i>>16, i>>8&0xff, i&0xff)
	}
	return b.String()
}

func BenchmarkParsePlaylist(b *testing.B) {
	text := []byte(playlistOf(10_000))
	for b.Loop() {
		list, err := ParsePlaylist("x.m3u", text, lineup.Defaults())
		if err != nil || len(list.Channels) != 10_000 {
			b.Fatal(len(list.Channels), err)
		}
	}
}

func FuzzParsePlaylist(f *testing.F) {
	f.Add("/srv/x.m3u", somePlaylist)
	f.Add("http://h/x", "#EXTINF:-1 a=\"b,c\na/../..//b?c#d|e\n//x\n?y\n:\n")
	f.Fuzz(func(t *testing.T, where, text string) {
		list, err := ParsePlaylist(where, []byte(text), lineup.Defaults())
		if err != nil {
			return
		}
		if _, err := lineup.New(lineup.Defaults(), list.Channels); err != nil {
			t.Fatal(err)
		}
		again, err := ParsePlaylist("x.m3u", []byte(written(t, list.Channels, "http://h", "")), lineup.Defaults())
		if err != nil || len(again.Channels) != len(list.Channels) {
			t.Fatalf("%d channels, read back %d, %v", len(list.Channels), len(again.Channels), err)
		}
	})
}
