//go:build e2e && linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testSource: an upload is a channel for all clients of gws, is stored nowhere, and is not read here.
func testSource(t *testing.T) {
	dir := t.TempDir()
	front, o := runSinks(t, "", fmt.Sprintf("  rdirs: %s\n  wdir: %[1]s\n  maxs: 1KB\n  sources: [/ingest/]\n", dir))
	viewers := *front
	viewers.user = runUser(t, o)
	const path, piece = "/ingest/cam.ts", 2 * groupPackets
	u := o.begin(path, string(packetsOf(0, piece)))
	o.eventually(func(st report.Origin) error {
		if st.Uploads != 1 || st.Received != piece*ts.PacketSize {
			return fmt.Errorf("%d uploads, %d bytes received", st.Uploads, st.Received)
		}
		return nil
	})
	first := take(&viewers, "/upload"+path, anyAddress)
	first.until(piece)
	second := take(&viewers, "/upload"+path, anyAddress)
	u.says(string(packetsOf(piece, 2*piece)))
	for _, k := range []*taker{first, second} {
		k.until(2 * piece)
	}
	if from := first.packets()[0].from; from != 0 {
		t.Errorf("who was there first begins with packet %d", from)
	}
	o.get(path, 404)
	if a := o.ask(http.MethodHead, path, ""); a.StatusCode != 404 {
		t.Errorf("HEAD: %s, want 404", a.Status)
	}
	if a := o.ask(http.MethodPut, "/ingest/other.ts", "x", "Range", "bytes=0-0"); a.StatusCode != 416 {
		t.Errorf("PUT of a range: %s, want 416", a.Status)
	}
	o.put(path, "x", 409) // somebody is at it
	u.ends(201)
	reply{Response: u.resp}.has(t, "Content-Location", path)
	for _, k := range []*taker{first, second} {
		if err := k.end(); !errors.Is(err, io.EOF) || k.next() != 2*piece {
			t.Errorf("a client ends with %v at %v", err, k.packets())
		}
	}
	whole(first, second)
	onlyThere(t, dir)
	o.put("/a.m4s", letters, 201) // elsewhere uploads are objects
	onlyThere(t, dir, "a.m4s")
}

// runUser is the user port of the run that an origin belongs to.
func runUser(t *testing.T, o *originRun) string {
	t.Helper()
	return o.proc.WaitLine(`msg="sluice runs" .*listen=http://(\S+) `)[1]
}

// testICE: a radio speaks as Icecast does, in its head and, to who asks, between the bytes of its stream.
func testICE(t *testing.T) {
	testkit.Need(t, "ffmpeg", "ffprobe")
	file := filepath.Join(t.TempDir(), "radio.mp3")
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "20",
		"-c:a", "libmp3lame", "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0", file).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	_, o := runSinks(t, fmt.Sprintf("channels: {radio: {source: 'file://%s', pace: 2M}}\n", file),
		"  sinks: {radio: {channel: $radio, path: /radio.mp3, ice: true, title: \"The 'house' radio\", headers: [ice-genre, Jazz, ice-url, 'http://radio.example/']}}\n")
	plain := o.follow("/radio.mp3")
	for name, value := range map[string]string{
		"Content-Type": "audio/mpeg", "Cache-Control": "no-cache, no-store", "Icy-Pub": "1", "Icy-Name": "The 'house' radio", "Icy-Br": "64",
		"Ice-Audio-Info": "samplerate=48000;bitrate=64;channels=1", "Ice-Genre": "Jazz", "Ice-Url": "http://radio.example/", "Icy-Metaint": "",
	} {
		reply{Response: plain.Response}.has(t, name, value)
	}
	film := strings.Repeat(readFile(t, file), 3)
	part := make([]byte, 100_000)
	if _, err := io.ReadFull(plain.Body, part); err != nil || !strings.Contains(film, string(part)) {
		t.Errorf("without titles the stream is another than the file: %v", err)
	}
	plain.Body.Close()
	testTitles(t, o, film)
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_packets", "-read_intervals", "%+#200", "-show_entries", "format_tags:stream=codec_name,sample_rate", "-of", "default=nw=1",
		o.url+"/radio.mp3").CombinedOutput()
	for _, line := range []string{
		"codec_name=mp3", "sample_rate=48000", "TAG:icy-name=The 'house' radio", "TAG:icy-br=64", "TAG:icy-pub=1", "TAG:StreamTitle=The 'house' radio",
	} {
		if !strings.Contains(string(out), line+"\n") {
			t.Errorf("ffprobe has no %s, %v:\n%s", line, err, out)
		}
	}
}

