package script

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const acceptance65 = `
httpout.on_request = function(req) {
	req.close = function(code) { print("close", req.url, code, this === req); };
	switch (req.url) {
	case "/deny":
		req.reply = 403;
		req.body = "not <you>";
		break;
	case "/file":
		req.body = FILE;
		break;
	case "/header":
		req.headers_out.push({name: "X-Hook", value: "one"}, {name: "X-Hook", value: " two "}, {name: "Connection", value: "close"});
		break;
	case "/stream":
		req.reply = 200;
		var n = 0;
		req.headers_out = [{name: "Content-Type", value: "video/mp2t"}];
		req.read = function(buffer) {
			if (++n == 2) return -1;
			if (n == 5) return 0;
			var bytes = new Uint8Array(buffer);
			for (var i = 0; i < 3; i++) bytes[i] = 48 + n;
			return 3;
		};
		break;
	case "/length":
		req.reply = 206;
		var given = false;
		req.headers_out = [{name: "content-length", value: "4"}];
		req.read = function(buffer) {
			if (given) return 0;
			given = true;
			new Uint8Array(buffer).set([65, 66, 67, 68]);
			return 4;
		};
		break;
	case "/upload":
		req.reply = 201;
		req.body = "taken";
		var sum = 0, size = 0, ends = 0;
		req.write = function(buffer) {
			if (buffer === null) { print("upload", size, sum, ++ends); return; }
			var bytes = new Uint8Array(buffer);
			size += bytes.length;
			for (var i = 0; i < bytes.length; i++) sum += bytes[i];
		};
		break;
	case "/throw":
		throw new RangeError("it is too much");
	case "/readthrows":
		req.reply = 200;
		req.read = function() { throw "no"; };
		break;
	}
	req.send();
};`

// Each sentence of line 65 of the acceptance list, over a real server.
func TestAcceptance65(t *testing.T) {
	file := filepath.Join(t.TempDir(), "film.txt")
	if err := os.WriteFile(file, []byte("the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, lines := load(t, "var FILE = "+fmt.Sprintf("%q", file)+";"+acceptance65, Config{Files: func(string) error { return nil }})
	server := serving(t, h)
	get := func(method, path string, body io.Reader) reply {
		t.Helper()
		got, err := do(t, method, server.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	closed := func(path string) {
		t.Helper()
		if line := lines.next(t); line != "close "+path+" 1 true" {
			t.Errorf("the script says %q", line)
		}
	}
	t.Run("deny 403 with body", func(t *testing.T) {
		if got := get("GET", "/deny", nil); got.StatusCode != 403 || got.body != "not <you>" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
		closed("/deny")
	})
	t.Run("a denied PUT needs no write", func(t *testing.T) {
		if got := get("PUT", "/deny", strings.NewReader("x")); got.StatusCode != 403 || got.body != "not <you>" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
		closed("/deny")
	})
	t.Run("rewrite to file", func(t *testing.T) {
		if got := get("GET", "/file", nil); got.StatusCode != 200 || got.body != "the file" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
		closed("/file")
	})
	t.Run("add header", func(t *testing.T) {
		got := get("GET", "/header", nil)
		if got.body != "origin" || !slices.Equal(got.Header.Values("X-Hook"), []string{"one", "two"}) || got.Close {
			t.Errorf("%q %v", got.body, got.Header)
		}
		closed("/header")
	})
	t.Run("streamed body chunked", func(t *testing.T) {
		got := get("GET", "/stream", nil)
		if got.body != "111333444" || !slices.Equal(got.TransferEncoding, []string{"chunked"}) || got.Header.Get("Content-Type") != "video/mp2t" {
			t.Errorf("%q %v %v", got.body, got.TransferEncoding, got.Header)
		}
		closed("/stream")
	})
	t.Run("streamed body with Content-Length", func(t *testing.T) {
		if got := get("GET", "/length", nil); got.body != "ABCD" || got.ContentLength != 4 || got.StatusCode != 206 || len(got.TransferEncoding) != 0 {
			t.Errorf("%d %q %v", got.StatusCode, got.body, got.Header)
		}
		closed("/length")
		if got := get("HEAD", "/length", nil); got.body != "" || got.ContentLength != 4 {
			t.Errorf("HEAD: %q %v", got.body, got.Header)
		}
		closed("/length")
	})
	t.Run("upload", func(t *testing.T) {
		for _, method := range []string{"PUT", "POST"} {
			if got := get(method, "/upload", io.MultiReader(bytes.NewReader(bytes.Repeat([]byte{7}, 100_000)))); got.StatusCode != 201 || got.body != "taken" {
				t.Errorf("%d %q", got.StatusCode, got.body)
			}
			if line := lines.next(t); line != "upload 100000 700000 1" {
				t.Error(line)
			}
			closed("/upload")
		}
	})
	t.Run("exception 500", func(t *testing.T) {
		got := get("GET", "/throw", nil)
		if got.StatusCode != 500 || !strings.Contains(got.body, "RangeError: it is too much") || !strings.Contains(got.body, "hook.js:") {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
		if got := get("GET", "/readthrows", nil); got.StatusCode != 500 {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
		closed("/readthrows")
	})
	t.Run("close exactly once", func(t *testing.T) {
		if got := get("GET", "/other", nil); got.body != "origin" {
			t.Error(got.body)
		}
		closed("/other")
		server.Close()
		h.Close()
		for len(lines) > 0 {
			// The last close has said its line, and was perhaps not at its end: what runs is interrupted.
			if line := <-lines; !strings.HasSuffix(line, errClosed.Err.Error()) {
				t.Errorf("one line more: %q", line)
			}
		}
	})
}
