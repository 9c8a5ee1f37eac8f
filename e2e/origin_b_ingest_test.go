//go:build e2e && linux

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// box makes a box of ISO base media.
func box(kind, body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))) + kind + body
}

var (
	cmafHeader  = box("ftyp", "iso6\x00\x00\x00\x00cmfc") + box("moov", "what decoders must have")
	cmafSegment = box("styp", "msdh\x00\x00\x00\x00msdh") + box("moof", "...") + box("mdat", "media")
)

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// testIngest: uploads as DASH-IF Live Media Ingest 1.2 has them, with its status codes.
func testIngest(t *testing.T) {
	up, files := t.TempDir(), t.TempDir()
	rules, users := put(t, filepath.Join(files, "rules"), "["+up+"]\nwu=source\n"), filepath.Join(files, "users")
	addUser(t, users, "source", "secret")
	o := startOrigin(t, "--rdirs", rules, "--wdir", up, "--users", users,
		"--ingest", "--ingest-points", "/live,/a/b/", "--maxs", "100000", "--reqlog", "PUT,POST", "--dlist")
	as := func(password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("source:"+password))
	}
	for _, q := range []struct {
		why, path, body string
		status          int
		lines           []string
	}{
		{"somebody listens", "/live", "", 200, nil},
		{"to a directory", "/live/", "", 200, nil},
		{"to a track", "/live/v/1.cmfv", "", 200, nil},
		{"nobody listens", "/", "", 404, nil},
		{"no publishing point", "/other/v/init.cmfv", cmafHeader, 404, nil},
		{"above one", "/a/x.mpd", "<MPD/>", 404, nil},
		{"outside", "/live/../../x.mpd", "<MPD/>", 403, nil},
		{"something to a directory", "/live/v/", cmafHeader, 403, []string{"Content-Type: video/mp4"}},
		{"no media", "/live/x.mpd", "<html>", 415, []string{"Content-Type: text/html"}},
		{"nor by its name", "/live/x.exe", cmafHeader, 415, nil},
		{"not understood", "/live/x.mpd", "<MPD/>", 415, []string{"Content-Encoding: br"}},
		{"media before its initialization", "/live/v/1.cmfv", cmafSegment, 412, nil},
		{"this is none", "/live/v/init.init", cmafSegment, 412, nil},
		{"its initialization", "/live/v/init.cmfv", cmafHeader, 201, nil},
		{"media", "/live/v/1.cmfv", cmafSegment, 201, nil},
		{"the same path", "/live/v/1.cmfv", cmafSegment, 200, nil},
		{"of another track", "/live/w/1.cmfv", cmafSegment, 412, nil},
		{"manifest", "/a/b/x.mpd", gzipped("<MPD/>"), 201, []string{"Content-Encoding: gzip", "Content-Type: application/dash+xml"}},
		{"not what it says", "/a/b/x.mpd", "<MPD/>", 400, []string{"Content-Encoding: gzip"}},
		{"not a part", "/a/b/x.mpd", "<MPD/>", 400, []string{"Content-Range: bytes 0-5/6"}},
		{"a bomb", "/live/x.mpd", gzipped(strings.Repeat("<MPD/>", 100_000)), 413, []string{"Content-Encoding: gzip"}},
	} {
		for i, method := range []string{"PUT ", "POST "} {
			status := q.status
			if i > 0 && status == 201 {
				status = 200
			}
			w := wireTo(t, o.addr, "")
			w.says(method+q.path, append([]string{as("secret"), "DASH-IF-Ingest: 1.2", fmt.Sprintf("Content-Length: %d", len(q.body))}, q.lines...)...)
			says(t, w, q.body)
			if a := w.hears(method + q.path); a.StatusCode != status {
				t.Errorf("%s: %s%s: %s %q, want %d", q.why, method, q.path, a.Status, a.body, status)
			}
			w.Close()
		}
	}
	o.puts(401, "PUT /live/v/2.cmfv", cmafSegment)
	o.puts(403, "PUT /live/v/2.cmfv", cmafSegment, as("wrong"))
	holds(t, filepath.Join(up, "a/b/x.mpd"), "<MPD/>")
	o.proc.WaitLine(`PUT /live/v/1\.cmfv \[DASH-IF-Ingest: 1\.2\] start`)
	for _, name := range []string{"v/init.cmfv", "v/1.cmfv"} {
		seen(t, filepath.Join(up, "live/v"), true)
		o.puts(200, "DELETE /live/"+name, "", as("secret"))
	}
	onlyThere(t, filepath.Join(up, "live")) // the folder is gone, the publishing point stays
	testIngestOfFFmpeg(t)
}

// testIngestOfFFmpeg: an encoder that keeps to the profile finds all in order, to its last DELETE.
func testIngestOfFFmpeg(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	o, dir := startOriginDir(t, "--ingest", "--ingest-points", "/live", "--maxp", "0") // ffmpeg comes with a connection for each file that it deletes
	args := append([]string{"-v", "error", "-nostdin"}, h264.input()...)
	args = append(args, "-t", "8", "-f", "dash", "-method", "PUT", "-http_persistent", "1", "-seg_duration", "1", "-window_size", "2",
		"-extra_window_size", "1", "-streaming", "1", "-hls_playlist", "1", o.url+"/live/out.mpd")
	if p := testkit.Start(t, "ffmpeg", args...); p.Wait() != nil {
		t.Fatalf("ffmpeg: %s", p.Output())
	}
	o.eventually(func(st report.Origin) error {
		if st.Statuses["4xx"]+st.Statuses["5xx"] != 0 || st.Aborted != 0 || st.Active != 0 {
			return fmt.Errorf("not all was taken: %+v", st)
		}
		return nil
	})
	if list, err := os.ReadDir(filepath.Join(dir, "live")); err != nil || len(list) < 5 || len(list) > 14 { // it deletes what is old
		t.Errorf("ffmpeg has left %v, %v", list, err)
	}
	mpd := o.get("/live/out.mpd", 200)
	mpd.has(t, "Content-Type", "application/dash+xml")
	if !strings.Contains(mpd.body, "</MPD>") {
		t.Errorf("the manifest: %s", mpd.body)
	}
}
