package script

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatAScriptSees(t *testing.T) {
	h, lines := load(t, `httpout.on_request = function(req) {
		req.method = "X"; req.url = "X"; req.auth_code = 1; req.IP = "X"; req.send.call = null;
		print(JSON.stringify(req));
		req.send();
	};`, Config{})
	r := httptest.NewRequest("PROPFIND", "http://tv.example/a%20b/%2e%2e/c?q=%20&x", nil)
	r.Header.Set("X-B", "2")
	r.Header.Add("Accept", "one")
	r.Header.Add("Accept", "two")
	x, err := h.Ask(t.Context(), Request{HTTP: r, AuthCode: 401, Peer: netip.MustParseAddrPort("[2001:db8::1]:99")})
	if err != nil {
		t.Fatal(err)
	}
	x.End(0)
	want := `{"method":"PROPFIND","url":"/a b/../c?q=%20&x","auth_code":401,"headers_in":[{"name":"Host","value":"tv.example"},` +
		`{"name":"Accept","value":"one"},{"name":"Accept","value":"two"},{"name":"X-B","value":"2"}],"tls":false,"netid":null,` +
		`"IP":"2001:db8::1","port":99,"reply":0,"headers_out":[]}`
	if got := lines.next(t); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.RemoteAddr = "192.0.2.1:7"
	if x, err = h.Ask(t.Context(), Request{HTTP: r}); err != nil {
		t.Fatal(err)
	}
	x.End(0)
	if got := lines.next(t); !strings.Contains(got, `"IP":"192.0.2.1","port":7`) {
		t.Error(got)
	}
}

// What a script says that nobody can answer with is an exception: 500, and the log gets to know why.
func TestWrongAnswers(t *testing.T) {
	for text, want := range map[string]string{
		`req.reply = 100;`:               "reply is 100, want 0 or 200 to 599",
		`req.reply = -1;`:                "reply is -1",
		`req.reply = 600;`:               "reply is 600",
		`req.reply = 200; req.body = 5;`: "body is no string",
		`req.reply = 200; req.body = "x".repeat(8 * 1048576 + 1);`:        "body has 8388609 characters, 8388608 at most",
		`req.headers_out = [{name: "A B", value: "x"}];`:                  `"A B" is no name of a header`,
		`req.headers_out = [{name: "", value: "x"}];`:                     `"" is no name of a header`,
		`req.headers_out = [{name: "Ä", value: "x"}];`:                    `is no name of a header`,
		`req.headers_out = [{name: "A", value: "x\r\nSet-Cookie: y"}];`:   "the header A has a control character",
		`req.headers_out = [{name: "A", value: "x\0"}];`:                  "the header A has a control character",
		`req.headers_out = [{name: "A"}];`:                                "headers_out[0] is no {name, value}",
		`req.headers_out = [null];`:                                       "headers_out[0] is no {name, value}",
		`req.headers_out = "abc";`:                                        "headers_out[0] is no {name, value}",
		`req.headers_out.length = 101;`:                                   "101 headers, 100 at most",
		`req.headers_out = [{name: "A", value: "x".repeat(9000)}];`:       "a header of 9001 bytes",
		`req.headers_out = [{name: "Content-Length", value: "-1"}];`:      `Content-Length is "-1"`,
		`req.body = "/etc/passwd";`:                                       "there are no files for scripts",
		`req.send(); req.send();`:                                         "send() was called before",
		`Object.defineProperty(req, "reply", {get() { throw "away"; }});`: "away",
	} {
		h, _ := load(t, `httpout.on_request = function(req) { `+text+` req.send(); };`, Config{Workers: 1})
		_, err := ask(t, h, "/")
		if status(err) != 500 || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %d %v, want %q", text, status(err), err, want)
		}
		h.Close()
	}
	h, _ := load(t, `httpout.on_request = function(req) { req.reply = 201; req.send(); };`, Config{})
	_, err := h.Ask(t.Context(), Request{HTTP: httptest.NewRequest("PUT", "/", nil)})
	if status(err) != 500 || !strings.Contains(err.Error(), "needs a function write") {
		t.Error(err)
	}
}

func TestFilesAreChecked(t *testing.T) {
	h, _ := load(t, `httpout.on_request = function(req) { req.body = req.url; req.send(); };`, Config{Files: func(path string) error {
		if path != "/srv/a" {
			return fmt.Errorf("%s is not served", path)
		}
		return nil
	}})
	if x, err := ask(t, h, "/srv/a"); err != nil || x.Answer.File != "/srv/a" || x.Answer.Status != 0 {
		t.Error(x, err)
	}
	if _, err := ask(t, h, "/etc/passwd"); status(err) != 500 || !strings.Contains(err.Error(), "/etc/passwd is not served") {
		t.Error(err)
	}
}

