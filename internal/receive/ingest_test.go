package receive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/store"
	"sluice/internal/testkit"
)

// length is what Content-Length says of a body.
func length(body string) string { return fmt.Sprint(len(body)) }

// box makes a box of ISO base media.
func box(boxType, body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))) + boxType + body
}

var (
	header  = box("ftyp", "iso6\x00\x00\x00\x00cmfc") + box("moov", "what decoders must have")
	segment = box("styp", "msdh\x00\x00\x00\x00msdh") + box("moof", "...") + box("mdat", "media")
)

// Acceptance 41: what the profile answers, request after request to one store.
func TestIngest(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{Ingest: true, Points: []string{"live", "a/b"}}, st)
		c := s.client(false)
		for _, q := range []struct {
			why, path, mediaType, body string
			status                     int
		}{
			{"nobody listens there", "/other/video/init.cmfv", "", header, 404},
			{"not even for an empty request", "/other", "", "", 404},
			{"above a publishing point", "/a/x.mpd", "", "<MPD/>", 404},
			{"an empty request to the point", "/live", "", "", 200},
			{"to one that is deeper", "/a/b", "", "", 200},
			{"to a track", "/live/video/1.cmfv", "", "", 200},
			{"to a directory", "/live/video/", "", "", 200},
			{"something to a directory", "/live/video/", "video/mp4", header, 403},
			{"manifest", "/live/x.mpd", "application/dash+xml", "<MPD/>", 201},
			{"no media type", "/live/x.mpd", "text/html", "<MPD/>", 415},
			{"no extension of media", "/live/x.exe", "", header, 415},
			{"nor with a type", "/live/x.exe", "video/mp4", header, 415},
			{"neither extension nor type", "/live/x", "", header, 415},
			{"a type that cannot be read", "/live/video/init.cmfv", "video/", header, 415},
			{"no extension, but a type", "/live/point", "application/mp4; codecs=\"avc1\"", header, 201},
			{"media before anything", "/a/b/video/1.m4s", "", segment, 412},
			{"not an initialization", "/a/b/video/v.init", "", segment, 412},
			{"nor is this", "/a/b/video/v.init", "", "<html>", 412},
			{"initialization", "/a/b/video/init-7.m4s", "video/iso.segment", header, 201},
			{"again", "/a/b/video/init-7.m4s", "video/iso.segment", header, 200},
			{"media", "/a/b/video/1.m4s", "", segment, 201},
			{"the same path", "/a/b/video/1.m4s", "", segment, 200},
			{"media of another track", "/a/b/audio/1.m4s", "", segment, 412},
			{"media further below", "/a/b/video/low/1.m4s", "", segment, 201},
			{"a transport stream needs none", "/a/b/ts/1.ts", "video/mp2t", "\x47\x40\x00\x10\x00\x00\xb0\x0d\x00\x01", 201},
			{"a key", "/a/b/ts/1.key", "application/octet-stream", "0123456789abcdef", 201},
			{"a keyword, media first", "/a/b/Streams(v.cmfv)", "", segment, 412},
			{"a keyword, its header", "/a/b/Streams(v.cmfv)", "", header, 201},
			{"a keyword, media", "/a/b/Streams(v.cmfv)", "", segment, 200},
			{"another stream", "/a/b/Streams(w.cmfv)", "video/mp4", segment, 412},
			{"header and media in one", "/a/b/Switching(1)/Streams(w.1)", "video/mp4", header + segment, 201},
			{"a part", "/a/b/ts/1.key", "", "", 200},
		} {
			for i, method := range []string{"PUT", "POST"} {
				h := []string{}
				if q.mediaType != "" {
					h = []string{"Content-Type", q.mediaType}
				}
				var body io.Reader = strings.NewReader(q.body)
				if i == 1 {
					body = io.MultiReader(body) // chunked
				}
				status := q.status
				if status == 201 && i == 1 {
					status = 200
				}
				name := q.path[1:]
				before := read(t, st, name)
				if a := s.do(c, method, q.path, body, h...); a.StatusCode != status || a.ContentLength < 0 {
					t.Errorf("%s, %s: %s, want %d", q.why, method, a.Status, status)
				}
				switch {
				case q.status >= 400:
					want(t, st, name, before)
				case q.body != "":
					want(t, st, name, q.body)
				default:
					if i, err := st.Stat(name); err == nil && !i.Dir && i.Size == 0 {
						t.Errorf("%s: an empty object was stored", q.why)
					}
				}
			}
		}
	})
}

