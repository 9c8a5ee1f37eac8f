package live

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/internal/testkit"
)

// TestTitleText: what stands in a block is one line that no title can end early.
func TestTitleText(t *testing.T) {
	for title, want := range map[string]string{
		"":                       "StreamTitle='';",
		"Nina Simone - Sinner":   "StreamTitle='Nina Simone - Sinner';",
		"Guns N' Roses":          "StreamTitle='Guns N' Roses';",
		"a'; StreamUrl='b":       "StreamTitle='a\u2019; StreamUrl='b';",
		"two\r\nlines\x00":       "StreamTitle='two  lines ';",
		"no UTF-8: \xff":         "StreamTitle='no UTF-8: \uFFFD';",
		strings.Repeat("é", 3e3): "StreamTitle='" + strings.Repeat("é", 2032) + "';",
	} {
		got := titleText(title)
		if got != want {
			t.Errorf("%q: %q", title, got)
		}
		if len(got) > maxBlock {
			t.Errorf("%d bytes, more than a block has", len(got))
		}
	}
}

// TestBlocks: the bytes of a stream with metadata, written out.
func TestBlocks(t *testing.T) {
	titles := []string{"One", "One", "", "", "exactly 17 bytes!"}
	var out bytes.Buffer
	w := newTitled(&out, func() (now string) {
		now, titles = titles[0], titles[1:]
		return now
	})
	piece := bytes.Repeat([]byte{'.'}, titleInterval)
	for range 6 {
		if n, err := w.Write(piece); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	want := string(piece) +
		"\x02StreamTitle='One';" + strings.Repeat("\x00", 14) + string(piece) +
		"\x00" + string(piece) +
		"\x01StreamTitle='';\x00" + string(piece) +
		"\x00" + string(piece) +
		"\x02StreamTitle='exactly 17 bytes!';" + string(piece)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// readTitled reads a stream with metadata as a player does, and returns the stream and what it says at which byte.
func readTitled(t interface{ Fatalf(string, ...any) }, in *bufio.Reader, interval int) (stream []byte, titles map[int]string) {
	titles = make(map[int]string)
	for {
		piece := make([]byte, interval)
		n, err := io.ReadFull(in, piece)
		stream = append(stream, piece[:n]...)
		if err != nil {
			return stream, titles
		}
		length, err := in.ReadByte()
		if err != nil {
			return stream, titles
		}
		block := make([]byte, 16*int(length))
		if _, err := io.ReadFull(in, block); err != nil {
			t.Fatalf("a block is cut: %v", err)
		}
		if length > 0 {
			titles[len(stream)] = strings.TrimRight(string(block), "\x00")
		}
	}
}

// TestAnyPieces: however a stream is cut, a player gets its bytes and each title once.
func TestAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 5*titleInterval).Draw(t, "size")
		body := random(size)
		var out bytes.Buffer
		title := ""
		want := make(map[int]string) // titles, by where they are told
		told := "StreamTitle='';"
		w := newTitled(&out, func() string { return title })
		for at := 0; at < size; {
			title = rapid.SampledFrom([]string{"", "a", "another one"}).Draw(t, "title")
			n := rapid.IntRange(1, size-at).Draw(t, "piece")
			first := (at + titleInterval - 1) / titleInterval * titleInterval // the block that this piece meets first
			if first == 0 {
				first = titleInterval
			}
			if text := "StreamTitle='" + title + "';"; first < at+n && text != told {
				want[first], told = text, text
			}
			if got, err := w.Write(body[at : at+n]); got != n || err != nil {
				t.Fatalf("%d %v", got, err)
			}
			at += n
		}
		stream, titles := readTitled(t, bufio.NewReader(&out), titleInterval)
		if !bytes.Equal(stream, body) {
			t.Fatalf("%d bytes came out of %d, or other ones", len(stream), len(body))
		}
		if diff := cmp.Diff(want, titles); diff != "" {
			t.Fatal(diff)
		}
	})
}

// mp3 is n frames of MPEG-1 layer III, 44.1 kHz, 128 kbit/s, stereo.
func mp3(n int) (b []byte) {
	for range n {
		b = append(b, 0xFF, 0xFB, 0x90, 0x00)
		b = append(b, make([]byte, 413)...)
	}
	return b
}