func TestBadScripts(t *testing.T) {
	for text, want := range map[string]string{
		"httpout.on_request = function(req) {\n  req..send();\n}": "hook.js: Line 2:",
		`import { Sys as sys } from 'gpaccore'`:                   "there are no modules",
		"\n\nnothing.at.all();":                                   "hook.js:3:",
		"var x = 1;":                                              "the script sets no httpout.on_request",
		"httpout.on_request = 5;":                                 "the script sets no httpout.on_request",
		"for (;;) {}":                                             "ran longer than",
		strings.Repeat(" ", maxScript+1):                          "more than 1048576 bytes",
	} {
		_, err := New(Config{File: scriptFile(t, text), Limit: 2 * time.Second, Workers: 1})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") ||
			want != "there are no modules" && strings.Contains(err.Error(), "modules") {
			t.Errorf("%.50q: %v, want %q", text, err, want)
		}
	}
	if _, err := New(Config{File: t.TempDir()}); err == nil {
		t.Error("a directory is no script")
	}
}

// What a script does wrong ends its request and nobody else's; the worker stays usable.
func TestRunawayScripts(t *testing.T) {
	text := `
var seen = 0;
httpout.on_request = function(req) {
	seen++;
	switch (req.url) {
	case "/loop": for (;;) {}
	case "/catch": for (;;) { try { for (;;) {} } catch (e) {} finally { continue; } }
	case "/deep": (function f() { f(); })();
	case "/callbacks": [1].map(function g() { return [1].map(g); });
	case "/json": JSON.parse("[".repeat(5000000));
	case "/eval": eval("1");
	case "/function": (function(){}).constructor("return 1")();
	case "/async": Object.getPrototypeOf(async function(){}).constructor("return 1")();
	case "/new": new Function("return 1");
	case "/rejected": return (async function() { throw new Error("in vain"); })();
	}
	req.reply = 200;
	req.body = String(seen);
	req.send();
};`
	runaway(t, text, Config{Workers: 1, Limit: 2 * time.Second}, []wrong{
		{"/loop", "ran longer than 2s"},
		{"/catch", "ran longer than 2s"},
	})
	runaway(t, text, Config{Workers: 1}, []wrong{
		{"/deep", "more than 4096 deep"},
		{"/callbacks", "more than 4096 deep"},
		{"/json", "nested deeper than 512"},
		{"/eval", "eval is not defined"},
		{"/function", "no code is made of text"},
		{"/async", "no code is made of text"},
		{"/new", "no code is made of text"},
		{"/rejected", "in vain"},
	})
}

// wrong is a request that a script fails at, and what the log is told.
type wrong struct{ url, want string }

func runaway(t *testing.T, text string, c Config, list []wrong) {
	t.Helper()
	h, _ := load(t, text, c)
	asked := 0
	for _, c := range list {
		if _, err := ask(t, h, c.url); status(err) != 500 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.url, err)
		}
		x, err := ask(t, h, "/")
		if asked += 2; err != nil || x.Answer.Body != fmt.Sprint(asked) {
			t.Fatalf("after %s: %v", c.url, err)
		}
		x.End(0)
	}
}

func TestNestedDeeper(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "[[]]": false, "[[[]]]": true, `["[[[[["]`: false, `["\"[[[["]`: false, "[][][][]": false, `{"a":{"b":[`: true, `"\`: false, "]]]]": false,
	} {
		if got := nestedDeeper(text, 2); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Of what is JSON the depth is what the decoder of the standard library meets.
func FuzzNestedDeeper(f *testing.F) {
	for _, s := range []string{`[[{"a":"]"}]]`, `"\\"`, `{"a":[1,{"b":"\"["}]}`, "[", `"`, `{"[":"{"}`} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		got := nestedDeeper(text, limit)
		if !json.Valid([]byte(text)) {
			return
		}
		depth, deepest := 0, 0
		tokens := json.NewDecoder(strings.NewReader(text))
		for token, err := tokens.Token(); err == nil; token, err = tokens.Token() {
			switch token {
			case json.Delim('['), json.Delim('{'):
				depth++
				deepest = max(deepest, depth)
			case json.Delim(']'), json.Delim('}'):
				depth--
			}
		}
		if want := deepest > limit; limit >= 0 && got != want {
			t.Errorf("%q is nested %d deep; deeper than %d: %v", text, deepest, limit, got)
		}
	})
}

// send() may be called later, when the worker serves another request.
func TestSendLater(t *testing.T) {
	h, lines := load(t, `
var parked = [];
httpout.on_request = function(req) {
	req.close = function(code) { print("close", req.url, code); };
	if (req.url != "/go") { parked.push(req); print("parked"); return; }
	parked.forEach(function(p) { p.reply = 200; p.body = "sent " + p.url; p.send(); });
	parked = [];
	req.send();
};`, Config{Workers: 1})
	answers := make(chan string)
	for _, url := range []string{"/a", "/b"} {
		go func() {
			x, err := ask(t, h, url)
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- x.Answer.Body
			x.End(1)
		}()
		lines.next(t)
	}
	ctx, gone := context.WithCancel(t.Context())
	gave := make(chan error)
	go func() {
		_, err := h.Ask(ctx, Request{HTTP: httptest.NewRequest("GET", "/gone", nil)})
		gave <- err
	}()
	lines.next(t)
	gone()
	if err := <-gave; status(err) != statusGone {
		t.Error(err)
	}
	if line := lines.next(t); line != "close /gone -1" {
		t.Error(line)
	}
	if _, err := ask(t, h, "/go"); err != nil { // although it sends for one that is gone
		t.Fatal(err)
	}
	got := []string{<-answers, <-answers}
	if slices.Sort(got); !slices.Equal(got, []string{"sent /a", "sent /b"}) {
		t.Errorf("%q", got)
	}
	got = []string{lines.next(t), lines.next(t)}
	if slices.Sort(got); !slices.Equal(got, []string{"close /a 1", "close /b 1"}) {
		t.Errorf("%q", got)
	}
}

func TestParkedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, lines := load(t, `httpout.on_request = function(req) { req.close = function(code) { print("close", code); }; };`, Config{Workers: 1, Park: 7 * time.Second})
		began := time.Now()
		if _, err := ask(t, h, "/"); status(err) != 504 || time.Since(began) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if line := lines.next(t); line != "close -1" {
			t.Error(line)
		}
		h.Close()
	})
}

// One worker is busy and the queue is full: who comes then is told at once. A closed hook tells everybody.
func TestFullAndClosed(t *testing.T) {
	h, lines := load(t, `httpout.on_request = function(req) { print("begun"); for (;;) {} };`, Config{Workers: 1, Queue: 2})
	ended := make(chan error)
	begin := func() {
		go func() {
			_, err := ask(t, h, "/")
			ended <- err
		}()
	}
	begin()
	lines.next(t)
	begin()
	begin()
	testkit.Eventually(t, func() error {
		if n := len(h.asks); n != 2 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	if _, err := ask(t, h, "/"); status(err) != 503 {
		t.Error(err)
	}
	h.Close()
	for range 3 {
		if err := <-ended; status(err) != 503 {
			t.Error(err)
		}
	}
	h.Close()
	if _, err := ask(t, h, "/"); status(err) != 503 {
		t.Error(err)
	}
}

func TestPrint(t *testing.T) {
	h, lines := load(t, `httpout.on_request = function(req) {
		print("a", 1, {}, [2, 3]);
		print(GF_LOG_WARNING, "level");
		print(5, "no level");
		console.error("bad\r\nINFO forged \x1b[2J\u2028");
		console.log("x".repeat(5000));
		for (var i = 0; i < 200; i++) console.debug(i);
		req.send();
	};`, Config{Workers: 1})
	x, err := ask(t, h, "/")
	if err != nil {
		t.Fatal(err)
	}
	x.End(0)
	for _, want := range []string{"a 1 [object Object] 2,3", "WARN the script says level", "5 no level", "ERROR the script says bad  INFO forged  [2J ", strings.Repeat("x", maxLine) + "…", "DEBUG the script says 0"} {
		if got := lines.next(t); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPrintIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, lines := load(t, `httpout.on_request = function(req) { for (var i = 0; i < 250; i++) print(i); req.send(); };`, Config{Workers: 1})
		for _, first := range []string{"0", "0 150"} { // what was held back is told of next time
			x, err := ask(t, h, "/")
			if err != nil {
				t.Fatal(err)
			}
			x.End(0)
			if n := len(lines); n != maxLines {
				t.Errorf("%d lines", n)
			}
			if got := lines.next(t); got != first {
				t.Errorf("the first line is %q, want %q", got, first)
			}
			for len(lines) > 0 {
				<-lines
			}
			time.Sleep(time.Second)
		}
		h.Close()
	})
}

// A VM that fails itself is replaced, and its requests are answered.
func TestVMThatFails(t *testing.T) {
	h, lines := load(t, `var n = 0; httpout.on_request = function(req) { n++; req.reply = 200; req.body = String(n); req.send(); };`, Config{Workers: 1})
	x, err := ask(t, h, "/")
	if err != nil || x.Answer.Body != "1" {
		t.Fatal(err)
	}
	if err := x.call(t.Context(), func() error { panic("the VM is no more") }); status(err) != 500 {
		t.Error(err)
	}
	if line := lines.next(t); !strings.Contains(line, "VM has failed") {
		t.Error(line)
	}
	x.End(-1)
	if x, err = ask(t, h, "/"); err != nil || x.Answer.Body != "1" {
		t.Errorf("%v %v", x, err)
	}
	x.End(0)
}

func BenchmarkAsk(b *testing.B) {
	path := filepath.Join(b.TempDir(), "hook.js")
	if err := os.WriteFile(path, []byte(`httpout.on_request = function(req) { if (req.method == "PUT") req.reply = 403; req.send(); };`), 0o600); err != nil {
		b.Fatal(err)
	}
	h, err := New(Config{File: path})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	r := httptest.NewRequest("GET", "/a/b/c.m4s", nil)
	for b.Loop() {
		x, err := h.Ask(context.Background(), Request{HTTP: r, AuthCode: 200})
		if err != nil {
			b.Fatal(err)
		}
		x.End(0)
	}
}
