package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseLoad(t *testing.T) {
	const said = `starting benchmark...
finished in 1.04s, 13426.50 req/s, 1.25GB/s
requests: 26853 total, 26885 started, 26853 done, 26852 succeeded, 1 failed, 2 errored, 3 timeout
status codes: 26850 2xx, 0 3xx, 4 4xx, 5 5xx
traffic: 2.50GB (2688393212) total
`
	got, err := parseLoad(said)
	if want := (loaded{rate: 13426.5, good: 26850, bad: 15}); got != want || err != nil {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, line := range strings.Split(strings.TrimSpace(said), "\n")[1:4] {
		if _, err := parseLoad(strings.Replace(said, line, "", 1)); err == nil {
			t.Errorf("read without %q", line)
		}
	}
}

// However a stream of chunks is cut, each is found once, with its time, and the end at the end.
func TestStamps(t *testing.T) {
	want := []int64{1, 1 << 40, 0x0073656e74ff, 4}
	stream := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, sent := range want {
		stream = appendChunk(stream, sent)
	}
	stream = append(stream, lastChunk...)
	for _, size := range []int{1, 2, 7, 13, chunkSize, chunkSize + 9, len(stream) - 1, len(stream)} {
		var s stamps
		var got []int64
		for piece := range slices.Chunk(stream, size) {
			if s.ended {
				t.Fatalf("pieces of %d: ended early", size)
			}
			s.take(piece, func(sent int64) { got = append(got, sent) })
		}
		if !slices.Equal(got, want) || !s.ended {
			t.Errorf("pieces of %d: %x, ended %v; want %x", size, got, s.ended, want)
		}
	}
}

func TestFileOf(t *testing.T) {
	for _, size := range []int{0, 1, 16, smallSize} {
		if got := len(fileOf(size)); got != size {
			t.Errorf("%d bytes, want %d", got, size)
		}
	}
}

func TestUsageOf(t *testing.T) {
	for text, want := range map[string]int64{
		`{"mounts":[{"path":"gmem","bytes":7}]}`:                                              7,
		`{"mounts":[{"path":"/srv","bytes":9},{"path":"gmem","bytes":8},{"path":"gmem"}]}`:    8,
		`{"build":"1","mounts":[{"name":"/","path":"gmem","objects":0,"bytes":0}],"sinks":0}`: 0,
	} {
		if got, err := usageOf([]byte(text)); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "<html>", "{}", `{"mounts":[{"path":"/srv","bytes":9}]}`} {
		if got, err := usageOf([]byte(text)); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestGoroutinesOf(t *testing.T) {
	const text = "# TYPE go_goroutines gauge\ngo_goroutines 17\ngo_threads 9\n"
	if got, err := goroutinesOf([]byte(text)); got != 17 || err != nil {
		t.Errorf("%d, %v; want 17", got, err)
	}
	if got, err := goroutinesOf([]byte("go_threads 9\n")); err == nil {
		t.Errorf("%d of nothing", got)
	}
}