// adts is n frames of AAC, 48 kHz, with channels as the head has them.
func adts(n, size, channels int) (b []byte) {
	for range n {
		b = append(b, 0xFF, 0xF1, 0x4C|byte(channels>>2), byte(channels<<6)|byte(size>>11), byte(size>>3), byte(size<<5)|0x1F, 0xFC)
		b = append(b, make([]byte, size-7)...)
	}
	return b
}

func TestListen(t *testing.T) {
	for _, c := range []struct {
		name, info, mediaType string
		begin                 []byte
		enough                bool
	}{
		{"MP3", "samplerate=44100;bitrate=128;channels=2", "audio/mpeg", mp3(8), true},
		{"joined in the middle", "samplerate=44100;bitrate=128;channels=2", "audio/mpeg", mp3(9)[300:], true},
		{"three frames are no accident", "samplerate=44100;bitrate=128;channels=2", "audio/mpeg", mp3(3), false},
		{"the third is cut", "samplerate=44100;bitrate=128;channels=2", "audio/mpeg", mp3(3)[:2*417+4], false},
		{"two may be one", "", "", mp3(2), false},
		{"AAC", "samplerate=48000;bitrate=96;channels=2", "audio/aac", adts(8, 256, 2), true},
		{"AAC, channels told within", "samplerate=48000;bitrate=96", "audio/aac", adts(8, 256, 0), true},
		{"its mean rate", "samplerate=48000;bitrate=144;channels=2", "audio/aac", append(adts(4, 256, 2), adts(4, 512, 2)...), true},
		{"another stream behind it", "samplerate=48000;bitrate=96;channels=2", "audio/aac", append(adts(4, 256, 2), mp3(9)...), false},
		{"an accident before it", "samplerate=44100;bitrate=128;channels=2", "audio/mpeg", append(mp3(2), append([]byte("rubbish"), mp3(8)...)...), true},
		{"no sound", "", "", bytes.Repeat([]byte("G...."), 1000), false},
		{"nothing", "", "", nil, false},
	} {
		s := listen(c.begin)
		if s.info() != c.info || s.mediaType() != c.mediaType || (s.frames == soundFrames) != c.enough {
			t.Errorf("%s: %q %q %d", c.name, s.info(), s.mediaType(), s.frames)
		}
	}
}

func FuzzListen(f *testing.F) {
	f.Add(mp3(8))
	f.Add(adts(9, 100, 2)[50:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := listen(b); s.frames > 0 && (s.bitrate <= 0 || s.info() == "" || s.frames > soundFrames) {
			t.Errorf("%+v", s)
		}
	})
}

// TestICY is acceptance 48: the headers, in the spelling that players know, and blocks of metadata for who asks.
func TestICY(t *testing.T) {
	testkit.NoLeaks(t)
	st := newStation("video/mp2t")
	var title atomic.Value
	title.Store("First")
	p := NewPlayer(Sink{
		ICE: true, Name: "Radio Überall", Headers: [][2]string{{"ice-Genre", "CoolRock"}}, Title: func() string { return title.Load().(string) },
	}, st, testkit.Patience, discard)
	s := serve(t, p)
	conn := dial(t, s, "GET /radio.mp3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nIcy-MetaData: 1\r\n\r\n")
	v := st.next(t)
	body := mp3(100)
	v.write(t, body[:titleInterval+1])
	in := bufio.NewReader(conn)
	head := readHead(t, in)
	want := []string{
		"HTTP/1.1 200 OK", "Cache-Control: no-cache, no-store", "Connection: close", "Content-Type: audio/mpeg", "Transfer-Encoding: chunked",
		"icy-metaint: 16000", "ice-Genre: CoolRock", "icy-br: 128", "icy-name: Radio Überall", "icy-pub: 1",
		"ice-audio-info: samplerate=44100;bitrate=128;channels=2",
	}
	for _, line := range want {
		if !strings.Contains(head, line+"\r\n") {
			t.Errorf("no %q in %q", line, head)
		}
	}
	request, _ := http.NewRequest(http.MethodGet, "/", nil)
	answer, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head+"\r\n"), in)), request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	first := make([]byte, titleInterval+1+32+1) // with a block, and a byte behind it
	if _, err := io.ReadFull(answer.Body, first); err != nil {
		t.Fatal(err)
	}
	title.Store("Second")
	go func() {
		v.write(t, body[titleInterval+1:])
		v.Close()
	}()
	stream, titles := readTitled(t, bufio.NewReader(io.MultiReader(bytes.NewReader(first), answer.Body)), titleInterval)
	if !bytes.Equal(stream, body) {
		t.Error("other bytes than were sent")
	}
	if diff := cmp.Diff(map[int]string{titleInterval: "StreamTitle='First';", 2 * titleInterval: "StreamTitle='Second';"}, titles); diff != "" {
		t.Error(diff)
	}
	t.Run("a head alone", func(t *testing.T) {
		h := get(t, client1(t), http.MethodHead, s.URL+"/radio.mp3").Header
		if h.Get("Icy-Br") != "128" || h.Get("Content-Type") != "audio/mpeg" || h.Get("Icy-Metaint") != "" || len(st.viewers) > 0 {
			t.Errorf("%v, %d more asked", h, len(st.viewers))
		}
	})
}

