package tools

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/uri"
)

func TestSendKeepsPace(t *testing.T) {
	all, stats, err := play(t, bytes.NewReader(Clip()), SendOptions{To: udpEnd, Bitrate: 1_000_000}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range all {
		if want := time.Duration(i) * perDatagram * ts.PacketSize * 8 * time.Microsecond; d.at != want {
			t.Fatalf("datagram %d sent after %s, want %s", i, d.at, want)
		}
	}
	var whole []byte
	for _, d := range all {
		whole = append(whole, d.data...)
	}
	if !bytes.Equal(whole, Clip()) {
		t.Error("what was sent is not the file")
	}
	if stats.Bytes != uint64(len(Clip())) || stats.Datagrams != uint64(len(all)) || stats.Pauses != 0 || stats.Rounds != 1 {
		t.Errorf("%+v", stats)
	}
}

// A short pause is caught up with, a long one is let go.
func TestSendAfterAPause(t *testing.T) {
	for _, c := range []struct {
		pause, end time.Duration
		pauses     uint64
	}{
		{900 * time.Millisecond, 0, 0},
		{3 * time.Second, 3 * time.Second, 1},
	} {
		hook := func(n int) error {
			if n == 10 {
				<-time.After(c.pause)
			}
			return nil
		}
		options := SendOptions{To: udpEnd, Bitrate: 1_000_000}
		all, stats, err := play(t, bytes.NewReader(Clip()), options, 0, hook)
		if err != nil {
			t.Fatal(err)
		}
		interval := perDatagram * ts.PacketSize * 8 * time.Microsecond
		last := len(all) - 1
		// The pause began with the tenth datagram; the next is late by an interval less.
		late := all[last].at - time.Duration(last)*interval
		want := max(c.end-interval, 0)
		if stats.Pauses != c.pauses || late != want {
			t.Errorf("a pause of %s: %d counted, the end is %s late, want %s", c.pause, stats.Pauses, late, want)
		}
	}
}

func TestSendRTP(t *testing.T) {
	all, _, err := play(t, bytes.NewReader(Clip()), SendOptions{To: uri.End{Scheme: uri.RTP}}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var first, last rtp.Header
	var count rtp.Counter
	for i, d := range all {
		h, payload, err := rtp.Parse(d.data)
		if err != nil || !ts.Aligned(payload) || h.PayloadType != rtp.PayloadTypeMP2T {
			t.Fatalf("datagram %d: %+v, %v", i, h, err)
		}
		count.Add(h.Sequence, h.SSRC)
		if i == 0 {
			first = h
		}
		last = h
		if got, want := h.Timestamp-first.Timestamp, uint32(d.at.Microseconds()*9/100); got != want {
			t.Fatalf("datagram %d: timestamp %d after %s, want %d", i, got, d.at, want)
		}
	}
	if count.Lost != 0 || count.Received != uint64(len(all)) || last.SSRC != first.SSRC {
		t.Errorf("%+v", count)
	}
}

func TestSendErrors(t *testing.T) {
	noRoute := errors.New("no route")
	fail := func(err error, from, to int) func(int) error {
		calls := 0
		return func(int) error {
			if calls++; calls > from && calls <= to {
				return err
			}
			return nil
		}
	}
	options := SendOptions{To: udpEnd}
	if _, _, err := play(t, bytes.NewReader(Clip()), options, 0, fail(noRoute, 5, 6)); !errors.Is(err, noRoute) || !strings.Contains(err.Error(), "datagram 6") {
		t.Errorf("a socket that fails: %v", err)
	}
	// Refused once: the second try goes through and nothing is missing.
	all, stats, err := play(t, bytes.NewReader(Clip()), options, 0, fail(syscall.ECONNREFUSED, 5, 6))
	if a := analyze(all, 0); err != nil || stats.Refused != 1 || !a.Valid {
		t.Errorf("a refusal: %v, %+v, %q", err, stats, a.Problems)
	}
	if _, _, err := play(t, bytes.NewReader([]byte("no stream")), options, 0, nil); !errors.Is(err, ErrNotTS) {
		t.Errorf("no stream: %v", err)
	}
	if _, _, err := play(t, file(packet(100, 0, nil)), options, 0, nil); !errors.Is(err, ErrNoClock) {
		t.Errorf("no clock: %v", err)
	}
	looped := SendOptions{To: udpEnd, Loop: true}
	if all, stats, err := play(t, file(packet(100, 0, nil)), looped, 0, nil); !errors.Is(err, ErrNoClock) || len(all) > 0 || stats.Rounds != 1 {
		t.Errorf("a loop without a clock: %v, %+v", err, stats)
	}
}

func TestSendRefusesToLoopAPipe(t *testing.T) {
	end, err := uri.Parse("udp://127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Send(context.Background(), brokenReader{io.ErrUnexpectedEOF}, SendOptions{To: end, Loop: true}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestSendProgress(t *testing.T) {
	var screen bytes.Buffer
	_, stats, err := play(t, bytes.NewReader(Clip()), SendOptions{To: udpEnd, Progress: &screen}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(screen.String(), "\r")
	if len(lines) != 11 { // nothing at once, nine seconds, the end of the line
		t.Errorf("%d lines in %s: %q", len(lines), stats.Elapsed, lines)
	}
	if last := lines[len(lines)-1]; last != "\x1b[K" {
		t.Errorf("left on the screen: %q", last)
	}
}

func TestSendOptionsValidate(t *testing.T) {
	good := SendOptions{To: uri.End{Scheme: uri.UDP}}
	var err error
	if good.To, err = uri.Parse("rtp://239.1.1.1:5000"); err != nil {
		t.Fatal(err)
	}
	if err := good.Validate(); err != nil {
		t.Errorf("good options: %v", err)
	}
	for word, change := range map[string]func(*SendOptions){
		"--to":       func(o *SendOptions) { o.To = uri.End{} },
		"--bitrate":  func(o *SendOptions) { o.Bitrate = -1 },
		"--ttl":      func(o *SendOptions) { o.TTL = 256 },
		"--drop":     func(o *SendOptions) { o.Drop = 1 },
		"--swap":     func(o *SendOptions) { o.Swap = 1 },
		"--dup":      func(o *SendOptions) { o.Dup = -1 },
		"--corrupt":  func(o *SendOptions) { o.Corrupt = -1 },
		"--late":     func(o *SendOptions) { o.Late = 1 },
		"--rtp-ssrc": func(o *SendOptions) { o.RTPSSRC = 2 },
		"--rtp-jump": func(o *SendOptions) { o.RTPJump = 2 },
		"want --to rtp": func(o *SendOptions) {
			o.To.Scheme, o.RTPJump = uri.UDP, 100
		},
		"--transport-error": func(o *SendOptions) { o.TransportError = -1 },
		"--continuity":      func(o *SendOptions) { o.Continuity = 1 },
		"--bad-crc":         func(o *SendOptions) { o.BadCRC = -1 },
		"--pat-gap":         func(o *SendOptions) { o.PATGap = -1 },
		"--pmt-gap":         func(o *SendOptions) { o.PMTGap = 2 * time.Hour },
		"--pcr-gap":         func(o *SendOptions) { o.PCRGap = -1 },
		"--pts-gap":         func(o *SendOptions) { o.PTSGap = -1 },
		"--pcr-jitter":      func(o *SendOptions) { o.PCRJitter = -1 },
		"--pcr-jump":        func(o *SendOptions) { o.PCRJump = 1 },
		"--pcr-splice":      func(o *SendOptions) { o.PCRSplice = 1 },
		"--pcr-wrap":        func(o *SendOptions) { o.PCRWrap = -1 },
	} {
		o := good
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestParseBitrate(t *testing.T) {
	for s, want := range map[string]int64{
		"8M": 8_000_000, "8m": 8_000_000, "500k": 500_000, "2.5M": 2_500_000, "1G": 1_000_000_000, "1504": 1504, "8G": maxBitrate,
		"": 0, "M": 0, "0": 0, "-1M": 0, "8MB": 0, "8 M": 0, "9G": 0, "NaN": 0, "Inf": 0, "k8": 0,
	} {
		if got, err := ParseBitrate(s); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
}

// FuzzSend sends any bytes: datagrams hold whole packets, times never go back and the
// sender never panics.
func FuzzSend(f *testing.F) {
	f.Add(Clip()[:20*ts.PacketSize], true, false)
	f.Add(Clip()[5:40*ts.PacketSize], false, true)
	f.Add([]byte("no stream"), false, false)
	f.Fuzz(func(t *testing.T, b []byte, rate, loop bool) {
		o := SendOptions{To: udpEnd, Loop: loop}
		if rate {
			o.Bitrate = 1_000_000
		}
		o.Faults = Faults{
			TransportError: 50, Continuity: 3, BadCRC: 2, PATGap: time.Second, PMTGap: time.Second, PCRGap: time.Second, PTSGap: time.Second,
			PCRJitter: time.Second, PCRJump: 3, PCRSplice: 5, PCRWrap: time.Second,
		}
		p, broken := newPacker(newSource(bytes.NewReader(b), loop), o), &breaker{faults: o.Faults}
		last := time.Duration(0)
		for range 200 {
			d, at, err := p.next(broken)
			if err != nil {
				return
			}
			if !ts.Aligned(d) || len(d) > perDatagram*ts.PacketSize || at < last {
				t.Fatalf("datagram of %d bytes, due at %s after %s", len(d), at, last)
			}
			last = at
		}
	})
}
