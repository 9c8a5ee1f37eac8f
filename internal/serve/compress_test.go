package serve

import "testing"

// TestAccepted holds line 19 and RFC 9110, 12.5.3.
func TestAccepted(t *testing.T) {
	for header, want := range map[string]string{
		"":                             identity,
		"identity":                     identity,
		"br, zstd":                     identity,
		"gzip":                         gzipped,
		"GZip":                         gzipped,
		"x-gzip":                       gzipped,
		"deflate":                      deflated,
		"deflate, gzip":                gzipped,
		"gzip;q=0":                     identity,
		"gzip;q=0.000, deflate":        deflated,
		"gzip;q=0.5, deflate":          deflated,
		"gzip; q=0.5 , deflate; Q=0.5": gzipped,
		"gzip;q=0.5, identity":         identity,
		"gzip;q=0.5, identity;q=0.5":   gzipped,
		"*":                            gzipped,
		"*;q=0":                        identity,
		"gzip;q=0, *":                  deflated,
		"gzip;q=2":                     identity,
		"gzip;q=NaN":                   identity,
		"gzip;q=-1":                    identity,
		"gzip;q=":                      identity,
		"gzip;x=1":                     gzipped,
		"gzip;x=1;q=0":                 identity,
		";;=,,q=1":                     identity,
	} {
		if got := accepted([]string{header}); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
	if got := accepted([]string{"gzip;q=0", "deflate"}); got != deflated {
		t.Errorf("two lines: %q", got)
	}
}

func TestCompressible(t *testing.T) {
	for kind, want := range map[string]bool{
		"text/plain; charset=utf-8": true, "TEXT/VTT": true, "application/dash+xml": true, "application/vnd.apple.mpegurl": true,
		"application/json": true, "application/ld+json": true, "image/svg+xml": true, "text/javascript; charset=utf-8": true, "application/xml": true,
		"video/mp4": false, "video/iso.segment": false, "image/png": false, "application/octet-stream": false, "application/wasm": false, "": false,
	} {
		if got := compressible(kind); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
}

func FuzzAccepted(f *testing.F) {
	f.Add("gzip;q=0.5, deflate;q=1, *;q=0")
	f.Add("identity;;q=,=,")
	f.Fuzz(func(t *testing.T, header string) {
		switch got := accepted([]string{header}); got {
		case identity, gzipped, deflated:
		default:
			t.Errorf("%q: %q", header, got)
		}
	})
}
