//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// chromiumSays shows a page to Chromium and reads what the page posts to /said, as JSON. flags are more of Chromium's.
func chromiumSays(t *testing.T, html string, said any, flags ...string) {
	t.Helper()
	heard := make(chan []byte, 1)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, html)
			return
		}
		if b, err := io.ReadAll(r.Body); err == nil {
			heard <- b
		}
	}))
	t.Cleanup(page.Close)
	browser := startChromium(t, page.URL, flags...)
	select {
	case b := <-heard:
		if err := json.Unmarshal(b, said); err != nil {
			t.Fatalf("Chromium has posted %q: %v", b, err)
		}
	case <-browser.Done():
		t.Fatal("Chromium ended without a report")
	case <-time.After(2 * testkit.Patience): // its first start takes long
		t.Fatal("Chromium has not reported")
	}
}

// startChromium starts Chromium without a screen; it shows a page until the test is over. flags are more of its own.
func startChromium(t *testing.T, url string, flags ...string) *testkit.Proc {
	t.Helper()
	testkit.Need(t, "chromium")
	home, err := os.MkdirTemp("", "sluice-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--ignore-certificate-errors", "--user-data-dir=" + filepath.Join(home, "profile"), "--remote-debugging-port=0",
	}, flags...)
	cmd := exec.Command("chromium", append(args, url)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home)
	return testkit.StartCommand(t, cmd)
}
