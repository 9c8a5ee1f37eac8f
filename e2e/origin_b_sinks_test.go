//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// runSinks is a `sluice run` whose origin is told what stands in its section, and whose other settings are more. What is asked of
// front is asked of the origin.
func runSinks(t *testing.T, more, section string) (front *product, o *originRun) {
	t.Helper()
	o = &originRun{t: t, addr: freePort(t), admin: freePort(t), web: originClient}
	o.url = "http://" + o.addr
	p := run(t, settings{config: fmt.Sprintf("%sorigin:\n  listen: %s\n  admin: %s\n  maxp: 0\n  upload_stall: 5m\n%s", more, o.addr, o.admin, section)})
	o.proc = p.proc
	at := *p
	at.user = o.addr
	return &at, o
}

// joinedFeed is a made-up channel that the product receives from its start on.
func joinedFeed(t *testing.T, front *product, group string) *feed {
	t.Helper()
	f := feedTo(t, front, group)
	joined(t, group)
	return f
}

// packetsOf are packets of the made-up channel, as bytes.
func packetsOf(from, to int) (b []byte) {
	for n := from; n < to; n++ {
		b = appendNumbered(b, n)
	}
	return b
}

// beginningServer is a source that sends n groups of the made-up channel to each who comes, and then nothing more.
func beginningServer(t *testing.T, n int) *remote {
	return newRemote(t, func(c net.Conn) {
		if _, err := c.Write(packetsOf(0, n*groupPackets)); err == nil {
			mute(c)
		}
	})
}

// testSinkBegins: the source of a sink runs from the start on, and what nobody has watched is gone; with hold it begins with the first client,
// who gets its first byte.
func testSinkBegins(t *testing.T) {
	const groups = 5
	group, held, runs := newGroup(), beginningServer(t, groups), beginningServer(t, groups)
	front, o := runSinks(t, "no_data: 1h\nlinger: 1h\nhistory: {channel: 1MiB}\n", fmt.Sprintf(`  sinks:
    held: {channel: 'tcp://%s', path: /held.ts, hold: true}
    runs: {channel: 'tcp://%s', path: /runs.ts}
    fed: {channel: 'udp://%s', path: /fed.ts}
`, held.addr, runs.addr, group))
	testkit.Eventually(t, func() error {
		if runs.calls.Load() == 0 {
			return errors.New("nobody has come to the source without hold")
		}
		return nil
	})
	f := joinedFeed(t, front, group)
	f.more(60) // dropped: all but what late joiners begin with
	if a := o.ask(http.MethodHead, "/held.ts", ""); a.StatusCode != 200 {
		t.Errorf("HEAD of a sink that holds: %s", a.Status)
	}
	if n := held.calls.Load(); n != 0 {
		t.Errorf("%d have come to the source that is to be held", n)
	}
	late, first, second := take(front, "/fed.ts", anyAddress), take(front, "/held.ts", anyAddress), take(front, "/runs.ts", anyAddress)
	first.until(groups * groupPackets)
	second.until(groups * groupPackets)
	if got := first.packets(); !slices.Equal(got, []stretch{{0, groups * groupPackets}}) {
		t.Errorf("the first client of a sink that holds has %v", got)
	}
	f.more(1)
	f.delivered(late)
	whole(late, second)
	if from := late.packets()[0].from; from == 0 {
		t.Error("a sink without clients has kept its first byte")
	}
	if a, b := held.calls.Load(), runs.calls.Load(); a != 1 || b != 1 {
		t.Errorf("%d and %d have come to the sources, want one each", a, b)
	}
}

