package origin

import "testing"

// Acceptance 41: publishing points are paths, and a source may ask a directory, or the root, whether somebody listens. Nothing else goes there.
func TestPublishingPoints(t *testing.T) {
	up := memory(t)
	c := Config{Write: &up, Ingest: true, Points: []string{"/live/", "/a/b/"}}
	r := start(t, c, nil)
	asks := func(path string, status int) {
		t.Helper()
		for _, method := range []string{"PUT ", "POST "} {
			if res, _ := r.ask(method+path, "Content-Length: 0"); res.StatusCode != status {
				t.Errorf("%s, empty: %d, want %d", path, res.StatusCode, status)
			}
		}
	}
	for path, status := range map[string]int{"/live/": 200, "/live": 200, "/live/v/": 200, "/a/b/": 200, "/a/": 404, "/": 404, "/b/": 404} {
		asks(path, status)
	}
	for path, status := range map[string]int{"/live/x.mpd": 201, "/live/v/": 403, "/live/": 403, "/a/x.mpd": 404, "/": 404} {
		if res := r.upload("PUT "+path, "<MPD/>", "Content-Type: application/dash+xml"); res.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, status)
		}
	}
	if res, _ := r.ask("DELETE /live/"); res.StatusCode != 403 {
		t.Errorf("a directory is removed: %d", res.StatusCode)
	}
	c.Points = nil
	if err := r.Reload(c); err != nil {
		t.Fatal(err)
	}
	asks("/", 200)
	if res := r.upload("PUT /", "<MPD/>", "Content-Type: application/dash+xml"); res.StatusCode != 403 {
		t.Errorf("an object at the root: %d", res.StatusCode)
	}
	c.Ingest = false
	if err := r.Reload(c); err != nil {
		t.Fatal(err)
	}
	asks("/live/", 403)
	asks("/", 403)
}

// TestRefusedAtOnce: who is refused need not send what he has, whether he waits to be told to or not; nor does who gets an answer without it.
func TestRefusedAtOnce(t *testing.T) {
	r := start(t, Config{Read: []Mount{memory(t)}}, nil)
	for first, status := range map[string]int{"PUT /a": 405, "POST /a": 405, "DELETE /a": 405, "PATCH /a": 501, "OPTIONS /a": 200} {
		for _, expect := range []string{"X-A: b", "Expect: 100-continue"} {
			if status == 200 && expect == "X-A: b" {
				continue // it is not refused, and not waited for
			}
			c := r.dial()
			if res, _ := c.ask(first, "Content-Length: 1000000", expect); res.StatusCode != status || !res.Close {
				t.Errorf("%s, %s: %d, close %v", first, expect, res.StatusCode, res.Close)
			}
			c.closed()
		}
	}
}