// readHead reads the head of an answer, without the empty line.
func readHead(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return head.String()
		}
		head.WriteString(line)
	}
}

// TestNoICY: who does not ask gets no blocks, and without ice there are none of the headers.
func TestNoICY(t *testing.T) {
	testkit.NoLeaks(t)
	for name, sink := range map[string]Sink{
		"not asked for": {ICE: true, Type: "audio/aacp", Name: "N", Bitrate: 64}, "no ice": {Type: "audio/aacp", Name: "N", Bitrate: 64},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStation("video/mp2t")
			s := serve(t, NewPlayer(sink, st, 0, discard))
			body := random(3 * titleInterval)
			go func() {
				v := <-st.viewers
				v.write(t, body)
				v.Close()
			}()
			header := []string{"Icy-MetaData", "0"}
			if !sink.ICE {
				header[1] = "1"
			}
			answer := get(t, client1(t), http.MethodGet, s.URL+"/radio", header...)
			read(t, answer.Body, body)
			h := answer.Header
			if h.Get("Icy-Metaint") != "" || h.Get("Content-Type") != "audio/aacp" || (h.Get("Icy-Br") == "64") != sink.ICE || (h.Get("Icy-Name") == "N") != sink.ICE {
				t.Errorf("%v", h)
			}
		})
	}
}

// TestFFprobe: a real player reads what the radio says of itself, and the title between the bytes.
func TestFFprobe(t *testing.T) {
	testkit.Need(t, "ffmpeg", "ffprobe")
	testkit.NoLeaks(t)
	song := filepath.Join(t.TempDir(), "song.mp3")
	if out, err := exec.Command("ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "sine=duration=60", "-ac", "2", "-ar", "44100", "-b:a", "96k", "-write_xing", "0", song).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	body, err := os.ReadFile(song)
	if err != nil {
		t.Fatal(err)
	}
	st := newStation("")
	s := serve(t, NewPlayer(Sink{ICE: true, Name: "Radio 1", Headers: [][2]string{{"icy-genre", "Sine"}}, Title: func() string { return "A - 'Long' Tone; loud" }}, st, testkit.Patience, discard))
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		v := <-st.viewers
		_, _ = v.Write(body) // as much as it likes
		v.Close()
	}()
	probe := exec.Command("ffprobe", "-v", "error", "-count_packets", "-read_intervals", "%+#200", "-show_entries", "format_tags:format=format_name", "-of", "default=nw=1", s.URL+"/radio.mp3")
	out, err := probe.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"format_name=mp3", "TAG:icy-name=Radio 1", "TAG:icy-pub=1", "TAG:icy-br=96", "TAG:icy-genre=Sine", "TAG:StreamTitle=A - 'Long' Tone; loud",
	} {
		if !strings.Contains(string(out), want+"\n") {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	await(t, fed)
	if info := get(t, client1(t), http.MethodHead, s.URL+"/radio.mp3").Header.Get("Ice-Audio-Info"); info != "samplerate=44100;bitrate=96;channels=2" {
		t.Errorf("ice-audio-info: %q", info)
	}
}
