package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/media/rtp"
	"sluice/internal/testkit"
)

// What arrives of a source is what the fates say, and one that begins anew has another
// identity and goes on with its packets.
func TestFeed(t *testing.T) {
	if !testkit.InNamespace(t) {
		return
	}
	testkit.NoLeaks(t)
	udp, err := net.ListenMulticastUDP("udp4", nil, net.UDPAddrFromAddrPort(groupAddr(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if err := udp.SetReadDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	f, err := newFeed(1, 8_000_000)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(f.fd)
	buf := make([]byte, 1500)
	receive := func(want uint64) rtp.Header {
		t.Helper()
		n, _, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatal(err)
		}
		h, payload, err := rtp.Parse(buf[:n])
		if err != nil || len(payload) != datagramSize {
			t.Fatalf("%d bytes in a datagram: %v", len(payload), err)
		}
		if s, ok := readStamp(payload); !ok || datagramOf(s.seq) != want {
			t.Fatalf("datagram %d, %v; want %d", datagramOf(s.seq), ok, want)
		}
		return h
	}
	var q faultQueue
	number := uint64(0)
	step := func() (h rtp.Header) {
		t.Helper()
		f.step(f.channels[0])
		q.pass(binary.BigEndian.AppendUint64(nil, number), fateOf(0, number), func(d []byte) {
			h = receive(binary.BigEndian.Uint64(d))
		})
		number++
		return h
	}
	for number <= find(find(find(0, fateDropped), fateDelayed), fateDoubled)+faultDelay+1 {
		step()
	}
	first := step()
	f.turn(0, false)
	f.step(f.channels[0])
	if !f.troubled(0, 0) {
		t.Error("a source that is off is no trouble")
	}
	f.turn(0, true)
	if !f.troubled(0, testkit.Patience) {
		t.Error("a restart is no trouble")
	}
	if second := step(); second.SSRC == first.SSRC {
		t.Error("a source that begins anew has the identity of the old one")
	}
	if f.dropped.Load() == 0 || f.delayed.Load() == 0 || f.doubled.Load() == 0 || f.failed.Load() != 0 {
		t.Errorf("%s, %d failed", f, f.failed.Load())
	}
}

// A viewer books what it misses, and an end of the stream that no source explains.
func TestViewer(t *testing.T) {
	testkit.NoLeaks(t)
	plain := find(40, fateSent, fateSent, fateSent, fateSent)
	lost := string(join(datagrams(plain, plain+1), datagrams(plain+2, plain+4)))
	tests := map[string]struct {
		answer    string
		off       bool // the source is
		strange   int64
		missing   int64
		streams   int64
		datagrams int
	}{
		"a gap and an end": {streamHead + lost, false, 1, 7, 1, 1},
		"a source's end":   {streamHead + string(datagrams(plain, plain+3)), true, 0, 0, 1, 0},
		"refused":          {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", false, 1, 0, 0, 0},
		"refused, is off":  {"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n", true, 0, 0, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := &feed{channels: []*source{{}}}
			f.channels[0].off.Store(test.off)
			b := &book{missing: map[place]bool{}}
			v := &viewer{server: script(t, test.answer), log: &tail{}, feed: f, book: b, rand: rand.New(rand.NewPCG(1, 2))}
			err := v.stay(context.Background(), 0)
			if err == nil || errors.Is(err, errLeft) {
				t.Fatalf("the stay ended with %v", err)
			}
			v.judgeEnd(0, err)
			if b.strange != test.strange || b.findings.missing != test.missing || b.streams != test.streams || len(b.missing) != test.datagrams || b.joins != 1 {
				t.Errorf("%d strange ends, %d packets missing, %d streams, %d datagrams, %d joins; want %+v",
					b.strange, b.findings.missing, b.streams, len(b.missing), b.joins, test)
			}
			if b.strange+b.ends != 1 {
				t.Errorf("%d ends, want 1", b.strange+b.ends)
			}
		})
	}
}

func TestLedger(t *testing.T) {
	testkit.NoLeaks(t)
	one := `{"engines":[{"channels":[{"tag":"A","since":"2026-01-01T00:00:00Z","sources":[{"rtp_lost":5,"late":2,"legs":[{"kernel_lost":3},{"kernel_lost":1}]}]}]}]}`
	two := strings.Replace(strings.Replace(one, `"rtp_lost":5`, `"rtp_lost":7`, 1), "T00", "T01", 1)
	var l ledger
	for i, answer := range []string{one, one, two, `{"engines":[{}]}`} {
		s, err := ask(context.Background(), script(t, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+answer))
		if err != nil {
			t.Fatal(err)
		}
		if open, want := l.enter(s), []int{1, 1, 1, 0}[i]; open != want {
			t.Errorf("answer %d: %d channels, want %d", i, open, want)
		}
	}
	if want := (told{lost: 12, late: 4, kernel: 8}); l.sum() != want {
		t.Errorf("sum %+v, want %+v", l.sum(), want)
	}
	if _, err := ask(context.Background(), script(t, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")); !errors.Is(err, errAnswer) {
		t.Errorf("got %v, want %v", err, errAnswer)
	}
}

// The verdict on an account.
func TestJudge(t *testing.T) {
	calm := series(func(int) holding { return holding{memory: 1 << 20, descriptors: 5, threads: 3} })
	good := findings{packets: 1000, dropped: 7, skips: 1}
	tests := map[string]struct {
		found   findings
		strange int64
		missing map[place]bool
		kernel  int64
		after   sample
		want    string
	}{
		"good":            {found: good, after: calm[0]},
		"nothing":         {after: calm[0], want: "no viewer received anything"},
		"an end":          {found: good, strange: 2, after: calm[0], want: "2 streams ended"},
		"a gap":           {found: findings{packets: 9, missing: 7}, missing: map[place]bool{{}: true}, after: calm[0], want: "7 missing (1 datagrams)"},
		"the kernel's":    {found: findings{packets: 9, missing: 7}, missing: map[place]bool{{}: true}, kernel: 1, after: calm[0]},
		"repeated":        {found: findings{packets: 9, repeated: 7}, kernel: 9, after: calm[0], want: "7 repeated"},
		"left descriptor": {found: good, after: sample{processes: []holding{{pid: 7, descriptors: 6}}}, want: "6 descriptors without a client"},
	}
	for name, test := range tests {
		trial := &trial{
			feed: &feed{}, book: &book{findings: test.found, strange: test.strange, missing: test.missing},
			ledger: ledger{closed: told{kernel: test.kernel}}, before: calm[0], samples: calm,
		}
		err := trial.judge(test.after)
		if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, errVerdict) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestManners(t *testing.T) {
	var count [4]int
	for i := range soakViewers {
		count[mannerOf(i)]++
	}
	if want := [4]int{80, 20, 10, 10}; count != want {
		t.Errorf("%v, want %v", count, want)
	}
}

func TestTail(t *testing.T) {
	var log tail
	for i := range 100_000 {
		if _, err := fmt.Fprintf(&log, "client=127.0.0.1:%d ended\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if got := log.about(":99998 "); got != "client=127.0.0.1:99998 ended" {
		t.Errorf("about one: %q", got)
	}
	if n := len(log.text); n < tailSize || n > 2*tailSize {
		t.Errorf("%d bytes kept", n)
	}
	if s := log.String(); len(s) > 2000 || !strings.HasSuffix(s, ":99999 ended") {
		t.Errorf("the last of it: %q", s)
	}
}