// An origin that was started anew finds the initializations in its store.
func TestIngestFindsInits(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		before := newOrigin(t, Options{Ingest: true}, st)
		for _, name := range []string{"v/init-stream0.m4s", "a/header.mp4", "n/12.mp4", "Streams(s)", "w/x.init"} {
			if status := before.put("/"+name, header, "Content-Type", "video/mp4"); status != 201 {
				t.Fatal(name, status)
			}
		}
		after := newOrigin(t, Options{Ingest: true}, st)
		for name, status := range map[string]int{
			"v/1.m4s": 201, "a/1.m4s": 201, "w/low/1.m4s": 201, "Streams(s)": 200,
			"n/1.m4s":     412, // its initialization has a number and no name for one
			"Streams(t)":  412,
			"x/1.m4s":     412,
			"v1/init.m4s": 412,
		} {
			if got := after.put("/"+name, segment); got != status {
				t.Errorf("%s: %d, want %d", name, got, status)
			}
		}
	})
}

// An initialization that breaks off, or is removed, is none.
func TestIngestForgets(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{Ingest: true}, st)
		c := s.dial()
		c.send("PUT /v/init.mp4 HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(header)+1, header)
		f := follow(t, st, "v/init.mp4")
		f.next(t, header)
		if status := s.put("/v/1.m4s", segment); status != 201 { // it counts as soon as it comes
			t.Error(status)
		}
		c.Close()
		f.broken(t)
		<-s.ended
		<-s.ended
		if status := s.put("/v/2.m4s", segment); status != 412 {
			t.Error(status)
		}
		for _, status := range []int{201, 412} {
			if status == 201 {
				if status := s.put("/v/init.mp4", header); status != 201 {
					t.Error(status)
				}
			} else if a := s.do(s.client(false), "DELETE", "/v/init.mp4", nil); a.StatusCode != 200 {
				t.Error(a.Status)
			}
			if got := s.put("/v/3.m4s", segment); got != status {
				t.Errorf("%d, want %d", got, status)
			}
		}
	})
}

// Acceptance 39, 41: a folder goes with its last object, a publishing point does not.
func TestIngestRemovesFolders(t *testing.T) {
	for _, ingest := range []bool{true, false} {
		dir := t.TempDir()
		st, err := store.NewDir(store.DirConfig{Path: dir, Writable: true})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		s := newOrigin(t, Options{Ingest: ingest, Points: []string{"live"}}, st)
		for _, name := range []string{"live/x.mpd", "live/v/1.ts", "live/v/2.ts"} {
			if status := s.put("/"+name, "media"); status != 201 {
				t.Fatal(status)
			}
		}
		for _, d := range []struct {
			name, folder string
			stays        bool
		}{{"live/v/1.ts", "live/v", true}, {"live/x.mpd", "live", true}, {"live/v/2.ts", "live/v", !ingest}, {"live/v/2.ts", "live", true}} {
			if a := s.do(s.client(false), "DELETE", "/"+d.name, nil); a.StatusCode/100 != 2 {
				t.Error(a.Status)
			}
			if _, err := os.Stat(filepath.Join(dir, d.folder)); (err == nil) != d.stays {
				t.Errorf("ingest %v: %s: %s: %v", ingest, d.name, d.folder, err)
			}
		}
	}
}