// testSinkReply: a sink says what it is, and that nobody is to keep it; it has no ranges, and nobody can write it.
func testSinkReply(t *testing.T) {
	group := newGroup()
	send(t, h264, "udp", group)
	addr := freePort(t)
	o := startOriginAt(t, addr, "-i", "udp://"+group, "--dst", "http://"+addr+"/live.ts", "-i", "udp://"+group, "--dst", "/any")
	o.proc.WaitLine(`msg="engine attached"`)
	for _, path := range []string{"/live.ts", "/any"} { // the type is that of the path, else that of the channel
		o.overEach(func(t *testing.T, o *originRun) {
			f := o.follow(path, "Range", "bytes=0-3", "If-None-Match", "*")
			a := reply{Response: f.Response}
			if f.StatusCode != 200 || f.ContentLength >= 0 || f.Header.Get("Etag")+f.Header.Get("Content-Range") != "" {
				t.Errorf("a sink answers %s %v", f.Status, f.Header)
			}
			if f.ProtoMajor == 1 && !slices.Equal(f.TransferEncoding, []string{"chunked"}) {
				t.Errorf("over HTTP/1 it comes as %v, want chunks", f.TransferEncoding)
			}
			a.has(t, "Cache-Control", "no-cache, no-store")
			a.has(t, "Content-Type", "video/mp2t")
			packets := make([]byte, 100*ts.PacketSize)
			if _, err := io.ReadFull(f.Body, packets); err != nil || packets[0] != ts.SyncByte || packets[99*ts.PacketSize] != ts.SyncByte {
				t.Errorf("what comes begins with %x, %v", packets[:8], err)
			}
			f.Body.Close()
			head := o.ask(http.MethodHead, path, "")
			head.has(t, "Content-Type", "video/mp2t")
			head.has(t, "Cache-Control", "no-cache, no-store")
			if head.StatusCode != 200 || head.body != "" {
				t.Errorf("HEAD: %s %q", head.Status, head.body)
			}
			o.put(path, "x", 405).has(t, "Allow", "GET,HEAD,OPTIONS")
		})
	}
	o.eventually(func(st report.Origin) error {
		if len(st.Sinks) != 2 || st.Sinks[0].Clients+st.Sinks[1].Clients != 0 {
			return fmt.Errorf("the sinks are %+v, want two without clients", st.Sinks)
		}
		return nil
	})
	o.get("/none.ts", 404)
}

// testSinkLate: who comes late has at once what a decoder can begin with, from its tables on.
func testSinkLate(t *testing.T) {
	group, clip := newGroup(), newGroup()
	front, o := runSinks(t, "no_data: 1h\n", fmt.Sprintf("  sinks: {fed.ts: {channel: 'udp://%s'}, clip.ts: {channel: 'udp://%s'}}\n", group, clip))
	f := joinedFeed(t, front, group)
	f.more(10)
	late := take(front, "/fed.ts", anyAddress)
	f.delivered(late) // while nothing more is sent
	if got, want := late.packets(), []stretch{{9 * groupPackets, 10 * groupPackets}}; !slices.Equal(got, want) {
		t.Errorf("a late joiner has the packets %v, want those of the newest group, %v", got, want)
	}
	testkit.Need(t, "ffprobe")
	joined(t, clip)
	send(t, h264, "udp", clip)
	warm := watch(t, o.url+"/clip.ts")
	warm.untilStart()
	player := watch(t, o.url+"/clip.ts")
	player.untilStart()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=flags",
		"-of", "csv=p=0", "-read_intervals", "%+#1", o.url+"/clip.ts").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "K") {
		t.Errorf("ffprobe, late: %q, %v; want a key frame and no complaint", out, err)
	}
	player.mu.Lock()
	defer player.mu.Unlock()
	if pid := int(player.head[1])&0x1f<<8 | int(player.head[2]); pid != 0 || player.firstAt > inTables*ts.PacketSize {
		t.Errorf("it begins with the PID %d, and a decoder can begin at byte %d; want PAT, PMT and a key frame", pid, player.firstAt)
	}
}

