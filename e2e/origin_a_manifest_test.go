//go:build e2e && linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// testManifest: whoever reads a manifest has one version of it, whole, be it replaced meanwhile or while the next one is on its way.
func testManifest(t *testing.T) {
	stores(t, []string{"--maxp=0"}, func(t *testing.T, o *originRun) {
		for _, name := range []string{"live.mpd", "live.m3u8"} {
			at := o.own(name)
			first := o.begin(at, "<MPD")
			o.active(1)
			o.get(at, 404) // of the first there is nothing before it is whole
			first.says("/>")
			first.ends(201)
			second := o.begin(at, "<MPD>")
			o.active(1)
			a := o.get(at, 200)
			a.has(t, "Content-Length", "6")
			if a.body != "<MPD/>" || o.get(at, 206, "Range", "bytes=0-3").body != "<MPD" {
				t.Errorf("while another comes: %q", a.body)
			}
			second.breaks()
			if b := o.get(at, 304, "If-None-Match", a.Header.Get("Etag")); b.StatusCode != 304 {
				t.Error(b.Status)
			}
			o.replacedWhileRead(at)
			o.replacedOften(at)
		}
	})
}

// version is a manifest that no buffer between here and there holds, and that is told from others by each of its lines.
func version(n, lines int) string { return strings.Repeat(fmt.Sprintf("<version %d/>\n", n), lines) }

// replacedWhileRead has a slow reader of a long manifest, which is replaced by a short one.
func (o *originRun) replacedWhileRead(at string) {
	o.t.Helper()
	old := version(0, 800_000)
	o.put(at, old, 200)
	f := o.follow(at)
	f.hears(old[:1000])
	o.put(at, version(1, 1), 200)
	if a := o.get(at, 200); a.body != version(1, 1) {
		o.t.Errorf("after it was replaced: %.60q", a.body)
	}
	f.hears(old[1000:])
	f.hearsEnd(false)
}

// replacedOften replaces a manifest again and again, each time by one of another length, beside some readers.
func (o *originRun) replacedOften(at string) {
	o.t.Helper()
	const versions, readers = 30, 3
	stop := make(chan struct{})
	bad := make(chan error, readers)
	for range readers {
		go func() { bad <- o.readsVersions(at, stop) }()
	}
	for n := 2; n < versions; n++ {
		o.put(at, version(n, 1+n*317%5000), 200)
	}
	close(stop)
	for range readers {
		if err := <-bad; err != nil {
			o.t.Error(err)
		}
	}
}

// readsVersions reads until it is stopped. Each answer is one version; none is older than the one before.
func (o *originRun) readsVersions(at string, stop <-chan struct{}) error {
	last := 0
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		a, err := o.try("GET", at, "")
		if err != nil {
			return fmt.Errorf("a reader: %w", err)
		}
		n := 0
		if _, err := fmt.Sscanf(a.body, "<version %d/>\n", &n); err != nil || a.StatusCode != 200 || n < last || a.body != version(n, 1+n*317%5000) && n > 1 {
			return fmt.Errorf("a reader has %d, %d bytes that begin with %.60q, and had version %d", a.StatusCode, len(a.body), a.body, last)
		}
		last = n
	}
}
