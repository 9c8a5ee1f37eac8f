//go:build e2e && linux

package e2e

import (
	"slices"
	"testing"
)

// testGrows: what is being uploaded is read piece by piece. How long a piece takes make bench-origin prints.
func testGrows(t *testing.T) {
	o, _ := startOriginDir(t)
	u := o.beginSeen("/live/seg-1.m4s", "one")
	f := o.follow("/live/seg-1.m4s")
	f.hears("one")
	if !slices.Equal(f.TransferEncoding, []string{"chunked"}) || f.ContentLength >= 0 || f.Header.Get("Etag") != "" {
		t.Errorf("the head of what grows: %v %v %v", f.TransferEncoding, f.ContentLength, f.Header)
	}
	reply{Response: f.Response}.has(t, "Cache-Control", "no-cache")
	u.says("two")
	f.hears("two")
	u.ends(201)
	f.hearsEnd(false)
}
