//go:build e2e

package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/testkit"
	"sluice/internal/uri"
)

func TestMain(m *testing.M) { testkit.MainInNamespace(m) }

// TestIssue1EndToEnd holds the sentences of issue 1 that need a network and real
// receivers, and as much time as the streams take.
func TestIssue1EndToEnd(t *testing.T) {
	t.Run("the demo finds a place on the loopback interface", testDemoEnd) // changes the network: alone
	for _, sentence := range []struct {
		name string
		test func(*testing.T)
	}{
		{"the demo plays on without a seam", testDemoInPlayers},
		{"files of an encoder loop without a seam", testLoopInPlayers},
		{"probe finds what send breaks", testFaultsOnTheWire},
		{"probe hears silence", testSilence},
		{"probe ends when told to", testProbeEnds},
	} {
		t.Run(sentence.name, func(t *testing.T) {
			t.Parallel()
			sentence.test(t)
		})
	}
}

var groups atomic.Uint32

// newEnd is a group that no other test uses.
func newEnd(t *testing.T, scheme uri.Scheme) uri.End {
	t.Helper()
	end, err := uri.ParseAddr(scheme, fmt.Sprintf("239.77.1.%d:5000", groups.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// start sends in the background; stop ends it and returns what it did.
func start(t *testing.T, open func() (*os.File, error), o SendOptions) (stop func() SendStats) {
	t.Helper()
	f, err := open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var stats SendStats
	done := make(chan struct{})
	go func() {
		defer close(done)
		if stats, err = Send(ctx, f, o); err != nil {
			t.Errorf("send: %v", err)
		}
	}()
	stop = func() SendStats {
		cancel()
		<-done
		return stats
	}
	t.Cleanup(func() { stop(); f.Close() })
	return stop
}

func clipFile() (*os.File, error) { return os.Open("demo/clip.ts") }

func command(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func testDemoEnd(t *testing.T) {
	check := func(t *testing.T, want string) (uri.End, string) {
		t.Helper()
		end, iface, note, err := DemoEnd()
		if err != nil || !strings.HasPrefix(note, want) {
			t.Fatalf("%s on %q: %q, %v; want %s", end, iface, note, err, want)
		}
		return end, iface
	}
	// A machine as it comes: lo is up, without multicast, and nothing routes a group there.
	command(t, "ip", "route", "flush", "224.0.0.0/4")
	command(t, "ip", "link", "set", "lo", "multicast", "off")
	defer command(t, "ip", "link", "set", "lo", "multicast", "on")
	defer command(t, "ip", "route", "replace", "224.0.0.0/4", "dev", "lo")

	if err := MulticastOnLoopback(); err != nil {
		t.Errorf("multicast on loopback: %v", err)
	}
	end, iface := check(t, "multicast group 239.255.42.42:5004 on interface lo")
	stop := start(t, clipFile, SendOptions{To: end, Interface: iface, Loop: true})
	watched(t, end, iface, time.Second)
	second, _ := check(t, "multicast group 239.255.42.42:5006 on interface lo") // the first is taken
	if second == end {
		t.Errorf("both demos are on %s", end)
	}
	stop()

	// A machine that forbids it.
	const limit = "/proc/sys/net/ipv4/igmp_max_memberships" // of this namespace
	if err := os.WriteFile(limit, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.WriteFile(limit, []byte("20"), 0) }()
	if err := MulticastOnLoopback(); err == nil {
		t.Error("multicast on loopback, though it is forbidden")
	}
	end, iface = check(t, "unicast to 127.0.0.1:")
	start(t, clipFile, SendOptions{To: end, Interface: iface, Loop: true})
	watched(t, end, iface, time.Second)
}

// watched probes a stream that must be clean.
func watched(t *testing.T, end uri.End, iface string, d time.Duration) ProbeResult {
	t.Helper()
	r, err := Probe(t.Context(), end.String(), ProbeOptions{Interface: iface, Duration: d})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Valid || r.PCR.Discontinuities > 0 {
		t.Errorf("%s: %q, %q", end, r.Problems, r.Warnings)
	}
	checkText(t, r)
	return r
}

// testDemoInPlayers records and decodes two rounds of the demo channel and the seams
// between three.
func testDemoInPlayers(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	end := newEnd(t, uri.UDP)
	copied := filepath.Join(t.TempDir(), "copy.ts")
	players := []*testkit.Proc{
		testkit.Start(t, "ffmpeg", "-v", "warning", "-nostdin", "-y", "-i", end.String(), "-t", "21", "-c", "copy", copied),
		testkit.Start(t, "ffmpeg", "-v", "warning", "-nostdin", "-xerror", "-i", end.String(), "-t", "21", "-f", "null", "-"),
	}
	joined(t, end, len(players)) // before the first key frame, so that they have no reason to complain

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- DemoSource(ctx, end, "lo") }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	watched(t, end, "lo", 21*time.Second)
	for _, p := range players {
		if err := p.Wait(); err != nil || p.Output() != "" {
			t.Errorf("a player: %v\n%s", err, p.Output())
		}
	}
	if out, err := exec.Command("ffmpeg", "-v", "warning", "-nostdin", "-i", copied, "-f", "null", "-").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the recording: %v\n%s", err, out)
	}
}

// testLoopInPlayers loops what an encoder made, with its B pictures and an awkward frame
// rate, over RTP.
func testLoopInPlayers(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	path := filepath.Join(t.TempDir(), "clip.ts")
	command(t, "ffmpeg", "-v", "error", "-nostdin",
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30000/1001", "-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000",
		"-t", "4", "-c:v", "mpeg2video", "-bf", "2", "-g", "15", "-b:v", "800k", "-c:a", "mp2", "-b:a", "128k", path)
	end := newEnd(t, uri.RTP)
	stop := start(t, func() (*os.File, error) { return os.Open(path) }, SendOptions{To: end, Loop: true})
	r := watched(t, end, "", 10*time.Second)
	if r.Network.RTP == nil || r.Network.RTP.Lost != 0 {
		t.Errorf("RTP: %+v", r.Network.RTP)
	}
	if s := stop(); s.Rounds < 3 || s.Skipped != 0 {
		t.Errorf("%+v", s)
	}
}

// testFaultsOnTheWire sends the clip once, broken, while a probe receives all of it.
func testFaultsOnTheWire(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults Faults
		check  func(t *testing.T, s SendStats, r ProbeResult)
	}{
		{"nothing", Faults{}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "bytes", uint64(len(Clip())), r.Bytes)
			equal(t, "received", s.Datagrams, r.Network.RTP.Received)
		}},
		{"drop", Faults{Drop: 20}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "lost", s.Dropped, r.Network.RTP.Lost)
			equal(t, "gaps", gaps(t, Faults{Drop: 20}), r.Continuity)
		}},
		{"dup", Faults{Dup: 20}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "duplicates", s.Duplicated, r.Network.RTP.Duplicates)
		}},
		{"swap", Faults{Swap: 20}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "reordered", s.Swapped, r.Network.RTP.Reordered)
		}},
		{"corrupt", Faults{Corrupt: 20}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "sync losses", s.Corrupted, r.SyncLosses)
		}},
		{"no PAT", Faults{NoPAT: true}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "null packets", s.NoPAT, r.NullPackets)
		}},
		{"PCR jitter", Faults{PCRJitter: 80 * time.Millisecond}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "steps back", s.MovedPCR-1, r.PCR.Discontinuities)
		}},
		{"gaps of the PAT", Faults{PATGap: 750 * time.Millisecond, Continuity: 500, RTPSSRC: 100}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "gaps of the PAT", s.PATGaps, r.Health.PAT)
			equal(t, "continuity", s.Continuity, r.Health.Continuity)
			equal(t, "restarts", s.RTPSSRCs, r.Network.RTP.Restarts)
		}},
		{"PCR jumps and damaged tables", Faults{PCRJump: 50, BadCRC: 10, RTPJump: 100}, func(t *testing.T, s SendStats, r ProbeResult) {
			equal(t, "jumps", s.PCRJumps, r.Health.PCRJump)
			equal(t, "sections", s.BadCRCs, r.Health.CRC)
			equal(t, "restarts", s.RTPJumps, r.Network.RTP.Restarts)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			end := newEnd(t, uri.RTP)
			ctx, cancel := context.WithCancel(t.Context())
			var r ProbeResult
			var err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				r, err = Probe(ctx, end.String(), ProbeOptions{Interface: "lo", Duration: testkit.Patience})
			}()
			joined(t, end, 1)
			stats, sendErr := Send(ctx, bytes.NewReader(Clip()), SendOptions{To: end, Interface: "lo", Faults: c.faults})
			drained(t, end)
			cancel()
			<-done
			if err := errors.Join(err, sendErr); err != nil {
				t.Fatal(err)
			}
			if clean := c.faults == (Faults{}); r.Valid != clean {
				t.Errorf("valid: %v, problems %q", r.Valid, r.Problems)
			}
			c.check(t, stats, r)
			checkText(t, r)
		})
	}
}

