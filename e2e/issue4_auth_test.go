//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sluice/internal/testkit"
)

// testTokens: one of the tokens of the file is wanted, the one of the moment.
func testTokens(t *testing.T) {
	group := source(t)
	log, access := accessLog(t)
	tokens := write(t, "tokens", []byte(exampleOf(t, "auth.md", "text tokens")))
	config := access + "auth: {tokens: " + tokens + "}\nchannels: {news: {source: 'udp://" + group + "'}}\n"
	p := run(t, settings{config: config})
	for path, code := range map[string]int{
		"/udp/" + group + "?token=7f3c9ad2e5b14c60":                      200,
		"/$news?x=1&token=b0e1d5c38a7f4296":                              200,
		"/src/udp://" + group + "?token=7f3c9ad2e5b14c60/dst/?start=key": 200,
		"/src/$news/dst/?token=7f3c9ad2e5b14c60":                         200,
		"/udp/" + group:                                                  401,
		"/udp/" + group + "?token=":                                      403,
		"/udp/" + group + "?token=7f3c9ad2e5b14c6":                       403,
		"/udp/" + group + "?token=wrong&token=7f3c9ad2e5b14c60":          403,
		"/udp/" + group + "?Token=7f3c9ad2e5b14c60":                      401,
		"/$nobody": 404,
	} {
		p.wants(code, path)
	}
	awaitEntry(t, log, "event", "client_open", "user", "bob")
	awaitEntry(t, log, "event", "client_open", "user", "eve")
	if code, _ := curl(t, p.url("/playlist.m3u")); code != 401 {
		t.Errorf("the playlist without a token: %d", code)
	}
	a := request(t, http.MethodHead, p.url("/udp/"+group))
	if a.code != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("HEAD without a token: %d, %v", a.code, a.header)
	}
	v := watch(t, p.url("/udp/"+group+"?token=7f3c9ad2e5b14c60"))
	if err := os.WriteFile(tokens, []byte("bob changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.reload(config)
	p.wants(403, "/udp/"+group+"?token=7f3c9ad2e5b14c60")
	p.wants(200, "/udp/"+group+"?token=changed")
	v.more(10_000) // who watches goes on
}

// exampleOf is the first example of a page of the manual with that word behind the fence.
func exampleOf(t *testing.T, page, word string) string {
	t.Helper()
	text := readFile(t, filepath.Join("..", "docs", page))
	m := regexp.MustCompile("(?ms)^```" + word + "\n(.*?)^```$").FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("docs/%s has no example %q", page, word)
	}
	return m[1]
}

// testSignedURLs: what sluice sign prints is let in, and nothing that is another.
func testSignedURLs(t *testing.T) {
	group := source(t)
	secrets := write(t, "secrets", []byte(strings.Repeat("5e", 32)+"\n"))
	p := run(t, settings{config: "auth: {secrets: " + secrets + "}\nchannels: {news: {source: 'udp://" + group + "'}}\n"})
	sign := func(path string, more ...string) string {
		t.Helper()
		args := append([]string{"sign", path, "--secret", secrets}, more...)
		out, msg, code := output(program(), args...)
		if code != 0 {
			t.Fatalf("sluice %q: exit %d, %s", args, code, msg)
		}
		return strings.TrimSpace(out)
	}
	for _, path := range []string{"/udp/" + group, "/$news", "/%24news", "/src/udp://" + group + "?x=1/dst/", "/udp/" + group + "/"} {
		signed := sign(path, "--for", "6h")
		p.wants(200, signed)
		p.wants(200, signed+"&start=live&x=y")
		p.wants(401, path)
		p.wants(403, strings.Replace(signed, "expires=", "expires=9", 1))
		p.wants(403, signed[:len(signed)-1]+"g")
		p.wants(403, strings.Replace(signed, path, "/udp/239.1.1.1:5000", 1))
	}
	mine, other := sign("/$news", "--for", "6h", "--ip", "127.0.0.1"), sign("/$news", "--for", "6h", "--ip", "127.0.0.2")
	p.wants(200, mine)
	p.wants(403, other)
	p.wants(403, strings.Replace(mine, "&ip=127.0.0.1", "", 1))
	if k, err := knock(p, other, "127.0.0.2"); err != nil {
		t.Errorf("from the address that was signed: %v", err)
	} else {
		k.conn.Close()
	}
	code, list := curl(t, p.url(sign("/playlist.m3u", "--for", "24h")))
	if code != 200 || !strings.Contains(list, "/$news") || strings.Contains(list, "sign=") {
		t.Errorf("the playlist: %d %q", code, list)
	}
	brief := sign("/$news", "--for", "1s")
	testkit.Eventually(t, func() error {
		if code := p.answers(brief); code != 403 {
			return fmt.Errorf("%d, want 403 when its time is over", code)
		}
		return nil
	})
}

