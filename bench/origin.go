package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
)

// The scenarios of the origin, without the I/O.

// The figures of the origin. README.md says how each is made.
const (
	fileRate       figure = "requests a second"
	filePerCPU     figure = "requests a CPU second"
	fileCPU        figure = "CPU µs a request"
	chunkP50       figure = "chunk delay p50 ms"
	chunkP95       figure = "chunk delay p95 ms"
	chunkMost      figure = "chunk delay, most, ms"
	chunkFirst     figure = "first bytes of a growing object ms"
	chunkEnd       figure = "end, after the writer's, ms"
	takenP99       figure = "at the first reader p99 ms"
	middleP99      figure = "at the median reader p99 ms"
	lastP99        figure = "at the last reader p99 ms"
	readerMemory   figure = "memory a waiting reader KiB"
	goroutinesLeft figure = "goroutines left"
	filesLeft      figure = "descriptors left"
	storeMost      figure = "memory store, most, MiB"
	floodMemory    figure = "memory, most, MiB"
	floodTaken     figure = "uploads taken a second"
	floodRefused   figure = "uploads refused %"
)

// The objects that are asked for.
const (
	smallFile, smallSize = "small.m4s", 100_000
	largeFile, largeSize = "large.m4s", 1_000_000
)

// fileOf is the content of an object of so many bytes.
func fileOf(size int) string {
	return string(bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size])
}

// nginxFiles is one worker that sends the files of its directory; protocol is "http2" for that without TLS.
func nginxFiles(protocol string) string {
	return `daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 40000;
pid {DIR}/nginx.pid;
error_log stderr crit;
events { worker_connections 30000; }
http {
    sendfile on;
    tcp_nopush on;
    access_log off;
    keepalive_requests 1000000000;
    types { video/iso.segment m4s; }
    server { listen 127.0.0.1:{PORT} ` + protocol + ` backlog=4096; root {DIR}; }
}
`
}

// tally of h2load: what it says of a run.
type loaded struct {
	rate float64 // answers a second
	good int     // answers of 2xx
	bad  int     // of others, and requests that failed
}

var (
	loadedRate   = regexp.MustCompile(`finished in [^,]+, ([0-9.]+) req/s`)
	loadedStatus = regexp.MustCompile(`status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
	loadedFailed = regexp.MustCompile(`(\d+) failed, (\d+) errored, (\d+) timeout`)
)

// parseLoad reads what h2load prints at its end.
func parseLoad(text string) (l loaded, err error) {
	rate, status, failed := loadedRate.FindStringSubmatch(text), loadedStatus.FindStringSubmatch(text), loadedFailed.FindStringSubmatch(text)
	if rate == nil || status == nil || failed == nil {
		return l, fmt.Errorf("h2load has no result: %.300q", text)
	}
	if l.rate, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return l, fmt.Errorf("h2load: its rate: %w", err)
	}
	counts := make([]int, 0, 7)
	for _, digits := range append(status[1:], failed[1:]...) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return l, fmt.Errorf("h2load: its counts: %w", err)
		}
		counts = append(counts, n)
	}
	l.good = counts[0]
	for _, n := range counts[1:] {
		l.bad += n
	}
	return l, nil
}

// The chunks of a growing object: all of one size, and each begins with a mark and the time at which it was sent.
const (
	chunkSize  = 1200
	chunkMark  = "\x00sent\xff"
	markedSize = len(chunkMark) + 8
	lastChunk  = "0\r\n\r\n"
)

// appendChunk appends a chunk of HTTP/1.1 that is sent at a time, in nanoseconds.
func appendChunk(b []byte, sent int64) []byte {
	b = fmt.Appendf(b, "%x\r\n", chunkSize)
	from := len(b)
	b = append(b, chunkMark...)
	b = binary.BigEndian.AppendUint64(b, uint64(sent))
	for len(b) < from+chunkSize {
		b = append(b, '.')
	}
	return append(b, "\r\n"...)
}

// stamps finds the times of the chunks in what a reader gets, however it is cut.
type stamps struct {
	rest  []byte
	ended bool // the end of the object has come
}

// take takes what was read, and calls f for each chunk that begins in it.
func (s *stamps) take(b []byte, f func(sent int64)) {
	s.rest = append(s.rest, b...)
	for {
		at := bytes.Index(s.rest, []byte(chunkMark))
		if at < 0 || len(s.rest) < at+markedSize {
			break
		}
		f(int64(binary.BigEndian.Uint64(s.rest[at+len(chunkMark):])))
		s.rest = s.rest[at+markedSize:]
	}
	s.ended = s.ended || bytes.HasSuffix(s.rest, []byte("\r\n"+lastChunk))
	if over := len(s.rest) - markedSize; over > 0 {
		s.rest = append(s.rest[:0], s.rest[over:]...)
	}
}

// usageOf is how many bytes the memory stores of an origin have, by its /status.
func usageOf(status []byte) (used int64, err error) {
	var origin struct {
		Mounts []struct {
			Path  string
			Bytes int64
		}
	}
	if err := json.Unmarshal(status, &origin); err != nil {
		return 0, fmt.Errorf("read the status of the origin: %w", err)
	}
	found := false
	for _, m := range origin.Mounts {
		if m.Path == "gmem" { // one store, wherever it is named
			used, found = max(used, m.Bytes), true
		}
	}
	if !found {
		return 0, fmt.Errorf("the status of the origin names no memory store: %.300q", status)
	}
	return used, nil
}

var goroutinesLine = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)

// goroutinesOf reads the number of goroutines from metrics in the text format of Prometheus.
func goroutinesOf(metrics []byte) (int, error) {
	m := goroutinesLine.FindSubmatch(metrics)
	if m == nil {
		return 0, fmt.Errorf("the metrics have no go_goroutines: %.300q", metrics)
	}
	return strconv.Atoi(string(m[1]))
}
