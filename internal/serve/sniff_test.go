package serve

import (
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	for text, want := range map[string]string{
		"": "text/plain; charset=utf-8", "\x89PNG\r\n\x1a\n": "image/png", strings.Repeat("\x00\x01", 600): "application/octet-stream",
	} {
		if got, err := sniff(strings.NewReader(text)); got != want || err != nil {
			t.Errorf("%.10q: %q, %v", text, got, err)
		}
	}
}