// testHook: the service of the manual decides; without it nobody is let in.
func testHook(t *testing.T) {
	testkit.Need(t, "python3")
	group := source(t)
	hook := testkit.Start(t, "python3", "-c", exampleOf(t, "auth.md", "python hook"), "0")
	p := run(t, settings{config: "auth: {hook: '" + hook.WaitLine(`^(http://\S+)$`)[1] + "', denied_for: 0s}\nchannels: {news: {source: 'udp://" + group + "'}}\n"})
	p.wants(200, "/$news?pass=9b74c989")
	p.wants(200, "/udp/"+group+"?pass=5d41402a")
	p.wants(403, "/$news?pass=9b74c98")
	p.wants(403, "/$news")
	hook.Signal(os.Kill)
	<-hook.Done()
	p.wants(504, "/$news?pass=9b74c989")
	p.proc.WaitLine(`level=WARN.*authorization hook does not answer`)

	var mu sync.Mutex // guards asked
	var asked []string
	answer := map[string]int{"yes": 204, "no": 403, "who": 401, "broken": 500, "moved": 302}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, string(body))
		for word, code := range answer {
			if strings.Contains(string(body), word) {
				w.Header().Set("Location", "/yes")
				w.WriteHeader(code)
			}
		}
	}))
	t.Cleanup(service.Close)
	q := runAs(t, "bb1", settings{config: "auth: {hook: '" + service.URL + "/may'}\ntargets: [127.0.0.0/8]\nchannels: {news: {source: 'udp://" + group + "'}}\n"})
	for word, code := range map[string]int{"yes": 200, "no": 403, "who": 401, "broken": 504, "moved": 504} {
		k, err := knock(q, "/$news?key="+word, anyAddress)
		if err == nil {
			k.conn.Close()
		}
		if got := q.answers("/$news?key=" + word); got != code {
			t.Errorf("the hook says %d: %d, want %d", answer[word], got, code)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := regexp.MustCompile(`^\{"peer":"127\.0\.0\.1:\d+","source":"\$news\?key=\w+","destination":"","listener":"bb1","channel":"news"\}\n$`)
	for _, body := range asked {
		if !want.MatchString(body) {
			t.Errorf("the hook was asked %q", body)
		}
	}
}

// testAddressLists: who may watch, what may be asked for and where a stream may go is in
// lists, which hold from the next request on.
func testAddressLists(t *testing.T) {
	group := source(t)
	target := sink(t)
	p := run(t, settings{config: "allow: [127.0.0.2, 127.0.1.0/24]\n"})
	from := func(addr, path string) int {
		t.Helper()
		code, _ := curl(t, "--interface", addr, "-o", "/dev/null", "-I", p.url(path))
		return code
	}
	path := "/udp/" + group
	for addr, code := range map[string]int{"127.0.0.1": 403, "127.0.0.2": 200, "127.0.0.3": 403, "127.0.1.77": 200, "127.0.2.1": 403} {
		if got := from(addr, path); got != code {
			t.Errorf("from %s: %d, want %d", addr, got, code)
		}
	}
	p.proc.WaitLine(`client refused.*the address is in no network of the setting allow`)
	k := take(p, path, "127.0.0.2")
	p.reload("allow: [127.0.0.1]\nsources: [232.0.0.0/8]\ntargets: [127.0.0.1]\nchannels: {news: {source: 'udp://" + group + "'}}\n")
	goesOn(100, k) // who watches already goes on
	for path, code := range map[string]int{"/udp/239.1.1.1:5000": 403, path: 200, "/$news": 200, "/src/$news/dst/udp://239.1.1.1:5000": 403} {
		if got := p.answers(path); got != code {
			t.Errorf("%s: %d, want %d", path, got, code)
		}
	}
	p.wants(200, "/src/$news/dst/tcp://"+target)
	if got := from("127.0.0.2", "/$news"); got != 403 {
		t.Errorf("from an address that is not allowed any more: %d", got)
	}
}

// testTokensNowhere sends secrets in every place that a request and a configuration has for
// them, right and wrong, and looks for them in everything that a run has written.
func testTokensNowhere(t *testing.T) {
	const secret = "g3h31m"
	group := source(t)
	deaf := silentServer(t)
	dir := t.TempDir()
	helper := newHelper(t, `
while read -r id peer source rest; do
	echo "asked about $source and http://bob:`+secret+`@x/" >&2
	case $source in
	*slow*) ;;
	*wrong*) echo "nonsense?$source"; echo "$id 1" ;;
	*) echo "$id 0" ;;
	esac
done`)
	tokens := write(t, "tokens", []byte("bob "+secret+"T\n"))
	target := sink(t)
	p := run(t, settings{engines: 2, config: "log: {level: debug, file: " + dir + "/sluice.log}\naccess_log: {file: " + dir + "/access.log}\n" +
		"no_data: 300ms\nsources: [127.0.0.0/8, 224.0.0.0/4]\ntargets: [127.0.0.0/8]\n" +
		"redirect: 'http://elsewhere.example/?key=" + secret + "'\n" +
		strings.TrimSuffix(helper.config("helpers: 2, timeout: 500ms, tokens: "+tokens), "\n") + "\n" +
		"channels: {news: {source: 'http://bob:" + secret + "@" + deaf + "/a?key=" + secret + "', backup: ['udp://" + group + "']}}\n"})
	auth := "token=" + secret + "T"
	for _, target := range []string{
		"/udp/" + group + "?" + auth,
		"/udp/" + group + "?" + auth + "&wrong",
		"/udp/" + group + "?" + auth + "&slow",
		"/udp/" + group + "?token=" + secret + "F",
		"/udp/" + group + "%3F" + auth,
		"/udp/" + group + "/?" + auth + "&x=%2e",
		"/udp/bad?" + auth,
		"/udp/" + secret + "@" + group + "?" + auth,
		"/udp/" + group + "?" + auth + "&start=" + secret,
		"/$news?" + auth + "&key=" + secret,
		"/$nobody?" + auth,
		"/src/udp://" + group + "?" + auth + "/dst/",
		"/src/$news?" + auth + "/dst/?start=key",
		"/src/http://bob:" + secret + "@" + deaf + "/x?k=" + secret + "/dst/?" + auth,
		"/src/http%3A%2F%2Fbob%3A" + secret + "%40" + deaf + "%2Fx%3Fk%3D" + secret + "/dst/?" + auth,
		"/src/http://127.0.0.1:1/x?k=" + secret + "/dst/?" + auth,
		"/src/$news/dst/http://bob:" + secret + "@127.0.0.1:1/in?k=" + secret + "&" + auth,
		"/src/udp://" + group + "?" + auth + "/dst/tcp://" + target,
		"/src/https://bob:" + secret + "@nothing.invalid/?" + secret + "/dst/?" + auth,
		"/playlist.m3u?" + auth,
		"/nothing?" + auth,
		"http://bob:" + secret + "@" + p.user + "/udp/" + group + "?" + auth,
		"/?" + auth,
	} {
		for _, method := range []string{"HEAD", "GET", "POST"} {
			ended(t, p, fmt.Sprintf("%s %s HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer %sH\r\nCookie: t=%[3]sH\r\n"+
				"Referer: http://bob:%[3]s@x.example/?%[3]s\r\n\r\n", method, target, secret))
		}
	}
	ended(t, p, "GET /udp/"+group+"?"+auth+" nonsense\r\n\r\n")
	ended(t, p, strings.Repeat(secret, 1000)+"\r\n\r\n")
	texts := map[string]string{}
	for _, path := range []string{"/report?cached=0", "/report?format=xml", "/report?format=json", "/status?format=json", "/status?format=html"} {
		_, texts[path] = curl(t, p.adminURL(path))
	}
	awaitEntry(t, filepath.Join(dir, "access.log"), "event", "client_open", "user", "bob")
	settingsAreOurs(t, filepath.Join(p.dir, "settings.yaml"))
	p.stop()
	texts["output"] = p.proc.Output()
	for _, place := range []string{dir, p.dir} {
		if err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				texts[path] = readFile(t, path)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(texts[filepath.Join(dir, "sluice.log")], "helper says") {
		t.Error("the log has nothing of the helper")
	}
	for name, text := range texts {
		for line := range strings.Lines(text) {
			if strings.Contains(line, secret) {
				t.Errorf("%s shows a secret: %s", name, line)
			}
		}
	}
}

// settingsAreOurs: the one file with secrets is for nobody else to read.
func settingsAreOurs(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has the mode %v, want 0600", path, info.Mode())
	}
}

// ended sends a request as it is and goes when the answer begins, or when there is none.
func ended(t *testing.T, p *product, text string) {
	t.Helper()
	got := exchangeBegin(t, p.user, text)
	if got == "" {
		t.Errorf("no answer to %.100q", text)
	}
}
