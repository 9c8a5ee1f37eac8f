//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testPairIsGroup: /src/udp://G:P/dst/ is the channel of /udp/G:P, byte for byte.
func testPairIsGroup(t *testing.T) {
	p := run(t, settings{config: "no_data: 1h\nhistory: {depth: 1h}\n"})
	f := newFeed(t, p)
	f.first(f.path())
	var streams []io.Reader
	paths := []string{f.path(), pair("udp://"+f.group, ""), "/src/rtp://" + f.group + "/dst/"}
	for _, path := range paths {
		stream, err := body(p, path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		streams = append(streams, stream)
	}
	f.more(8)
	for i, stream := range streams {
		if err := same(stream, f.sent); err != nil {
			t.Errorf("%s: %v", paths[i], err)
		}
	}
	st := p.status()
	if c, _, err := channel(st, f.group); err != nil || st.Totals.Channels != 1 || len(c.Clients) != 4 {
		t.Errorf("%d channels, %d clients of %s (%v), want one channel with 4", st.Totals.Channels, len(c.Clients), f.group, err)
	}
	if n := members(t, f.group); n != 1 {
		t.Errorf("%d memberships, want 1", n)
	}
}

// testFileSource: a file is sent whole to each who asks for it, as it stands; its end is
// waited at for more, and is the end when nothing more comes.
func testFileSource(t *testing.T) {
	t.Run("grows", testFileGrows)
	t.Run("ends", testFileEnds)
}

func testFileGrows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := run(t, settings{config: "growth: 1h\nfiles: {read: ['" + dir + "']}\n"})
	all := madeUp(6)
	path := filepath.Join(dir, "a film.ts")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stream io.Reader
	written, sent := 0, 0
	for _, to := range []int{2*groupBytes + 100, 3 * groupBytes, 3*groupBytes + ts.PacketSize, len(all)} {
		if _, err := f.Write(all[written:to]); err != nil {
			t.Fatal(err)
		}
		if written = to; stream == nil {
			if stream, err = body(p, pair(fileURL(path), "")); err != nil {
				t.Fatal(err)
			}
		}
		whole := to - to%ts.PacketSize // what is cut in two may wait for its rest
		if err := same(stream, all[sent:whole]); err != nil {
			t.Fatalf("up to byte %d: %v", to, err)
		}
		sent = whole
	}
	other := filepath.Join(dir, "other.ts")
	if err := errors.Join(os.WriteFile(other, madeUp(1), 0o600), os.Rename(other, path)); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stream) // of a file whose name is another's, nothing more can come
	if err != nil || len(rest) != 0 {
		t.Errorf("behind the file came %d bytes, %v, want the end", len(rest), err)
	}
}

func testFileEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	access, config := accessLog(t)
	p := run(t, settings{config: config + "growth: 300ms\nfiles: {read: ['" + dir + "']}\n"})
	noise := make([]byte, 0, 3<<20)
	for i := range 3 << 10 {
		noise = append(noise, garbage(1<<10, i)...)
	}
	for name, content := range map[string][]byte{"film.ts": madeUp(60), "noise.bin": noise, "short.ts": madeUp(1)[:1000]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var streams []io.Reader
			for range 3 { // each has it from its beginning
				stream, err := body(p, pair(fileURL(path), ""))
				if err != nil {
					t.Fatal(err)
				}
				streams = append(streams, stream)
			}
			for i, stream := range streams {
				got, err := io.ReadAll(stream)
				if err := errors.Join(err, equal(got, content)); err != nil {
					t.Errorf("client %d: %v", i+1, err)
				}
			}
			logged(t, access, `event=client_close .*channel="FILE://`+path+`~\d+" .*reason="source ended"`)
		})
	}
}

