//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// testRequestLog: what is told of requests, in the words of httpout, with the right method and the right duration.
func testRequestLog(t *testing.T) {
	t.Run("all", testLogOfAll)
	t.Run("ends", testLogOfEnds)
	t.Run("filters", testLogFilters)
}

// logs wants a line of the request log, whatever the level of the log, and returns what stands in its groups.
func (o *originRun) logs(expr string) []string {
	o.t.Helper()
	return o.proc.WaitLine(`level=NORM msg="?` + expr + `"? role=origin`)
}

func testLogOfAll(t *testing.T) {
	o, _ := startOriginDir(t, "--reqlog", "*")
	began := time.Now()
	o.put("/a.txt", "0123456789", 201)
	o.get("/a.txt", 200)
	o.get("/a.txt?key=secret", 206, "Range", "bytes=0-3")
	o.get("/no", 404)
	o.ask(http.MethodHead, "/a.txt", "")
	o.ask(http.MethodOptions, "/a.txt", "")
	o.ask("PATCH", "/a.txt", "")
	o.ask(http.MethodPut, "/b.txt", "", "Range", "units=0-3")
	o.ask(http.MethodDelete, "/a.txt", "")
	h2 := *o
	h2.web = http2Client(t)
	h2.get("/%22a%0ab%22", 404)
	took := time.Since(began).Milliseconds() + 1
	n := 0
	line := func(id, expr string) {
		t.Helper()
		m := o.logs(id + expr)
		if len(m) < 2 {
			return
		}
		if ms, err := strconv.ParseInt(m[1], 10, 64); err != nil || ms > took {
			t.Errorf("%s: %v, it took %d ms at most", m[0], err, took)
		}
	}
	request := func(start, end string) {
		t.Helper()
		n++
		line(fmt.Sprintf("REQ#%d ", n), `127\.0\.0\.1 `+start)
		line(fmt.Sprintf("REQ#%d ", n), end+` in (\d+) ms at \S+ [km]?bps`)
	}
	request(`PUT /a\.txt start`, `PUT done: reply 201 - 10 bytes`)
	request(`GET /a\.txt start`, `GET done: reply 200 - 10 bytes`)
	request(`GET /a\.txt \[range: bytes=0-3\] start`, `GET done: reply 206 - 4 bytes`)
	request(`GET /no start`, `GET done: error 404 - \d+ bytes`)
	request(`HEAD /a\.txt start`, `HEAD done: reply 200 - 0 bytes`)
	request(`OPTIONS /a\.txt start`, `OPTIONS done: reply 200 - 0 bytes`)
	request(`PATCH /a\.txt start`, `PATCH done: error 501 - \d+ bytes`)
	request(`PUT /b\.txt \[range: units=0-3\] start`, `PUT done: error \d+ - \d+ bytes`)
	request(`DELETE /a\.txt start`, `DELETE done: reply 200 - 0 bytes`)
	n++
	line(fmt.Sprintf("H2 REQ#%d ", n), `127\.0\.0\.1 GET /%22a%0[aA]b%22 start`)
	line(fmt.Sprintf("H2 REQ#%d ", n), `GET done: error 404 - \d+ bytes in (\d+) ms`+`.*`)
	if out := o.proc.Output(); strings.Contains(out, "secret") || strings.Contains(out, "UNKNOWN") {
		t.Errorf("the log has a query, or a method that it does not know:\n%s", out)
	}
}

// testLogOfEnds: who has ended a request is told, and an upload from its beginning.
func testLogOfEnds(t *testing.T) {
	o, _ := startOriginDir(t, "--reqlog", "*")
	u := o.beginSeen("/live.ts", "one")
	put := o.logs(`REQ#(\d+) 127\.0\.0\.1 PUT /live\.ts start chunk-transfer`)[1]
	f := o.follow("/live.ts")
	get := o.logs(`REQ#(\d+) 127\.0\.0\.1 GET /live\.ts start chunk-transfer`)[1]
	f.hears("one")
	f.Body.Close()
	o.logs("REQ#" + get + ` GET canceled - 3 bytes in \d+ ms at .*`)
	f = o.follow("/live.ts")
	f.hears("one")
	heard := time.Now()
	u.says("two")
	f.hears("two")
	lasted := time.Since(heard).Milliseconds()
	u.breaks()
	f.hearsEnd(true)
	o.logs(`REQ#\d+ GET aborted! - 6 bytes in \d+ ms at .*`)
	if ms, err := strconv.ParseInt(o.logs("REQ#" + put + ` PUT (?:aborted!|canceled|done: error \d+) - 6 bytes in (\d+) ms at .*`)[1], 10, 64); err != nil || ms < lasted {
		t.Errorf("the upload took %d ms, of which %d are known", ms, lasted)
	}
}

// testLogFilters: only what is asked for is told, and its ends not with a minus.
func testLogFilters(t *testing.T) {
	for filter, want := range map[string]string{
		"":         "",
		"GET":      "GET start, GET done, GET start, GET done",
		"PUT,HEAD": "PUT start, PUT done, HEAD start, HEAD done",
		"-*":       "PUT start, GET start, GET start, HEAD start, DELETE start",
		"-GET":     "GET start, GET start",
		"REC":      "Opening output a.txt, Closing output a.txt, Deleting output a.txt",
		"REC,GET":  "Opening output a.txt, Closing output a.txt, GET start, GET done, GET start, GET done, Deleting output a.txt",
	} {
		o, dir := startOriginDir(t, "--reqlog", filter)
		o.put("/a.txt", "0123456789", 201)
		o.get("/a.txt", 200)
		o.get("/no", 404)
		o.ask(http.MethodHead, "/a.txt", "")
		o.ask(http.MethodDelete, "/a.txt", "")
		seen(t, filepath.Join(dir, "a.txt"), false)
		stopped(t, o.proc)
		var told []string
		for _, m := range regexp.MustCompile(`msg="(?:REQ#\d+ (?:127\.0\.0\.1 )?(\w+) .*?(start|done)|(\w+ output \S+)")`).FindAllStringSubmatch(o.proc.Output(), -1) {
			told = append(told, strings.TrimSpace(m[1]+" "+m[2]+m[3]))
		}
		if got := strings.Join(told, ", "); got != want {
			t.Errorf("reqlog=%s: %s; want %s", filter, got, want)
		}
	}
	dir, quiet := shortDir(t), freePort(t)
	p := startRelayOf(t, "origin", "-q", "--listen", quiet, "--reqlog", "GET", "--run-dir", filepath.Join(dir, "run"), dir)
	testkit.Eventually(t, func() error {
		resp, err := http.Get("http://" + quiet + "/no")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	p.WaitLine(`REQ#1 GET done: error 404`) // whatever the level of the log
	if said := startsNot(t, "--reqlog", "GTE", t.TempDir()); !strings.Contains(said, "GTE") {
		t.Errorf("a method that is none: %s", said)
	}
}