// testSinkSlow: a client that takes too little is the business of the channel, or of max_async_buf where that is said; nobody else notices.
func testSinkSlow(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"disconnect": func(t *testing.T) { testSlowLeaves(t, "slow: disconnect\n", "") },
		"buffer":     func(t *testing.T) { testSlowLeaves(t, "", "max_async_buf: 100KB") },
		"skip":       testSlowSkips,
		"burst":      testSlowBurst,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// fedSink is a sink of a made-up channel with settings of both.
func fedSink(t *testing.T, more, sink string) (front *product, o *originRun, f *feed) {
	t.Helper()
	group := newGroup()
	front, o = runSinks(t, "no_data: 1h\n"+more, fmt.Sprintf("  sinks: {fed.ts: {channel: 'udp://%s', %s}}\n", group, sink))
	f = joinedFeed(t, front, group)
	f.more(1)
	return front, o, f
}

// testSlowLeaves: a client that takes nothing is disconnected; the others get each packet, and so does who comes then.
func testSlowLeaves(t *testing.T, more, sink string) {
	front, o, f := fedSink(t, "history: {channel: 4MiB}\n"+more, sink)
	good := takeMany(front, "/fed.ts", 3)
	bad := settled(front, "/fed.ts")
	for there := true; there; {
		if len(f.sent) > 200<<20 {
			t.Fatal("a client that takes nothing is there after 200 MiB")
		}
		f.more(32)
		f.delivered(good...)
		_, err := clientOf(front.status(), bad.addr)
		there = err == nil
	}
	bad.read(t)
	if err := bad.end(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("who was disconnected sees %v, want that it broke off", err)
	}
	if sink != "" {
		o.proc.WaitLine(`"client disconnected".*client=` + bad.addr + ` .*100000 bytes waited`)
	}
	late := take(front, "/fed.ts", anyAddress)
	f.more(2)
	f.delivered(append(good, late)...)
	whole(append(good, late)...)
}

// settled is a client that has taken all there was, has waited for more for a while, and takes nothing from then on.
func settled(front *product, path string) *taker {
	t := front.t
	t.Helper()
	k, err := connect(front, path, anyAddress, smallWindow)
	if err == nil {
		err = k.head()
	}
	if err != nil {
		t.Fatal(err)
	}
	k.t = t
	t.Cleanup(func() { k.conn.Close() })
	if _, err := io.ReadFull(k.stream, make([]byte, groupBytes)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error {
		c, err := clientOf(front.status(), k.addr)
		if age := time.Since(c.Since); err == nil && age < 2*time.Second {
			err = fmt.Errorf("it is a client for %v only", age)
		}
		return err
	})
	return k
}

// testSlowSkips: a client that falls out of the history goes on with a later key frame, and stays.
func testSlowSkips(t *testing.T) {
	front, _, f := fedSink(t, "history: {channel: 1MiB}\nslow: skip\n", "")
	good := take(front, "/fed.ts", anyAddress)
	bad := stall(front, "/fed.ts", 1)[0]
	for skipped := uint64(0); skipped == 0; {
		if len(f.sent) > 200<<20 {
			t.Fatal("a client that takes nothing has skipped nothing after 200 MiB")
		}
		f.more(20)
		f.delivered(good)
		c, err := clientOf(front.status(), bad.addr)
		if err != nil {
			t.Fatal(err)
		}
		skipped = c.Skips
	}
	bad.resume()
	f.more(1)
	f.delivered(good, bad)
	if got := bad.check(); len(got) < 2 {
		t.Errorf("a client that has skipped has %v", got)
	}
	whole(good)
}

// testSlowBurst: what a joining client is sent of the past is no sign that it is slow, however long it takes for that.
func testSlowBurst(t *testing.T) {
	front, _, f := fedSink(t, "start: 1h\nhistory: {depth: 1h}\n", "max_async_buf: 50KB")
	const groups = 600 // 24 MB, more than sockets hold
	f.more(groups - 1)
	bad := stall(front, "/fed.ts", 1)[0]
	good := take(front, "/fed.ts", anyAddress)
	f.delivered(good)
	bad.resume()
	f.delivered(bad)
	f.more(1)
	f.delivered(good, bad)
	whole(good, bad)
	if from := bad.packets()[0].from; from != 0 {
		t.Errorf("its past begins with packet %d, want the first", from)
	}
}

// testSinkEnds: a file is sent to its end, and what was sent is no longer available; with reopen it begins anew.
func testSinkEnds(t *testing.T) {
	const packets = 4 * groupPackets
	file := put(t, filepath.Join(t.TempDir(), "film.ts"), string(packetsOf(0, packets)))
	for _, reopen := range []string{"false", "true"} {
		t.Run("reopen "+reopen, func(t *testing.T) {
			t.Parallel()
			o := startOrigin(t, "-i", file, "--dst", "/film.ts", "--reopen="+reopen)
			o.proc.WaitLine(`msg="engine attached"`)
			o.playsFilm(packets)
			if reopen == "true" {
				o.playsFilm(packets)
				return
			}
			o.proc.WaitLine(`msg="channel ended"`)
			if a := o.get("/film.ts", 404); !strings.Contains(a.body, "/film.ts is no longer available") {
				t.Errorf("after the end: %q", a.body)
			}
			if a := o.ask(http.MethodHead, "/film.ts", ""); a.StatusCode != 404 {
				t.Errorf("HEAD after the end: %s", a.Status)
			}
		})
	}
}

// playsFilm wants two clients to get a file of so many packets to its end, the first one from its first byte on.
func (o *originRun) playsFilm(packets int) {
	o.t.Helper()
	front := &product{t: o.t, user: o.addr}
	first := take(front, "/film.ts", anyAddress)
	second := take(front, "/film.ts", anyAddress)
	for _, k := range []*taker{first, second} {
		if err := k.end(); !errors.Is(err, io.EOF) || k.next() != packets { // behind the last chunk
			o.t.Errorf("it ends with %v at %v, want in good order at packet %d", err, k.packets(), packets)
		}
	}
	whole(first, second)
	if from := first.packets()[0].from; from != 0 {
		o.t.Errorf("the first client begins with packet %d", from)
	}
}
