package request

import (
	"errors"
	"testing"
)

// TestUpload: what is uploaded to the origin is asked for by its path there, in two forms; it
// is a source only.
func TestUpload(t *testing.T) {
	for target, want := range map[string]pair{
		"/upload/live/cam.ts":                       {"upload:///live/cam.ts", "", "upload:///live/cam.ts", ""},
		"/upload/live/cam.ts/?token=x&start=live":   {"upload:///live/cam.ts", "", "upload:///live/cam.ts?token=x&start=live", "start=live&token=x"},
		"/%75pload/My%20cam%2F1":                    {"upload:///My%20cam/1", "", "upload:///My%20cam%2F1", ""},
		"/src/upload:///live/cam.ts/dst/":           {"upload:///live/cam.ts", "", "upload:///live/cam.ts", ""},
		"/src/UPLOAD:///a%20b?t=1/dst/tcp://h:1":    {"upload:///a%20b", "tcp://h:1", "UPLOAD:///a%20b?t=1", "t=1"},
		"/src/upload%3A%2F%2F%2Fa%2520b/dst/":       {"upload:///a%20b", "", "upload:///a%20b", ""},
		"http://relay.example:4046/upload/live.ts?": {"upload:///live.ts", "", "upload:///live.ts", ""},
	} {
		if got, err := Parse(target); err != nil || pairOf(got) != want {
			t.Errorf("%s: %+v, %v; want %+v", target, pairOf(got), err, want)
		}
	}
	for _, target := range []string{
		"/upload", "/upload/", "/upload//a", "/upload/../a", "/upload/a%00", "/upload/a%2f..%2fb", "/upload/a#b", "/src/udp://239.1.1.1:5/dst/upload:///a",
		"/src/upload:///a|upload:///b%00/dst/",
	} {
		_, err := Parse(target)
		var e *Error
		if !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%s: %v, want 400", target, err)
		}
	}
}

// TestOurs: what begins as a form does is for Parse to judge, right or wrong; all else is not.
func TestOurs(t *testing.T) {
	for target, want := range map[string]bool{
		"/udp/239.1.1.1:5000": true, "/rtp/x": true, "/src/": true, "/$news": true, "/$": true, "/%24news?x": true, "/upload/a": true, "/udp": true, "/udp?x": true,
		"http://h/udp/x": true, "http://h/$x": true, "/%75dp/x": true, "/src": true,
		"": false, "/": false, "*": false, "/udpx/x": false, "/UDP/x": false, "//udp/x": false, "/../udp/x": false, "udp/x": false, "/%zz/x": false,
		"/udp%2Fx": false, "/live/udp/x": false, "/live.ts?/udp/x": false, "http://udp/": false, "h:80": false, "/uploads/x": false, "/a$b": false,
	} {
		if got := Ours(target); got != want {
			t.Errorf("%q: %v, want %v", target, got, want)
		}
	}
}
