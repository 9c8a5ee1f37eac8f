package all_test

import (
	"errors"
	"net/netip"
	"testing"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/all"
	"sluice/internal/uri"
)

// TestWhatMayBeNamed: what is not in the lists is refused, both ways, until the lists say
// otherwise; a scheme that there is not is nobody's.
func TestWhatMayBeNamed(t *testing.T) {
	dir := t.TempDir()
	o := all.New(all.Config{})
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	status := func(end string, asSource bool) int {
		e, err := uri.Parse(end)
		if err != nil {
			e = uri.End{Scheme: "srt"}
		}
		if asSource {
			_, err = o.Open(t.Context(), endpoint.Want{Source: uri.Source{e}})
		} else {
			_, err = o.OpenSink(t.Context(), endpoint.Target{End: e})
		}
		var refusal *endpoint.Refusal
		if !errors.As(err, &refusal) {
			t.Fatalf("%s: %v, want a refusal", end, err)
		}
		return refusal.Status
	}
	ends := []string{"udp://127.0.0.1:9", "rtp://239.7.0.1:5000", "tcp://127.0.0.1:9", "http://127.0.0.1:9/", "https://127.0.0.1:9/", "file://" + dir + "/none/a.ts"}
	for _, end := range ends {
		if source, target := status(end, true), status(end, false); source != 403 || target != 403 {
			t.Errorf("%s: %d as a source, %d as a target, want 403", end, source, target)
		}
	}
	o.Reload(all.Config{
		Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Targets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		ReadFrom: []string{dir}, WriteTo: []string{dir},
	})
	for _, end := range ends[2:] { // permitted, and not there
		want := 503
		if end == ends[5] {
			want = 404
		}
		if source, target := status(end, true), status(end, false); source != want || target != want {
			t.Errorf("%s: %d as a source, %d as a target, want %d", end, source, target, want)
		}
	}
	if source, target := status("upload:///live.ts", true), status("upload:///live.ts", false); source != 404 || target != 400 {
		t.Errorf("an upload where there is no origin: %d as a source, %d as a target, want 404 and 400", source, target)
	}
	if source, target := status("srt://127.0.0.1:9", true), status("srt://127.0.0.1:9", false); source != 400 || target != 400 {
		t.Errorf("a scheme that there is not: %d, %d, want 400", source, target)
	}
}
