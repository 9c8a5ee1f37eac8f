package process

import (
	"io"
	"os"
	"strings"
	"testing"
)

// What is no terminal gives one line, and nobody is prompted.
func TestReadSecret(t *testing.T) {
	for in, want := range map[string]string{"word\nmore\n": "word", "word\r\n": "word", "word": "word", "": "", strings.Repeat("x", maxSecret+1): "error"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, in); err != nil {
			t.Fatal(err)
		}
		w.Close()
		var out strings.Builder
		got, err := ReadSecret(r, &out, "Password: ")
		r.Close()
		if err != nil {
			got = "error"
		}
		if got != want || out.Len() > 0 {
			t.Errorf("%.20q: %q, %v, prompted %q", in, got, err, out.String())
		}
	}
}
