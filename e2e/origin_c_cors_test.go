//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
)

const otherSite = "https://player.example"

// seenBy says whether pages of other sites may read an answer.
func (a reply) seenBy(t *testing.T, origin string) {
	t.Helper()
	a.has(t, "Access-Control-Allow-Origin", origin)
	expose := ""
	if origin != "" {
		expose = "*"
	}
	a.has(t, "Access-Control-Expose-Headers", expose)
}

// testOriginCORS: auto, off and on; with an object and with errors, over both versions.
func testOriginCORS(t *testing.T) {
	for _, c := range []struct {
		cors, with, without string // Allow-Origin of requests with Origin and without
		vary                bool
	}{
		{"auto", otherSite, "", true},
		{"on", otherSite, "*", true},
		{"off", "", "", false},
	} {
		startFile(t, "--cors", c.cors).overEach(func(t *testing.T, o *originRun) {
			for path, status := range map[string]int{"/a.txt": 200, "/no": 404, "/": 403} {
				with := o.get(path, status, "Origin", otherSite)
				with.seenBy(t, c.with)
				o.get(path, status).seenBy(t, c.without)
				if got := slices.Contains(with.Header.Values("Vary"), "Origin"); got != c.vary {
					t.Errorf("cors=%s %s: Vary: Origin is there: %v", c.cors, path, got)
				}
				if c.vary != slices.Contains(o.get(path, status).Header.Values("Vary"), "Origin") {
					t.Errorf("cors=%s %s without Origin: a cache would take this answer for another", c.cors, path)
				}
				with.has(t, "Cross-Origin-Embedder-Policy", "")
				with.has(t, "Cross-Origin-Opener-Policy", "")
			}
		})
	}
	isolated := startFile(t, "--isolate").get("/a.txt", 200, "Origin", otherSite)
	isolated.has(t, "Cross-Origin-Embedder-Policy", "require-corp")
	isolated.has(t, "Cross-Origin-Opener-Policy", "same-origin")
}

// secretDir is a file of rules for a directory that only alice may have, and one of users. Nobody needs her password.
func secretDir(t *testing.T) (rules, users string) {
	t.Helper()
	dir := t.TempDir()
	users = filepath.Join(dir, "users")
	addUser(t, users, "alice", "wonderland")
	return put(t, filepath.Join(dir, "rules"), "["+t.TempDir()+"]\nru=alice\nwu=alice\n"), users
}

// testPreflight: it is answered with 204 whoever asks and whatever for. A browser takes it for an answer, too.
func testPreflight(t *testing.T) {
	rules, users := secretDir(t)
	o := startOrigin(t, "--users", users, rules)
	o.get("/no", 401)
	o.overEach(func(t *testing.T, o *originRun) {
		for _, path := range []string{"/no", "/no/such/thing", "/"} {
			a := o.ask(http.MethodOptions, path, "", "Origin", otherSite,
				"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization,range")
			if a.StatusCode != 204 || a.body != "" {
				t.Errorf("preflight of %s: %s %q", path, a.Status, a.body)
			}
			a.seenBy(t, otherSite)
			a.has(t, "Access-Control-Allow-Methods", "GET,POST,PUT,DELETE,HEAD,OPTIONS")
			a.has(t, "Access-Control-Allow-Headers", "*, Authorization")
		}
	})
	for _, cors := range []string{"auto", "off"} {
		w := wireTo(t, startFile(t, "--cors", cors).addr, "")
		w.wants(204, "OPTIONS *").has(t, "Allow", "GET,HEAD,OPTIONS")
		w.wants(200, "GET /a.txt")
	}
	off := startFile(t, "--cors", "off")
	off.ask(http.MethodOptions, "/a.txt", "", "Origin", otherSite, "Access-Control-Request-Method", "GET").has(t, "Access-Control-Allow-Methods", "")
	testBrowserPreflight(t, o)
}