// joined waits until so many sockets receive a group; drained until nothing waits in
// them. The kernel's table of UDP sockets tells both.
func joined(t *testing.T, end uri.End, count int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		queues, err := queued(end)
		if err == nil && len(queues) != count {
			err = fmt.Errorf("%d receive %s, want %d", len(queues), end, count)
		}
		return err
	})
}

func drained(t *testing.T, end uri.End) {
	t.Helper()
	testkit.Eventually(t, func() error {
		queues, err := queued(end)
		for _, q := range queues {
			if q != "00000000" {
				err = fmt.Errorf("%s bytes wait", q)
			}
		}
		return err
	})
}

// queued is the receive queues of the sockets bound to end, in hexadecimal as
// /proc/net/udp has them.
func queued(end uri.End) (queues []string, err error) {
	b, err := os.ReadFile("/proc/self/net/udp")
	if err != nil {
		return nil, err
	}
	ip := end.Addr.Addr().As4()
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], end.Addr.Port())
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[1] == local {
			_, receive, _ := strings.Cut(fields[4], ":")
			queues = append(queues, receive)
		}
	}
	return queues, nil
}

func testSilence(t *testing.T) {
	r, err := Probe(t.Context(), newEnd(t, uri.UDP).String(), ProbeOptions{Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if r.Valid || r.FirstByteMS != nil || len(r.Problems) != 1 || r.Problems[0] != "nothing came" {
		t.Errorf("%+v", r)
	}
	checkText(t, r)
}

func testProbeEnds(t *testing.T) {
	end := newEnd(t, uri.UDP)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Probe(ctx, end.String(), ProbeOptions{Duration: time.Hour})
		done <- err
	}()
	joined(t, end, 1)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
