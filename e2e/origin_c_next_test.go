//go:build e2e && linux

package e2e

import (
	"net/http"
	"testing"
)

// testWaitNext: a request for the next segment is held until it begins to come, at most so long; for any other there is 404 at once.
func testWaitNext(t *testing.T) {
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": "gmem"} {
		t.Run(name, func(t *testing.T) {
			startOrigin(t, "--rdirs", dir, "--wdir", dir, "--wait_next", "5m").overEach(testHeldSegment)
		})
	}
	o, _ := startOriginDir(t, "--wait_next", "300ms")
	o.put("/seg-1.m4s", "one", 201)
	o.asks("/seg-2.m4s").answered(404)
	o, _ = startOriginDir(t)
	o.put("/seg-1.m4s", "one", 201)
	o.get("/seg-2.m4s", 404) // by default nothing is waited for
}

func testHeldSegment(t *testing.T, o *originRun) {
	at := "/" + t.Name()[len(t.Name())-2:] // of this version of HTTP
	o.put(at+"/video-00008.m4s", "eight", 201)
	o.put(at+"/video-00009.m4s", "nine", 201)
	o.put(at+"/audio-1.m4s", "one", 201)
	for _, name := range []string{"/video-00011.m4s", "/video-00007.m4s", "/text-1.m4s", "/audio-0.m4s", "/init.mp4", "/live.mpd"} {
		o.get(at+name, 404)
	}
	if a := o.ask(http.MethodHead, at+"/video-00010.m4s", ""); a.StatusCode != 404 {
		t.Errorf("HEAD: %s", a.Status)
	}
	video, audio := o.asks(at+"/video-00010.m4s"), o.asks(at+"/audio-2.m4s")
	o.waiting(2)
	u := o.begin(at+"/video-00010.m4s", "te")
	o.waiting(1)
	f := o.follow(at + "/video-00010.m4s")
	f.hears("te")
	u.says("n")
	u.ends(201)
	f.hears("n")
	f.hearsEnd(false)
	if a := video.answered(200); a.body != "ten" {
		t.Errorf("who waited for a segment gets %q", a.body)
	}
	o.put(at+"/audio-2.m4s", "two", 201)
	if a := audio.answered(200); a.body != "two" {
		t.Errorf("who waited for a segment gets %q", a.body)
	}
	next := o.asks(at + "/video-00011.m4s")
	o.waiting(1)
	o.put(at+"/video-00011.m4s", "eleven", 201)
	next.answered(200)
	o.waiting(0)
}
