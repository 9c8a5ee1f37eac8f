package main

import (
	"slices"
	"strings"
	"testing"
)

func TestListings(t *testing.T) {
	tests := map[string]struct {
		list listing
		want string
	}{
		"channels.conf": {confListing(), "channel-0 udp://239.10.0.0:5000\nchannel-1 udp://239.10.0.1:5000\n"},
		"M3U":           {m3uListing(), "#EXTM3U\n#EXTINF:-1,channel-0\nudp://@239.10.0.0:5000\n#EXTINF:-1,channel-1\nudp://@239.10.0.1:5000\n"},
		"YAML":          {yamlListing(), "channels:\n  channel-0:\n    source: udp://239.10.0.0:5000\n  channel-1:\n    source: udp://239.10.0.1:5000\n"},
	}
	for name, test := range tests {
		if got := test.list.of(2); got != test.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, test.want)
		}
		// No two sources are the same, and a longer list only has more behind it.
		if all := test.list.of(manyChannels + 1); !strings.HasPrefix(all, test.list.of(manyChannels)) {
			t.Errorf("%s: the longer list begins otherwise", name)
		}
	}
	sources := map[string]bool{}
	for n := range manyChannels + 1 {
		sources[groupAddr(0, n).String()] = true
	}
	if len(sources) != manyChannels+1 {
		t.Errorf("%d sources of %d channels", len(sources), manyChannels+1)
	}
}

func TestOffBy(t *testing.T) {
	tests := []struct{ value, should, want float64 }{{100, 100, 0}, {95, 100, 5}, {106, 100, 6}, {0, 50, 100}}
	for _, test := range tests {
		if got := offBy(test.value, test.should); got != test.want {
			t.Errorf("%v beside %v: off by %v, want %v", test.value, test.should, got, test.want)
		}
	}
}

func TestOffClock(t *testing.T) {
	tests := map[string]struct{ arrived, due, want []int64 }{
		"nothing":        {nil, nil, []int64{}},
		"in time":        {[]int64{1000, 1010, 1020}, []int64{0, 10, 20}, []int64{0, 0, 0}},
		"one early":      {[]int64{1000, 1003, 1020}, []int64{0, 10, 20}, []int64{0, 0, 7}},
		"one late":       {[]int64{1000, 1010, 1025}, []int64{0, 10, 20}, []int64{0, 0, 5}},
		"another speed":  {[]int64{1000, 1011, 1022, 1033, 1044}, []int64{0, 10, 20, 30, 40}, []int64{0, 1, 1, 2, 2}},
		"out of a queue": {[]int64{1020, 1020, 1020}, []int64{0, 10, 20}, []int64{0, 10, 10}},
	}
	for name, test := range tests {
		if got := offClock(test.arrived, test.due); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestGrant(t *testing.T) {
	tests := map[string]string{
		"A7 192.0.2.1:5 udp://239.1.1.1:5000?auth=good -":     "A7 0\n",
		"A8 192.0.2.1:5 udp://239.1.1.1:5000?auth=bad -":      "A8 1\n",
		"A9 192.0.2.1:5 udp://239.1.1.1:5000 - tv":            "A9 1\n",
		"A10 192.0.2.1:5 udp://239.1.1.1:5000?auth=good2 -":   "A10 1\n",
		"A11 192.0.2.1:5 udp://239.1.1.1:5000?auth=good - tv": "A11 0\n",
		"nonsense": "",
		"":         "",
	}
	for line, want := range tests {
		if got := grant(line, "good"); got != want {
			t.Errorf("%q: answered %q, want %q", line, got, want)
		}
	}
}

func TestAnswerOf(t *testing.T) {
	tests := map[string]struct {
		status, rest int
		whole        bool
	}{
		"":                                {0, 0, false},
		"HTTP/1.1 200 OK\r\nA: b\r\n":     {0, 0, false},
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\n": {200, 0, true},
		"HTTP/1.1 403 Forbidden\r\n\r\nno\r\n\r\n": {403, 6, true},
		"nonsense\r\n\r\nG":                        {0, 1, true},
		"HTTP/1.1 abc\r\n\r\n":                     {0, 0, true},
	}
	for text, want := range tests {
		status, rest, whole := answerOf([]byte(text))
		if status != want.status || rest != want.rest || whole != want.whole {
			t.Errorf("%q: %d, %d, %v; want %+v", text, status, rest, whole, want)
		}
	}
}
