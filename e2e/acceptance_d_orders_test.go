//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// watchTagged starts n viewers of a channel, each when the one before is in the report, so
// that it is known which tag is whose.
func (p *product) watchTagged(path, tag string, n int) (viewers []*viewer, tags []string) {
	p.t.Helper()
	known := map[string]bool{}
	for range n {
		viewers = append(viewers, watch(p.t, p.url(path)))
		ch, err := p.traffic().channel(tag)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, c := range ch.Clients {
			if !known[c.Tag] {
				known[c.Tag] = true
				tags = append(tags, c.Tag)
			}
		}
	}
	if len(tags) != n {
		p.t.Fatalf("%d clients have the tags %q", n, tags)
	}
	return viewers, tags
}

// goOn wants viewers to get more, whole.
func goOn(viewers ...*viewer) {
	for _, v := range viewers {
		v.t.Helper()
	}
	moreOfAll(50_000, viewers)
	allUnbroken(viewers)
}

// testDropClient: one client goes, his channel and the others stay.
func testDropClient(t *testing.T) {
	one, two := source(t), source(t)
	p := run(t, settings{engines: 2})
	all, tags := p.watchTagged("/udp/"+one, "UDP://"+one, 3)
	other := watch(t, p.url("/udp/"+two))
	before, err := p.traffic().channel("UDP://" + one)
	if err != nil {
		t.Fatal(err)
	}
	if code, said := curl(t, p.adminURL("/drop?channel=UDP://"+one+"&client="+tags[1])); code != 200 || strings.Count(said, "\n") != 1 {
		t.Errorf("%d %q", code, said)
	}
	_ = all[1].end()
	goOn(all[0], all[2], other)
	after, err := p.traffic().channel("UDP://" + one)
	if err != nil || len(after.Clients) != 2 || after.Since != before.Since {
		t.Errorf("the channel after the drop: %+v (%v)", after, err)
	}
}

// testDropChannel: all clients go, and the group is left at once.
func testDropChannel(t *testing.T) {
	one, two := source(t), source(t)
	p := run(t, settings{config: "linger: 1h\n"})
	all := watchMany(t, p.url("/udp/"+one), 3)
	other := watch(t, p.url("/udp/"+two))
	if code := p.drop("UDP://"+one, ""); code != 200 {
		t.Errorf("drop: %d", code)
	}
	for _, v := range all {
		_ = v.end()
	}
	testkit.Eventually(t, func() error {
		if n := members(t, one); n != 0 {
			return fmt.Errorf("%d memberships are left", n)
		}
		return nil
	})
	if _, err := p.traffic().channel("UDP://" + one); err == nil {
		t.Error("the channel is left in the report")
	}
	goOn(other)
	goOn(watch(t, p.url("/udp/"+one))) // it can be asked for again
}

// testDropNobody: a client that is not there is nobody's error, and nobody is closed.
func testDropNobody(t *testing.T) {
	one, two := source(t), source(t)
	p := run(t, settings{})
	v, tags := p.watchTagged("/udp/"+one, "UDP://"+one, 1)
	w := watch(t, p.url("/udp/"+two))
	for _, client := range []string{
		"TCP://127.0.0.1:1", "tcp" + strings.TrimPrefix(tags[0], "TCP"), tags[0] + "0", "nonsense", "UDP://" + one, " ", "%", tags[0] + "%00",
	} {
		if code := p.drop("UDP://"+one, client); code != 200 {
			t.Errorf("drop %q: %d, want 200", client, code)
		}
	}
	if code := p.drop("UDP://"+two, tags[0]); code != 200 { // of another channel
		t.Errorf("drop: %d, want 200", code)
	}
	goOn(v[0], w)
}

// testDropNoChannel: a channel that is not there is told.
func testDropNoChannel(t *testing.T) {
	group := source(t)
	p := run(t, settings{})
	v := watch(t, p.url("/udp/"+group))
	for _, tag := range []string{"UDP://239.9.9.9:9", "udp://" + group, "UDP://" + group + "?x", group, "nonsense", "UDP://" + group + "/"} {
		if code := p.drop(tag, ""); code != 404 {
			t.Errorf("drop %q: %d, want 404", tag, code)
		}
	}
	code, said := curl(t, p.adminURL("/drop"))
	if code != 400 || !strings.Contains(said, "channel=TAG") {
		t.Errorf("drop of nothing: %d %q", code, said)
	}
	if code, _ := curl(t, "-H", "Sec-Fetch-Site: cross-site", p.adminURL("/drop?channel=UDP://"+group)); code != 403 {
		t.Errorf("drop by a page of another site: %d, want 403", code)
	}
	goOn(v)
}