// testTitles takes the blocks out of a stream: the first says the title, the others that it is the same; between them is the film.
func testTitles(t *testing.T, o *originRun, film string) {
	f := o.follow("/radio.mp3", "Icy-MetaData", "1")
	every, err := strconv.Atoi(f.Header.Get("Icy-Metaint"))
	if err != nil || every < 1000 || every > 100_000 {
		t.Fatalf("icy-metaint: %q, %v", f.Header.Get("Icy-Metaint"), err)
	}
	var stream bytes.Buffer
	var titles []string
	for range 4 {
		if _, err := io.CopyN(&stream, f.Body, int64(every)); err != nil {
			t.Fatal(err)
		}
		size := make([]byte, 1)
		if _, err := io.ReadFull(f.Body, size); err != nil {
			t.Fatal(err)
		}
		block := make([]byte, 16*int(size[0]))
		if _, err := io.ReadFull(f.Body, block); err != nil {
			t.Fatal(err)
		}
		titles = append(titles, strings.TrimRight(string(block), "\x00"))
	}
	if want := []string{"StreamTitle='The 'house' radio';", "", "", ""}; !slices.Equal(titles, want) {
		t.Errorf("the titles are %q, want %q", titles, want)
	}
	if !strings.Contains(film, stream.String()) {
		t.Error("what is between the titles is no part of the film")
	}
}

// testFileSink: a channel is written into the first directory and is read from its first byte on while it grows; when it is over it is a file.
func testFileSink(t *testing.T) {
	more, dir := make(chan int), t.TempDir()
	source := newRemote(t, func(c net.Conn) {
		at := 0
		for n := range more {
			_, _ = c.Write(packetsOf(at, at+n))
			at += n
		}
	})
	o := startOrigin(t, "-i", "tcp://"+source.addr, "--dst", "/rec/live.ts", dir)
	o.proc.WaitLine(`msg="engine attached"`)
	const piece = 3 * groupPackets
	more <- piece
	path := filepath.Join(dir, "rec/live.ts")
	testkit.Eventually(t, func() error {
		if a := o.ask(http.MethodHead, "/rec/live.ts", ""); a.StatusCode != 200 {
			return fmt.Errorf("%s while it is to grow", a.Status)
		}
		return nil
	})
	front := &product{t: t, user: o.addr}
	early := take(front, "/rec/live.ts", anyAddress)
	early.until(piece)
	more <- piece
	early.until(2 * piece)
	late := take(front, "/rec/live.ts", anyAddress)
	late.until(2 * piece)
	close(more)
	for _, k := range []*taker{early, late} {
		if err := k.end(); !errors.Is(err, io.EOF) {
			t.Errorf("the end of the channel is %v to a reader, want in good order", err)
		}
		if got := k.check(); !slices.Equal(got, []stretch{{0, 2 * piece}}) {
			t.Errorf("a reader has %v", got)
		}
	}
	all := string(packetsOf(0, 2*piece))
	a := o.get("/rec/live.ts", 200)
	a.has(t, "Content-Length", strconv.Itoa(len(all)))
	if a.body != all {
		t.Errorf("it has become a file of %d bytes, or of others, want %d", len(a.body), len(all))
	}
	seen(t, path, true) // a moment after its last byte
	holds(t, path, all)
	onlyThere(t, filepath.Join(dir, "rec"), "live.ts")
	testFileSinkStops(t)
	testFileSinkRefused(t)
}

// testFileSinkStops: what was written when the origin is ended is a file.
func testFileSinkStops(t *testing.T) {
	group, dir := newGroup(), t.TempDir()
	send(t, h264, "udp", group)
	o := startOrigin(t, "-i", "udp://"+group, "--dst", "/live.ts", dir)
	o.proc.WaitLine(`msg="engine attached"`)
	testkit.Eventually(t, func() error {
		if a := o.ask(http.MethodHead, "/live.ts", ""); a.StatusCode != 200 {
			return fmt.Errorf("%s", a.Status)
		}
		return nil
	})
	v := watch(t, o.url+"/live.ts")
	v.until(100_000)
	o.proc.Signal(syscall.SIGTERM)
	if err := o.proc.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := v.end(); !errors.Is(err, io.EOF) {
		t.Errorf("a reader sees %v when the origin ends, want the end of the file", err)
	}
	file := readFile(t, filepath.Join(dir, "live.ts"))
	if int64(len(file)) != v.received() || file[0] != 0x47 {
		t.Errorf("the file has %d bytes, its reader %d", len(file), v.received())
	}
	onlyThere(t, dir, "live.ts")
}

// testFileSinkRefused: a directory that cannot be written is a mistake of who starts it.
func testFileSinkRefused(t *testing.T) {
	testkit.Need(t, "setpriv")
	file := put(t, filepath.Join(t.TempDir(), "file"), "")
	locked := filepath.Join(t.TempDir(), "locked")
	if err := os.Mkdir(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/proc/sys/kernel", filepath.Join(file, "below"), locked} {
		_, said, code := output("setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override", // as root it could
			program(), "origin", "--run-dir", shortDir(t), "--listen", freePort(t), "-i", "udp://"+newGroup(), "--dst", "/live.ts", dir)
		if code <= 0 || !strings.Contains(said, strings.TrimSuffix(dir, "/below")) {
			t.Errorf("exit %d: %s; want that it does not start, and says which directory", code, said)
		}
	}
	onlyThere(t, locked)
}