// What is remembered of tracks is bounded; what was forgotten is looked for again.
func TestTracksAreBounded(t *testing.T) {
	var k tracks
	for i := range maxTracks + 100 {
		k.note(track{name: fmt.Sprint(i)}, "init.mp4")
	}
	if len(k.init) != maxTracks || !k.has(track{name: fmt.Sprint(maxTracks + 99)}) {
		t.Errorf("%d are remembered", len(k.init))
	}
}

// ffmpeg ingests CMAF: one long request for a track (Interface 1), and DASH with a request for each object (Interface 2).
func TestIngestFFmpeg(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	testkit.NoLeaks(t)
	st := store.NewMemory(store.MemoryConfig{Retention: store.Retention{Segments: 100}})
	t.Cleanup(func() { st.Close() })
	s := newOrigin(t, Options{Ingest: true, Stall: testkit.Patience, Points: []string{"live"}}, st)
	for _, to := range [][]string{
		{"-movflags", "cmaf+frag_keyframe+empty_moov", "-f", "mp4", "-method", "POST", "http://" + s.addr + "/live/Streams(v.cmfv)"},
		{
			"-f", "dash", "-method", "PUT", "-http_persistent", "1", "-seg_duration", "0.5", "-use_timeline", "0", "-streaming", "1", "-ldash", "1",
			"http://" + s.addr + "/live/dash/x.mpd",
		},
	} {
		args := append([]string{"-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=24", "-t", "2", "-g", "12", "-c:v", "mpeg4"}, to...)
		if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	// Not the fourth segment: ffmpeg closes without waiting for the last answers, which may cost it what it has sent last.
	for _, name := range []string{"Streams(v.cmfv)", "dash/x.mpd", "dash/init-stream0.m4s", "dash/chunk-stream0-00001.m4s", "dash/chunk-stream0-00003.m4s"} {
		testkit.Eventually(t, func() error {
			if read(t, st, "live/"+name) == "" {
				return fmt.Errorf("%s is not there", name)
			}
			return nil
		})
	}
}

// Media that overtakes its initialization waits for it.
func TestMediaWaitsForInit(t *testing.T) {
	st := memory(t)
	s := newOrigin(t, Options{Ingest: true}, st)
	s.x.initWait = testkit.Patience
	answered := make(chan int, 1)
	go func() { answered <- s.put("/v/1.m4s", segment) }()
	testkit.Eventually(t, func() error {
		s.x.tracks.mu.Lock()
		defer s.x.tracks.mu.Unlock()
		if s.x.tracks.more == nil {
			return errors.New("nobody waits")
		}
		return nil
	})
	for _, name := range []string{"/other/init.mp4", "/v/init.mp4"} {
		if status := s.put(name, header); status != 201 {
			t.Error(status)
		}
	}
	if status := <-answered; status != 201 {
		t.Error(status)
	}
	want(t, st, "v/1.m4s", segment)
}

func TestIsMedia(t *testing.T) {
	for _, c := range []struct {
		name, mediaType string
		want            bool
	}{
		{"a.m4s", "", true},
		{"a.M4S", "VIDEO/ISO.SEGMENT", true},
		{"a.m3u8", "vnd.apple.mpegURL", true}, // as table 6 spells it
		{"a.m3u8", "application/x-mpegURL", true},
		{"a", "", false},
		{"a", "audio/mp4", true},
		{"a.php", "audio/mp4", false},
		{"Streams(a.b)", "", true},
		{"Streams(a.b)/x.b", "", false},
		{"a.mp4", "application/x-www-form-urlencoded", false},
	} {
		r := &http.Request{Header: http.Header{}}
		if c.mediaType != "" {
			r.Header.Set("Content-Type", c.mediaType)
		}
		if got := isMedia(c.name, r); got != c.want {
			t.Errorf("%s, %q: %v", c.name, c.mediaType, got)
		}
	}
}
