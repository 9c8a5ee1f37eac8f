//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/testkit"
)

// testRTPIsStripped: of RTP in every form that RFC 3550 has (5.1, 5.3.1) the payload is left,
// byte for byte; datagrams without it are relayed as they are.
func testRTPIsStripped(t *testing.T) {
	for name, wrap := range map[string]func(int, []byte) []byte{"RTP": rtpOfEveryForm, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := run(t, settings{config: "no_data: 1h\nhistory: {depth: 1h}\n"})
			f := newFeed(t, p)
			f.wrap = wrap
			k := f.first(f.path())
			stream, err := body(p, f.path())
			if err != nil {
				t.Fatal(err)
			}
			f.more(20)
			f.delivered(k)
			whole(k)
			if err := same(stream, f.sent); err != nil {
				t.Error(err)
			}
			c, _, err := channel(p.status(), f.group)
			if err != nil || c.Sources[0].RTP != (wrap != nil) || c.Sources[0].RTPLost != 0 || c.Sources[0].Legs[0].Malformed != 0 {
				t.Errorf("%v: sources %+v, want RTP %v and nothing lost", err, c.Sources, wrap != nil)
			}
		})
	}
}

// rtpOfEveryForm makes RTP packet n, with and without contributing sources, a header
// extension, padding and the marker. What is not payload looks like the beginning of a
// packet.
func rtpOfEveryForm(n int, payload []byte) []byte {
	sources, extended, padding := n%16, n%3 == 1, n%5*51 // 0 to 204
	b := []byte{0x80 | byte(sources), 33, byte(n >> 8), byte(n), 0, 0, 0, 0, 1, 2, 3, 4}
	if n%7 == 0 {
		b[1] |= 0x80
	}
	like := func(n int) {
		for range n {
			b = append(b, ts.SyncByte)
		}
	}
	like(4 * sources)
	if extended {
		b[0] |= 0x10
		words := n % 50
		b = append(b, 0xbe, 0xde, 0, byte(words))
		like(4 * words)
	}
	b = append(b, payload...)
	if padding > 0 {
		b[0] |= 0x20
		like(padding - 1)
		b = append(b, byte(padding))
	}
	return b
}

// testFromHistory: who comes later is served at once, though nothing is sent meanwhile.
func testFromHistory(t *testing.T) {
	p := run(t, settings{config: "no_data: 1h\n"})
	f := newFeed(t, p)
	first := f.first(f.path())
	f.more(3)
	for _, path := range []string{f.path(), "/rtp/" + f.group, f.path() + "?start=1h"} {
		k := take(p, path, anyAddress)
		f.delivered(k)
		if from := k.check()[0].from; from%groupPackets != 0 {
			t.Errorf("%s: it began with packet %d, want tables and a key frame", path, from)
		}
		whole(k)
	}
	f.delivered(first)
	whole(first)
}

// testOneSubscription: a hundred clients of one channel are one subscriber.
func testOneSubscription(t *testing.T) {
	const clients = 100
	t.Run("group", func(t *testing.T) {
		t.Parallel()
		p := run(t, settings{engines: 2, config: "no_data: 1h\n"})
		f, k := p.opened()
		all := append(takeMany(p, f.path(), clients-1), k)
		f.more(2)
		f.delivered(all...)
		whole(all...)
		c, _, err := channel(p.status(), f.group)
		if m, b := members(t, f.group), bound(t, f.group); err != nil || len(c.Clients) != clients || m != 1 || b != 1 {
			t.Errorf("%d clients (%v), %d memberships, %d sockets; want %d, one and one", len(c.Clients), err, m, b, clients)
		}
	})
	t.Run("connection", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int32
		rest := make(chan struct{})
		stream := madeUp(20)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			_, _ = w.Write(stream[:groupBytes])
			w.(http.Flusher).Flush()
			select {
			case <-rest:
				_, _ = w.Write(stream[groupBytes:])
			case <-r.Context().Done():
			}
		}))
		defer s.Close()
		p := run(t, settings{engines: 2, config: "no_data: 1h\nsources: [127.0.0.0/8]\n"})
		var streams []io.Reader
		for range clients {
			got, err := body(p, pair(s.URL+"/live.ts", ""))
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, got)
		}
		close(rest)
		for i, got := range streams {
			if err := same(got, stream); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the source was asked %d times for %d clients, want once", n, clients)
		}
	})
}

