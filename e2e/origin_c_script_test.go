//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// hookScript does one thing for each path; what it prints is in the log. %s is a directory.
const hookScript = `
var files = %q, parked = null;
httpout.on_request = function(req) {
	var path = req.url.split("?")[0], n = 0;
	req.close = function(code) { print("closed " + req.method + " " + path + " " + code); };
	switch (path) {
	case "/deny":
		req.reply = 403;
		req.body = "not for " + req.IP + ", who is " + req.auth_code;
		break;
	case "/film":
		req.body = files + "/film.ts";
		break;
	case "/out":
		req.body = files + "/../secret.txt";
		break;
	case "/header":
		req.headers_out.push({name: "X-Hook", value: req.headers_in.find(function(h) { return h.name == "X-Ask"; }).value});
		req.body = files + "/film.ts";
		break;
	case "/stream":
		req.reply = 200;
		req.headers_out = [{name: "Content-Type", value: "video/mp2t"}];
		req.read = function(buffer) {
			if (++n %% 2) return -1; // not yet
			if (n > 20) return 0;
			new Uint8Array(buffer).fill(64 + n / 2, 0, 1000);
			return 1000;
		};
		break;
	case "/upload":
		req.reply = 201;
		var text = "";
		req.write = function(buffer) {
			if (buffer === null) { print("uploaded " + text); return; }
			text += String.fromCharCode.apply(null, new Uint8Array(buffer));
		};
		break;
	case "/throw":
		throw new Error("it was meant to");
	case "/breaks":
		req.reply = 200;
		req.read = function(buffer) {
			if (++n == 1) return 3;
			throw new Error("in the middle");
		};
		break;
	case "/forever":
		while (true) {}
	case "/park":
		parked = req;
		return;
	case "/unpark":
		parked.reply = 200;
		parked.body = "at last";
		parked.send();
		break;
	case "/slow.ts":
		req.throttle = function(done, total) { print("throttle " + done + "/" + total); return 1; };
		break;
	}
	req.send();
};`

// testScript: the hook sees each request, and does what line 65 has.
func testScript(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "files")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	film := strings.Repeat("film", 25_000)
	put(t, filepath.Join(dir, "film.ts"), film)
	put(t, filepath.Join(dir, "slow.ts"), film)
	put(t, filepath.Join(root, "secret.txt"), "secret")
	js := put(t, filepath.Join(root, "hook.js"), fmt.Sprintf(hookScript, dir))
	o := startOrigin(t, "--js", js, "--js-workers", "1", "--js-limit", "1s", "--max_client_errors", "0", dir)
	o.overEach(func(t *testing.T, o *originRun) {
		if a := o.get("/deny", 403); a.body != "not for 127.0.0.1, who is 200" {
			t.Errorf("denied with %q", a.body)
		}
		if a := o.get("/film.ts", 200); a.body != film {
			t.Errorf("%d bytes of what the script leaves alone", len(a.body))
		}
		if a := o.get("/film", 206, "Range", "bytes=4-7"); a.body != "film" {
			t.Errorf("another file, in part: %q", a.body)
		}
		a := o.get("/header", 200, "X-Ask", "please")
		a.has(t, "X-Hook", "please")
		a.has(t, "Content-Length", fmt.Sprint(len(film)))
		testScriptStreams(t, o)
		if a := o.get("/throw", 500); strings.Contains(a.body, "meant") {
			t.Errorf("a client is told what is wrong with the script: %q", a.body)
		}
		o.get("/out", 500)
		f := o.follow("/breaks")
		f.hears("\x00\x00\x00")
		f.hearsEnd(true)
		if a := o.get("/slow.ts", 200); a.body != film {
			t.Errorf("%d bytes of what is slow", len(a.body))
		}
		testScriptParks(t, o)
	})
	o.get("/forever", 500)
	o.get("/film.ts", 200) // its worker goes on
	w := wireTo(t, o.addr, "")
	for range 3 {
		w.wants(403, "GET /deny")
		w.wants(200, "GET /film.ts")
	}
	stopped(t, o.proc)
	closedOnce(t, o)
	if out := o.proc.Output(); !strings.Contains(out, "it was meant to") || !strings.Contains(out, "throttle 16384/100000") || strings.Contains(out, "throttle 16384/0") {
		t.Errorf("the log does not tell of the script what it should:\n%s", out)
	}
	if said := startsNot(t, "--js", put(t, filepath.Join(root, "bad.js"), "httpout.on_request = function(req) {\n\tlet = ;\n};"), dir); !strings.Contains(said, "bad.js:2") && !strings.Contains(said, "Line 2") {
		t.Errorf("a script that is none: the place is not told: %s", said)
	}
	if said := startsNot(t, "--js", put(t, filepath.Join(root, "none.js"), "print('here');"), dir); !strings.Contains(said, "on_request") {
		t.Errorf("a script without on_request: %s", said)
	}
}

// testScriptStreams: a body that a script reads is chunked, one that it writes is an upload.
func testScriptStreams(t *testing.T, o *originRun) {
	a := o.get("/stream", 200)
	var want strings.Builder
	for i := range 10 {
		want.WriteString(strings.Repeat(string(rune('A'+i)), 1000))
	}
	if a.body != want.String() || a.ContentLength >= 0 {
		t.Errorf("a stream of %d bytes, its length is said to be %d", len(a.body), a.ContentLength)
	}
	if a.ProtoMajor == 1 && !slices.Equal(a.TransferEncoding, []string{"chunked"}) {
		t.Errorf("a stream is sent as %v", a.TransferEncoding)
	}
	a.has(t, "Content-Type", "video/mp2t")
	o.put("/upload", "from a "+a.Proto+" client", 201)
	o.proc.WaitLine("uploaded from a " + a.Proto + " client")
}

// testScriptParks: a request waits until the script says send().
func testScriptParks(t *testing.T, o *originRun) {
	parked := o.asks("/park")
	testkit.Eventually(t, func() error { // until it is parked, there is nothing to send
		if a := o.ask(http.MethodGet, "/unpark", ""); a.StatusCode == 500 {
			return fmt.Errorf("/unpark: %s", a.Status)
		}
		return nil
	})
	if a := parked.answered(200); a.body != "at last" {
		t.Errorf("who was parked gets %q", a.body)
	}
}

// closedOnce: each request that the script was asked about was told to be over once, 1 where the connection is kept.
func closedOnce(t *testing.T, o *originRun) {
	t.Helper()
	times := map[string]int{}
	for _, m := range regexp.MustCompile(`closed (\w+ \S+ -?\d)`).FindAllStringSubmatch(o.proc.Output(), -1) {
		times[m[1]]++
	}
	want := map[string]int{"GET /breaks -1": 2, "GET /film.ts 0": 2, "GET /film.ts 1": 4}
	for _, request := range []string{"GET /film", "GET /header", "GET /stream", "PUT /upload", "GET /park"} {
		want[request+" 0"], want[request+" 1"] = 1, 1 // over HTTP/1.1 the client says Connection: close
	}
	for line, n := range want {
		if times[line] != n {
			t.Errorf("%q was said %d times, want %d: %v", line, times[line], n, times)
		}
	}
}
