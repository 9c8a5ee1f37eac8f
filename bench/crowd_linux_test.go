package main

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// A crowd hears every yardstick without a gap.
func TestCrowdAndYardstick(t *testing.T) {
	tests := map[string]struct {
		block    int
		sendfile bool
	}{
		"write":    {13 << 10, false},
		"sendfile": {48 << 10, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			y, err := newYardstick(netip.MustParseAddrPort("127.0.0.1:0"), test.block, test.sendfile, 80_000_000)
			if err != nil {
				t.Fatal(err)
			}
			defer y.Close()
			addr := localAddr(t, y.listener)
			var stop atomic.Bool
			done := make(chan struct{})
			go func() { defer close(done); y.run(stop.Load) }()
			defer func() { stop.Store(true); <-done }()

			c := testCrowd(t)
			for range 20 {
				if err := c.join(addr, "/"); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.wait(); err != nil {
				t.Fatal(err)
			}
			c.take(nil)
			// Beyond the ring's end, so that the turn is seen too.
			want := int64(20 * 2 * ringBlocks * test.block)
			if err := c.await(func() bool { return c.tally.bytes >= want }); err != nil {
				t.Fatal(err)
			}
			got := c.take(nil)
			if got.gaps != 0 || got.ended != 0 || len(got.ages) == 0 {
				t.Errorf("%d gaps, %d clients ended, %d ages", got.gaps, got.ended, len(got.ages))
			}
			for _, age := range got.ages {
				if age < 0 {
					t.Fatalf("a packet came %d ns before it was made", -age)
				}
			}
		})
	}
}

// A crowd counts what a server loses and who it closes.
func TestCrowdCountsGaps(t *testing.T) {
	testkit.NoLeaks(t)
	addr := script(t, streamHead[:20], streamHead[20:]+string(packets(0, 100)), string(packets(101, 2000)))
	c := testCrowd(t)
	if err := c.join(addr, "/udp/239.0.0.1:5000"); err != nil {
		t.Fatal(err)
	}
	if err := c.await(func() bool { return c.tally.ended == 1 }); err != nil {
		t.Fatal(err)
	}
	got := c.take(nil)
	if want := int64(2100 * packetSize); got.gaps != 1 || got.bytes != want {
		t.Errorf("%d gaps in %d bytes, want 1 in %d", got.gaps, got.bytes, want)
	}
}

func TestCrowdRefuses(t *testing.T) {
	tests := map[string]struct {
		answer string
		want   error
	}{
		"an error":   {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", errAnswer},
		"no head":    {"HTTP/1.1 200 OK\r\nServer: x\r\n", errEnd},
		"an old one": {"ICY 200", errEnd},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			c := testCrowd(t)
			if err := c.join(script(t, test.answer), "/"); err != nil {
				t.Fatal(err)
			}
			if err := c.wait(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestVisit(t *testing.T) {
	testkit.NoLeaks(t)
	body := packets(24*packetsPerFrame-5, 400)
	addr := script(t, streamHead+string(body[:packetSize*2]), string(body[packetSize*2:]))
	v, err := pay(addr, "/", true, testkit.Patience)
	if err != nil || v.packet <= 0 || v.picture < v.packet {
		t.Errorf("visit %+v, %v", v, err)
	}
	if _, err := pay(script(t, streamHead, string(body[:packetSize*5])), "/", true, testkit.Patience); !errors.Is(err, errEnd) {
		t.Errorf("a stream without a key frame: %v, want %v", err, errEnd)
	}
	if _, err := pay(script(t, "HTTP/1.1 404 Not Found\r\n\r\n"), "/", false, testkit.Patience); !errors.Is(err, errAnswer) {
		t.Errorf("no stream: %v, want %v", err, errAnswer)
	}
}

func testCrowd(t *testing.T) *crowd {
	t.Helper()
	c, err := newCrowd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// script is a server that reads one request, writes the parts and closes.
func script(t *testing.T, parts ...string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			t.Error(err)
		}
		for _, p := range parts {
			if _, err := conn.Write([]byte(p)); err != nil && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}

func localAddr(t *testing.T, fd int) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
}

func TestParsePeers(t *testing.T) {
	peers, err := parsePeers("udpxy=/opt/udpxy -T -p {PORT} ; msd_lite = msd_lite --port={PORT};")
	if err != nil || len(peers) != 2 {
		t.Fatalf("%v, %v", peers, err)
	}
	if peers[1].name != "msd_lite" || strings.Join(peers[0].command, "|") != "/opt/udpxy|-T|-p|{PORT}" {
		t.Errorf("got %+v", peers)
	}
	for _, bad := range []string{"udpxy", "udpxy=", "udpxy=/bin/udpxy -p 4022"} {
		if _, err := parsePeers(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestChoose(t *testing.T) {
	chosen, err := choose(options{names: "memory,relay-200", clients: 700})
	if err != nil || len(chosen) != 2 || chosen[0].name != "relay-200" || chosen[1].clients != 700 {
		t.Errorf("got %v, %v", chosen, err)
	}
	groups := map[string]int{
		frontName: len(frontScenarios()), tcpName: len(tcpScenarios()), originName: len(originScenarios()),
	}
	groups[allName] = len(scenarios()) - groups[frontName] - groups[tcpName] - groups[originName]
	for name, want := range groups {
		if of, err := choose(options{names: name}); err != nil || len(of) != want {
			t.Errorf("%s: %d scenarios, want %d, %v", name, len(of), want, err)
		}
	}
	for _, bad := range []options{{names: "relay-200,nonsense"}, {names: ""}, {names: "memory", clients: 200}} {
		if _, err := choose(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