// testLastClientGone: a channel stays while it has a client, and for its linger time then.
func testLastClientGone(t *testing.T) {
	short, long := source(t), source(t)
	access, config := accessLog(t)
	p := run(t, settings{config: config + "linger: 300ms\nchannels: {long: {source: 'udp://" + long + "', linger: 1h}}\n"})
	k := take(p, "/$long", anyAddress)
	k.close()
	p.state(long, "lingering")

	all := takeMany(p, "/udp/"+short, 2)
	all[0].close()
	awaitEntry(t, access, "event", "client_close", "client", "TCP://"+all[0].addr)
	goesOn(groupPackets, all[1])
	whole(all[1])
	all[1].close()
	closed := awaitEntry(t, access, "event", "channel_close", "channel", "UDP://"+short)
	if closed["reason"] != "unused" {
		t.Errorf("the channel closed because of %q, want that it was unused", closed["reason"])
	}
	testkit.Eventually(t, func() error {
		if m, b := members(t, short), bound(t, short); m != 0 || b != 0 {
			return fmt.Errorf("%d memberships, %d sockets after the channel has closed", m, b)
		}
		return nil
	})
	p.state(long, "lingering") // its time is longer
	if n := members(t, long); n != 1 {
		t.Errorf("%d memberships of a channel that lingers, want 1", n)
	}
}

// testSilentChannel: clients of a channel that gets no data any more are closed in good order,
// and the access log says why.
func testSilentChannel(t *testing.T) {
	access, config := accessLog(t)
	silent := newGroup()
	p := run(t, settings{config: config + "no_data: 1h\nchannels: {silent: {source: 'udp://" + silent + "', no_data: 2s}}\n"})
	f := feedTo(t, p, silent)
	other, watcher := p.opened()
	all := append([]*taker{f.first("/$silent")}, takeMany(p, "/$silent", 2)...)
	f.more(2)
	f.delivered(all...)
	for _, k := range all {
		if err := k.end(); !errors.Is(err, io.EOF) {
			t.Errorf("a stream ended with %v, want an orderly end", err)
		}
		e := awaitEntry(t, access, "event", "client_close", "client", "TCP://"+k.addr)
		if e["reason"] != "no data" || e["channel"] != "UDP://"+silent {
			t.Errorf("entry %v, want that there was no data", e)
		}
	}
	whole(all...)
	if e := awaitEntry(t, access, "event", "channel_close", "channel", "UDP://"+silent); e["reason"] != "no data" {
		t.Errorf("entry %v, want that there was no data", e)
	}
	other.more(2)
	other.delivered(watcher)
	whole(watcher)
}

// testClientThatDoesNotRead: who does not read skips or is closed as it is set; others notice
// nothing of it.
func testClientThatDoesNotRead(t *testing.T) {
	for _, policy := range []string{"skip", "disconnect"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			p := run(t, settings{config: stallsLong + "slow: " + policy + "\nhistory: {depth: 1h, channel: 1MiB}\n"})
			f := newFeed(t, p)
			healthy := f.first(f.path())
			slow := stall(p, f.path(), 1)[0]
			if policy == "skip" {
				slowSkips(t, f, healthy, slow)
			} else {
				slowIsDisconnected(t, f, healthy, slow)
			}
			whole(healthy)
		})
	}
	t.Run("stall", func(t *testing.T) {
		t.Parallel()
		access, config := accessLog(t)
		p := run(t, settings{config: config + "stall: 300ms\nno_data: 1h\nhistory: {depth: 1h}\n"})
		f := newFeed(t, p)
		healthy := f.first(f.path())
		stuck := stall(p, f.path(), 1)[0]
		f.more(16) // more than the connection holds
		e := awaitEntry(t, access, "event", "client_close", "client", "TCP://"+stuck.addr)
		if e["reason"] != "client stuck" {
			t.Errorf("entry %v, want that the client was stuck", e)
		}
		f.more(1)
		f.delivered(healthy)
		whole(healthy)
	})
}

// testSlowloris: a request that does not come in is given up after its time, and disturbs
// nobody.
func testSlowloris(t *testing.T) {
	p, group := run(t, settings{config: "request_timeout: 500ms\n"}), source(t)
	k := take(p, "/udp/"+group, anyAddress)
	for name, begun := range map[string]string{
		"nothing":       "",
		"half a line":   "GET /udp/",
		"half a head":   "GET /udp/" + group + " HTTP/1.1\r\nHost: x\r\n",
		"half a header": "GET /udp/" + group + " HTTP/1.1\r\nHost: x\r\nX-A: ",
	} {
		for _, trickles := range []bool{false, true} {
			if trickles && begun == "" {
				continue
			}
			t.Run(fmt.Sprintf("%s, more %v", name, trickles), func(t *testing.T) {
				t.Parallel()
				neverWhole(t, p.user, begun, trickles)
			})
		}
	}
	t.Run("others", func(t *testing.T) {
		goesOn(groupPackets, k, take(p, "/udp/"+group, anyAddress))
		whole(k)
	})
}

