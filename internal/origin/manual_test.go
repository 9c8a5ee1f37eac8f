package origin

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestManual: the lines that the manual shows of the request log are its lines.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../docs/origin.md")
	if err != nil {
		t.Fatal(err)
	}
	get := httptest.NewRequest("GET", "/live/seg-3.m4s", nil)
	get.Header.Set("Range", "bytes=0-3")
	put := httptest.NewRequest("PUT", "/live/seg-4.m4s", nil)
	put.ProtoMajor = 2
	lines := []string{
		startLine(12, "192.0.2.7", get, true),
		endLine(12, get, finished, 200, 81234, 2003*time.Millisecond),
		endLine(13, put, finished, 413, 0, time.Millisecond),
		endLine(14, get, aborted, 200, 5120, 230*time.Millisecond),
		endLine(15, get, canceled, 200, 5120, 230*time.Millisecond),
		"Opening output live/seg-4.m4s",
	}
	if want := "\n```text requests\n" + strings.Join(lines, "\n") + "\n```\n"; !strings.Contains(string(text), want) {
		t.Errorf("docs/origin.md does not show%s", want)
	}
}
