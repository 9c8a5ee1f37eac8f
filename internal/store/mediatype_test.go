package store

import "testing"

// TestTypeOf holds line 17 (U12).
func TestTypeOf(t *testing.T) {
	for _, test := range []struct{ name, uploaders, want string }{
		{"live/manifest.mpd", "text/plain", "application/dash+xml"},
		{"a.m3u8", "", "application/vnd.apple.mpegurl"},
		{"chunk-1.m4s", "", "video/iso.segment"},
		{"v.cmfv", "", "video/mp4"},
		{"a.cmfa", "", "audio/mp4"},
		{"t.cmft", "", "application/mp4"},
		{"m.cmfm", "", "application/mp4"},
		{"a.m4a", "", "audio/mp4"},
		{"a.m4v", "", "video/mp4"},
		{"v.init", "", "video/mp4"},
		{"v.header", "", "video/mp4"},
		{"a.TS", "", "video/mp2t"},
		{"a.wasm", "", "application/wasm"},
		{"a.js", "", "text/javascript; charset=utf-8"},
		{"a.key", "", "application/octet-stream"},
		{"a.vtt", "", "text/vtt; charset=utf-8"},
		{"a.ttml", "", "application/ttml+xml"},
		{"a.jpg", "", "image/jpeg"},
		{"a.txt", "", "text/plain; charset=utf-8"},
		{"seg-7.m4s.3", "", "video/iso.segment"},
		{"a.mpd/x", "", ""},
		{"a", "", ""},
		{"1.2", "", ""},
		{"a.unheard", "application/x-own; a=b", "application/x-own; a=b"},
		{"a.unheard", "nothing", ""},
		{"a.unheard", "a/b\r\nX: y", ""},
	} {
		if got := TypeOf(test.name, test.uploaders); got != test.want {
			t.Errorf("%s (%q): %q, want %q", test.name, test.uploaders, got, test.want)
		}
	}
}