// neverWhole begins a request, sends a letter now and then or nothing more, and waits for the
// server to have enough of it.
func neverWhole(t *testing.T, addr, begun string, trickles bool) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testkit.Patience))
	if _, err := io.WriteString(c, begun); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		closed <- err
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-closed:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the request is still waited for")
			}
			return
		case <-tick.C:
			if trickles {
				_, _ = io.WriteString(c, "a") // closed is told above
			}
		}
	}
}

// testFlushBeforeClose: what a source delivered before it stopped reaches every client whole,
// also one that reads nothing before the source has gone.
func testFlushBeforeClose(t *testing.T) {
	dir := t.TempDir()
	p := run(t, settings{config: fmt.Sprintf("stall: 1h\nno_data: 2s\ngrowth: 300ms\nlinger: 0s\nhistory: {depth: 1h}\n"+
		"sources: [127.0.0.0/8, 239.0.0.0/8]\nfiles: {read: ['%s']}\n", dir)})
	stream := madeUp(100) // 3.8 MiB, more than connections hold
	for name, open := range map[string]func(*testing.T) stopping{
		"udp": func(t *testing.T) stopping { return stoppingGroup(newFeed(t, p), stream) },
		"tcp": func(t *testing.T) stopping { return stoppingConnection(t, stream, "tcp", "") },
		"http": func(t *testing.T) stopping {
			return stoppingConnection(t, stream, "http", "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
		},
		"http with a length": func(t *testing.T) stopping {
			return stoppingConnection(t, stream, "http", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(stream)))
		},
		"file": func(t *testing.T) stopping {
			path := put(t, filepath.Join(dir, "film.ts"), string(stream))
			return stopping{fileURL(path), nothing, nothing}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			type result struct {
				b   []byte
				err error
			}
			path, had := pair(s.url, "?start=1h"), make(chan result, 1)
			go func() {
				k, err := knock(p, path, anyAddress)
				var b []byte
				if err == nil {
					b, err = k.rest()
				}
				had <- result{b, err}
			}()
			s.begin()
			slow := stall(p, path, 1)[0]
			s.finish()
			if r := <-had; errors.Join(r.err, equal(r.b, stream)) != nil {
				t.Errorf("who reads: %v, %v", r.err, equal(r.b, stream))
			}
			if _, err := clientOf(p.status(), slow.addr); err != nil {
				t.Error("who does not read was closed")
			}
			if err := slow.head(); err != nil {
				t.Fatal(err)
			}
			b, err := slow.rest()
			if err := errors.Join(err, equal(b, stream)); err != nil {
				t.Errorf("who reads late: %v", err)
			}
		})
	}
}

// rest reads to the end of the stream.
func (k *taker) rest() ([]byte, error) {
	defer k.conn.Close()
	_ = k.conn.SetReadDeadline(time.Now().Add(testkit.Patience))
	return io.ReadAll(k.stream)
}

// stopping is a source that stops when it has sent all of its stream: begin sends what a
// client is answered with, finish the rest.
type stopping struct {
	url           string
	begin, finish func()
}

// stoppingGroup is one that has no end but silence.
func stoppingGroup(f *feed, stream []byte) stopping {
	return stopping{
		url:    "udp://" + f.group,
		begin:  func() { joined(f.p.t, f.group); f.more(1) },
		finish: func() { f.more(len(stream)/groupBytes - 1) },
	}
}

// stoppingConnection is one that is closed behind the last byte.
func stoppingConnection(t *testing.T, stream []byte, scheme, head string) stopping {
	t.Helper()
	rest := make(chan struct{})
	addr := listen(t, func(c net.Conn) {
		if scheme == "http" {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
		}
		_, err := c.Write(append([]byte(head), stream[:groupBytes]...))
		select {
		case <-rest:
		case <-t.Context().Done():
			return
		}
		if err == nil {
			_, _ = c.Write(stream[groupBytes:])
		}
	})
	return stopping{scheme + "://" + addr, nothing, func() { close(rest) }}
}