// testDropsAreLogged: what drop has closed stands in the access log.
func testDropsAreLogged(t *testing.T) {
	group := source(t)
	log, access := accessLog(t)
	p := run(t, settings{config: access + "linger: 1h\n"})
	v, tags := p.watchTagged("/udp/"+group, "UDP://"+group, 2)
	p.drop("UDP://"+group, tags[0])
	if e := awaitEntry(t, log, "event", "client_close", "client", tags[0]); !strings.Contains(e["reason"], "drop") {
		t.Errorf("the reason of a client that was dropped is %q", e["reason"])
	}
	v[1].more(10_000)
	for _, e := range entriesOf(t, log) {
		if e["event"] == "channel_close" || e.has("event", "client_close", "client", tags[1]) {
			t.Errorf("closed by the drop of another: %v", e)
		}
	}
	p.drop("UDP://"+group, "")
	for _, fields := range [][]string{{"event", "client_close", "client", tags[1]}, {"event", "channel_close", "channel", "UDP://" + group}} {
		if e := awaitEntry(t, log, fields...); !strings.Contains(e["reason"], "drop") {
			t.Errorf("the reason of %q is %q", fields, e["reason"])
		}
	}
}

// testReset: everything goes, the engines stay and serve whoever asks then.
func testReset(t *testing.T) {
	groups := []string{source(t), source(t), source(t)}
	p := run(t, settings{engines: 2, config: "linger: 1h\n"})
	var all []*viewer
	for _, g := range groups {
		all = append(all, watchMany(t, p.url("/udp/"+g), 2)...)
	}
	before := p.status()
	if code, said := curl(t, "-X", "POST", p.adminURL("/reset")); code != 200 || !strings.Contains(said, "2 engines") {
		t.Errorf("/reset: %d %q", code, said)
	}
	for _, v := range all {
		_ = v.end()
	}
	goOn(watch(t, p.url("/udp/"+groups[0])))
	p.eventually(func(st report.Status) error {
		if st.Totals.Channels != 1 || st.Totals.Clients != 1 {
			return fmt.Errorf("%+v after a reset and one request", st.Totals)
		}
		return nil
	})
	for i, e := range p.status().Engines {
		if e.PID != before.Engines[i].PID || !e.Started.Equal(before.Engines[i].Started) {
			t.Errorf("engine %s was %d and is %d", e.ID, before.Engines[i].PID, e.PID)
		}
	}
}

// testAccessLog: a line for each client and channel that comes and goes, and for whoever
// was denied, with all that there is to know.
func testAccessLog(t *testing.T) {
	group := source(t)
	log, access := accessLog(t)
	tokens := write(t, "tokens", []byte("bob sesame\n"))
	p := runAs(t, "bb1", settings{config: access + "linger: 0s\nauth: {tokens: " + tokens + "}\n"})
	tag, began := "UDP://"+group, time.Now().Truncate(time.Second)
	open := []string{"event", "client_open", "channel", tag}

	// curl is told apart by what it says of itself.
	cmd := exec.Command("curl", "-sS", "-A", `Player "1.0"\`, "-e", "http://portal.example/watch?session=secret", p.url("/udp/"+group+"?token=sesame"))
	stream := testkit.StartCommand(t, cmd)
	awaitEntry(t, log, open...)
	k, err := knock(p, "/udp/"+group+"?token=sesame&start=live", "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	k.read(t)
	opened := awaitEntry(t, log, append(open, "addr", "127.0.0.2")...)
	for name, want := range map[string]string{
		"addr": "127.0.0.2", "user": "bob", "request": "GET /udp/" + group + "?- HTTP/1.1", "status": "200", "bytes": "-", "referer": "-", "agent": "-",
		"listener": "bb1", "channel": tag, "client": "TCP://" + k.addr, "engine": "1", "duration": "0.000", "reason": "-",
	} {
		if opened[name] != want {
			t.Errorf("client_open: %s is %q, want %q", name, opened[name], want)
		}
	}
	goesOn(500, k)
	p.drop(tag, "TCP://"+k.addr)
	_ = k.end()
	closed := awaitEntry(t, log, "event", "client_close", "client", "TCP://"+k.addr)
	got := 0
	for _, s := range k.packets() {
		got += (s.to - s.from) * 188
	}
	if n, err := strconv.Atoi(closed["bytes"]); err != nil || n < got || n > got+k.strange+187 { // the rest of a packet is not counted
		t.Errorf("client_close tells of %q bytes, the client has got %d", closed["bytes"], got)
	}
	if !closed.has("addr", "127.0.0.2", "user", "bob", "request", opened["request"], "status", "200", "listener", "bb1", "channel", tag, "engine", "1") {
		t.Errorf("client_close: %v", closed)
	}
	lasted(t, opened, closed)

	if e := awaitEntry(t, log, append(open, "addr", "127.0.0.1")...); e["agent"] != `Player \"1.0\"\\` || e["referer"] != "http://portal.example/watch?-" {
		t.Errorf("curl: agent %s, referer %s", e["agent"], e["referer"])
	}
	stream.Signal(syscall.SIGTERM)
	awaitEntry(t, log, "event", "client_close", "addr", "127.0.0.1", "reason", "client gone")
	down := awaitEntry(t, log, "event", "channel_close", "channel", tag)
	up := awaitEntry(t, log, "event", "channel_open", "channel", tag)
	for _, e := range []entry{up, down} {
		if !e.has("addr", "-", "user", "-", "request", "-", "status", "-", "referer", "-", "agent", "-", "listener", "-", "client", "-", "engine", "1") {
			t.Errorf("a channel's entry: %v", e)
		}
	}
	lasted(t, up, down)
	if down["reason"] != "unused" {
		t.Errorf("the channel closed because of %q", down["reason"])
	}
	denied(t, p, log, group)
	for _, e := range entriesOf(t, log) {
		if at := entryTime(t, e); at.Before(began) || at.After(time.Now()) {
			t.Errorf("an entry of %s", e["time"])
		}
	}
}

