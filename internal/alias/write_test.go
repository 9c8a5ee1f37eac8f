package alias

import (
	"errors"
	"strings"
	"testing"

	"sluice/internal/lineup"
	"sluice/internal/uri"
)

func channelOf(t testing.TB, name, source string, l lineup.Listing) lineup.Channel {
	t.Helper()
	s, err := uri.ParseSource(source)
	if err != nil {
		t.Fatal(err)
	}
	return lineup.Channel{Name: name, Sources: []uri.Source{s}, Trusted: true, Settings: lineup.Defaults(), Listing: l}
}

func written(t *testing.T, channels []lineup.Channel, base, query string) string {
	t.Helper()
	var b strings.Builder
	if err := WritePlaylist(&b, channels, base, query); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWritePlaylist(t *testing.T) {
	channels := []lineup.Channel{
		channelOf(t, "news", "udp://239.1.1.1:5000", lineup.Listing{}),
		channelOf(t, "Первый", "udp://239.1.1.2:5000", lineup.Listing{
			Group: "Кино, сериалы", Title: `Первый, "HD"`, Logo: "http://tv.example/a,b.png", Guide: "first.tv",
		}),
	}
	const want = `#EXTM3U
#EXTINF:-1 tvg-name="news",news
http://tv.example:4046/$news?token=a%20b%23
#EXTINF:-1 tvg-id="first.tv" tvg-name="Первый 'HD'" tvg-logo="http://tv.example/a%2Cb.png" group-title="Кино сериалы",Первый, "HD"
http://tv.example:4046/$%D0%9F%D0%B5%D1%80%D0%B2%D1%8B%D0%B9?token=a%20b%23
`
	if got := written(t, channels, "http://tv.example:4046/", "token=a b#"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := written(t, nil, "http://tv.example", ""); got != "#EXTM3U\n" {
		t.Errorf("%q", got)
	}
}

// TestWritePlaylistKeepsLines: nothing in a text makes a line or an attribute of its own.
func TestWritePlaylistKeepsLines(t *testing.T) {
	const evil = "a\" x=\"b\r\nhttp://evil.example/\n#EXTINF:-1,\u2028\u0085\x00"
	ch := channelOf(t, "news", "udp://239.1.1.1:5000", lineup.Listing{Group: evil, Title: evil, Logo: evil, Guide: evil})
	got := written(t, []lineup.Channel{ch, ch}, "http://h\r\n/x", "a=\r\nb")
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 5 || strings.Count(got, `"`) != 2*(4*2+2) || strings.ContainsAny(got, "\r\u2028\u0085\x00") {
		t.Errorf("%d lines:\n%s", len(lines), got)
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWritePlaylistFails(t *testing.T) {
	if err := WritePlaylist(full{}, nil, "", ""); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
}

// TestReadBack: what is written is read as the same channels, from another sluice.
func TestReadBack(t *testing.T) {
	channels := []lineup.Channel{
		channelOf(t, "news", "udp://239.1.1.1:5000", lineup.Listing{Title: "news", Group: "Общие", Guide: "n1"}),
		channelOf(t, "Первый_канал", "file:///x", lineup.Listing{Title: "Первый канал", Logo: "http://l.example/x.png"}),
	}
	text := written(t, channels, "http://tv.example:4046", "token=t")
	list, err := ParsePlaylist("x.m3u", []byte(text), lineup.Defaults())
	if err != nil || len(list.Warnings) != 0 || len(list.Channels) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, got := range list.Channels {
		want := channels[i]
		if got.Name != want.Name || got.Listing != want.Listing {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if tag := list.Channels[0].Sources[0].String(); tag != "http://tv.example:4046/$news?token=t" {
		t.Errorf("source %s", tag)
	}
}