// testFileTarget: a stream is written to a file; a disk that is full ends that session and
// no other.
func testFileTarget(t *testing.T) {
	small, large := testkit.SmallDisk(t, 1<<20), t.TempDir()
	access, config := accessLog(t)
	p := run(t, settings{config: config + fmt.Sprintf("no_data: 1h\nhistory: {depth: 1h}\nfiles: {write: ['%s', '%s']}\n", small, large)})
	f := newFeed(t, p)
	viewer := f.first(f.path())

	fullURL, full := fileTarget(small, "full.ts")
	wholeURL, whole := fileTarget(large, "whole.ts")
	channel, fullTag := started(t, p, pair("udp://"+f.group, fullURL))
	_, wholeTag := started(t, p, pair("udp://"+f.group, wholeURL))
	if channel != "UDP://"+f.group || fullTag != "FILE://"+full || wholeTag != "FILE://"+whole {
		t.Errorf("announced as %s to %s and %s", channel, fullTag, wholeTag)
	}
	f.more(2<<20/groupBytes + 1)
	p.over(channel, fullTag)
	logged(t, access, `event=client_close .*client="FILE://`+full+`" .*reason="write FILE://`+full+`: no space left on device"`)
	b := readFile(t, full)
	if len(b) == 0 || equal([]byte(b), f.sent[:min(len(b), len(f.sent))]) != nil {
		t.Errorf("the %d bytes on the full disk are not the beginning of the stream", len(b))
	}

	f.more(4)
	f.delivered(viewer)
	written(t, whole, f.sent)
	if _, err := session(p.status(), channel, wholeTag); err != nil {
		t.Error(err)
	}
	p.end(channel, wholeTag)
	p.over(channel, wholeTag)
	f.more(1)
	f.delivered(viewer)
	written(t, whole, f.sent[:len(f.sent)-groupBytes])
}

// testEveryEndIntoEvery is every kind of source into every kind of target.
func testEveryEndIntoEvery(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	m := &matrix{dir: dir, ca: ca, stream: madeUp(8), p: run(t, settings{
		config: fmt.Sprintf("no_data: 1h\ngrowth: 100ms\nsources: [127.0.0.0/8, 239.0.0.0/8]\ntargets: [127.0.0.0/8, 239.0.0.0/8]\n"+
			"files: {read: ['%s'], write: ['%s']}\n", dir, dir),
		through: ca.trusted(),
	})}
	t.Run("matrix", func(t *testing.T) {
		for _, from := range []origin{fromFile, fromTCP, fromUDP, fromHTTP, fromHTTPS} {
			for _, to := range []landing{toFile, toTCP, toUDP, toRTP, toGroup, toHTTP, toHTTPS, toClient} {
				t.Run(from.name+" to "+to.name, func(t *testing.T) {
					t.Parallel()
					m.cell(t, from, to)
				})
			}
		}
		t.Run("file to udp at a bit rate", func(t *testing.T) { t.Parallel(); m.clockless(t) })
	})
}

// matrix is a product and the stream that goes through every cell.
type matrix struct {
	p      *product
	ca     *authority
	dir    string
	stream []byte
}

// origin is a kind of source.
type origin struct {
	name string
	open func(t *testing.T, m *matrix) outflow
}

// outflow is an open source: its URL, and by what its tag in reports is known. One that waits
// for nobody has its beginning sent by first, once it was asked for, and the rest by rest,
// once that was answered.
type outflow struct {
	url, known  string
	first, rest func()
}

// landing is a kind of target.
type landing struct {
	name string
	open func(t *testing.T, m *matrix) inflow
}

// inflow is an open target: its URL, "" for the client itself; come waits for all of the
// stream, and nothing else; end, if it can be known, for its end in order.
type inflow struct {
	url  string
	come func()
	end  func()
	c    *catch // of the client
}

// cell sends the stream from one kind of end to another.
func (m *matrix) cell(t *testing.T, from origin, to landing) {
	source, target := from.open(t, m), to.open(t, m)
	path := pair(source.url, target.url)
	answered := make(chan error, 1)
	go func() {
		if target.url != "" {
			_, _, err := tryStarted(t, m.p, path)
			answered <- err
			return
		}
		k, err := knock(m.p, path, anyAddress)
		answered <- err
		if err == nil {
			_ = target.c.take(k.stream)
			k.conn.Close()
		}
	}()
	source.first()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	source.rest()
	target.come()
	m.p.eventually(func(st report.Status) error {
		if c, _, err := channelLike(st, source.known); err == nil {
			return fmt.Errorf("channel %s is %s after its source has ended", c.Tag, c.State)
		}
		return nil
	})
	if target.end != nil {
		target.end()
	}
	target.come()
}

// clockless: what has no clock is sent at the bit rate that was asked for.
func (m *matrix) clockless(t *testing.T) {
	noise := make([]byte, 0, 2<<20)
	for i := range 2 << 10 {
		noise = append(noise, garbage(1<<10, i)...)
	}
	path := filepath.Join(m.dir, "noise.bin")
	if err := os.WriteFile(path, noise, 0o600); err != nil {
		t.Fatal(err)
	}
	url, c := udpTarget(t, net.IPv4(127, 0, 0, 1), noHeader)
	started(t, m.p, pair(fileURL(path), url+"?bitrate=20M"))
	c.gets(t, noise)
}