// denied asks for what there is not, and reads of it in the access log.
func denied(t *testing.T, p *product, log, group string) {
	t.Helper()
	for _, c := range []struct {
		path, request string
		code          int
		reason        string
	}{
		{"/udp/" + group, "GET /udp/" + group + " HTTP/1.1", 401, "no token"},
		{"/udp/" + group + "?token=mellon", "GET /udp/" + group + "?- HTTP/1.1", 403, "unknown token"},
		{"/nothing?token=sesame", "GET /nothing?- HTTP/1.1", 404, "no such path"},
		{"/udp/nonsense", "GET /udp/nonsense HTTP/1.1", 400, "nonsense"},
		{"/udp/10.0.0.1:1?token=sesame", "GET /udp/10.0.0.1:1?- HTTP/1.1", 403, ""},
		{"/$nobody", "GET /$nobody HTTP/1.1", 404, "no channel has this name"},
	} {
		p.wants(c.code, c.path)
		e := awaitEntry(t, log, "event", "client_deny", "status", fmt.Sprint(c.code), "request", c.request)
		if !strings.Contains(e["reason"], c.reason) || e["reason"] == "-" || !e.has("addr", "127.0.0.1", "listener", "bb1", "client", "-", "bytes", "-") {
			t.Errorf("%s: %v", c.path, e)
		}
	}
}

// lasted wants the duration to be the time between two entries, which are exact to a second.
func lasted(t *testing.T, open, closed entry) {
	t.Helper()
	seconds, err := strconv.ParseFloat(closed["duration"], 64)
	if err != nil {
		t.Fatal(err)
	}
	if between := entryTime(t, closed).Sub(entryTime(t, open)).Seconds(); math.Abs(seconds-between) > 1.01 {
		t.Errorf("it lasted %.3f s, between the entries are %.0f", seconds, between)
	}
}

func entryTime(t *testing.T, e entry) time.Time {
	t.Helper()
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", e["time"])
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// testQueriesAreMasked: what stands behind a question mark is in no log and no report.
func testQueriesAreMasked(t *testing.T) {
	group := source(t)
	log, access := accessLog(t)
	silent := silentServer(t)
	p := run(t, settings{config: access + "log: {level: debug}\nlinger: 1h\nsources: [127.0.0.0/8, 224.0.0.0/4]\nchannels: {news: {source: 'http://" + silent + "/a?key=geheim1', backup: ['udp://" + group + "'], no_data: 2s}}\n"})
	for _, path := range []string{"/udp/" + group + "?auth=geheim2", "/$news?key=geheim3", "/src/udp://" + group + "?auth=geheim4/dst/?x=geheim5"} {
		p.wants(200, path)
		if shown := strings.SplitN(path, "?", 2)[0] + "?- "; !strings.Contains(awaitEntry(t, log, "event", "client_open", "request", "GET "+shown+"HTTP/1.1")["request"], "?-") {
			t.Errorf("%s is not in the access log", path)
		}
	}
	p.wants(404, "/nothing?auth=geheim6")
	p.wants(400, "/udp/nonsense?auth=geheim7")
	awaitEntry(t, log, "event", "client_deny", "status", "400")
	awaitEntry(t, log, "event", "client_close", "request", "GET /udp/"+group+"?- HTTP/1.1")
	texts := map[string]string{"access log": readFile(t, log), "log": p.proc.Output()}
	for _, path := range []string{"/report?format=xml", "/report?format=json", "/report", "/status?format=json", "/status?format=html"} {
		_, texts[path] = curl(t, p.adminURL(path))
		if !strings.Contains(texts[path], "HTTP://"+silent+"/a~") {
			t.Errorf("%s does not show the channel", path)
		}
	}
	for name, text := range texts {
		if i := strings.Index(text, "geheim"); i >= 0 {
			t.Errorf("%s shows a query: …%s…", name, text[max(0, i-100):min(len(text), i+30)])
		}
	}
}
