package alias

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/lineup"
)

// blocks are the examples of a kind in docs/channels.md.
func blocks(t *testing.T, kind string) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/channels.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

// TestDocs: the examples of the manual are what it says of them.
func TestDocs(t *testing.T) {
	var sources []string
	for _, text := range blocks(t, "conf") {
		list, err := ParseFile("channels.conf", []byte(text), lineup.Defaults(), set)
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range list.Channels {
			for _, s := range ch.Sources {
				sources = append(sources, ch.Name+" "+s.String())
			}
		}
	}
	if want := []string{
		"world udp://239.1.1.1:5000",
		"local udp://10.0.0.7@232.1.1.2:5000",
		"local http://10.0.1.12:4056/udp/239.3.1.2:5000",
		"film-1 http://provider.example:80/live/1.ts?key=BF094744c5",
		"film-2 https://provider.example:443/live/2.ts?key=0123456789",
		"film-3 rtp://239.1.2.1:5000|rtp://239.2.2.1:5000",
		"film-3 udp://239.3.2.1:5000",
	}; !slices.Equal(sources, want) {
		t.Errorf("got %s\nwant %s", strings.Join(sources, "\n"), strings.Join(want, "\n"))
	}
	playlist := blocks(t, "m3u")[0]
	list, err := ParsePlaylist("list.m3u", []byte(playlist), lineup.Defaults())
	if err != nil || len(list.Warnings) != 0 {
		t.Fatal(err, list.Warnings)
	}
	if got, want := namesOf([]List{list}), []string{"Channel_One_HD", "Первый_канал", "Channel_One_HD-2"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestDocsError: a mistake looks as the manual shows it.
func TestDocsError(t *testing.T) {
	want := strings.TrimSpace(blocks(t, "text")[0])
	_, err := ParseFile("channels.conf", []byte("world udp://239.1.1.1:5000\nlocal udp://239.1.1.2:5000 udp://239.3.1.2\n"), lineup.Defaults(), set)
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestSample(t *testing.T) {
	list, err := LoadFile("../../dist/channels.conf", lineup.Defaults(), set)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := namesOf([]List{list}), []string{"world", "local", "sports", "film-1", "film-2"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