// corsPage uploads, reads, asks for a part and for what is not there, as a page of another site with credentials of its own.
const corsPage = `<!doctype html><script>
(async () => {
	const said = {};
	const headers = { Authorization: "Basic " + btoa("alice:wonderland") };
	try {
		const put = await fetch(%[1]q + "/from-a-page.txt", { method: "PUT", headers, body: "a page was here" });
		said.put = put.status;
		said.location = put.headers.get("Content-Location");
		const part = await fetch(%[1]q + "/from-a-page.txt", { headers: { ...headers, Range: "bytes=2-5" } });
		said.part = part.status + " " + await part.text();
		said.range = part.headers.get("Content-Range");
		said.missing = (await fetch(%[1]q + "/no", { headers })).status;
		said.unknown = (await fetch(%[1]q + "/no")).status;
		said.deleted = (await fetch(%[1]q + "/from-a-page.txt", { method: "DELETE", headers })).status;
	} catch (e) { said.error = String(e); }
	await fetch("/said", { method: "POST", body: JSON.stringify(said) });
})();
</script>`

// testBrowserPreflight: Chromium lets a page of another site do all this.
func testBrowserPreflight(t *testing.T, o *originRun) {
	var said struct {
		Put, Missing, Unknown, Deleted int
		Location, Part, Range, Error   string
	}
	chromiumSays(t, fmt.Sprintf(corsPage, o.url), &said)
	want := said
	want.Put, want.Missing, want.Unknown, want.Deleted = 201, 404, 401, 200
	want.Location, want.Part, want.Range, want.Error = "/from-a-page.txt", "206 page", "bytes 2-5/15", ""
	if said != want {
		t.Errorf("Chromium reports %+v, want %+v", said, want)
	}
}

// testOptionsAllow: what OPTIONS says is permitted, of each kind of server.
func testOptionsAllow(t *testing.T) {
	dir := t.TempDir()
	for allow, args := range map[string][]string{
		"GET,HEAD,OPTIONS":                 {dir},
		"GET,POST,PUT,DELETE,HEAD,OPTIONS": {dir, "--wdir", dir},
		"POST,PUT,OPTIONS":                 {"--hmode", "source", "--viewers", freePort(t)},
	} {
		startOrigin(t, args...).overEach(func(t *testing.T, o *originRun) {
			for _, path := range []string{"/a.ts", "/no/such"} {
				a := o.ask(http.MethodOptions, path, "")
				if a.StatusCode != 200 || a.body != "" {
					t.Errorf("OPTIONS %s: %s %q", path, a.Status, a.body)
				}
				a.has(t, "Allow", allow)
				a.has(t, "Content-Length", "0")
			}
		})
	}
}

// testUnknownMethods: what is no method of ours is 501, and the connection goes on.
func testUnknownMethods(t *testing.T) {
	o := startFile(t)
	w := wireTo(t, o.addr, "")
	for _, request := range []string{"PATCH /a.txt", "TRACE /a.txt", "CONNECT a.example:443", "CONNECT /a.txt", "BREW /pot", "PROPFIND /", "get /a.txt"} {
		w.wants(501, request)
	}
	w.wants(200, "GET /a.txt")
	for _, method := range []string{"PATCH", "TRACE", "BREW"} {
		o.overEach(func(t *testing.T, o *originRun) {
			if a := o.ask(method, "/a.txt", ""); a.StatusCode != 501 {
				t.Errorf("%s %s: %s %q", a.Proto, method, a.Status, a.body)
			}
		})
	}
}

// testWriteOnly: a server with a write directory only gives nothing.
func testWriteOnly(t *testing.T) {
	dir := t.TempDir()
	o := startOrigin(t, "--wdir", dir, "--dlist")
	o.put("/a.txt", "a file", 201)
	o.overEach(func(t *testing.T, o *originRun) {
		for _, path := range []string{"/a.txt", "/no", "/"} {
			o.get(path, 403)
			if a := o.ask(http.MethodHead, path, ""); a.StatusCode != 403 {
				t.Errorf("HEAD %s: %s", path, a.Status)
			}
		}
		o.ask(http.MethodOptions, "/a.txt", "").has(t, "Allow", "GET,POST,PUT,DELETE,HEAD,OPTIONS")
	})
	if got := readFile(t, filepath.Join(dir, "a.txt")); got != "a file" {
		t.Errorf("stored was %q", got)
	}
	o.put("/a.txt", "another", 200)
	if a := o.ask(http.MethodDelete, "/a.txt", ""); a.StatusCode != 200 {
		t.Errorf("DELETE: %s", a.Status)
	}
	seen(t, filepath.Join(dir, "a.txt"), false)
}
