//go:build e2e

package e2e

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/testkit"
)

// testPortsApart: neither port answers what is of the other, nor does it.
func testPortsApart(t *testing.T) {
	group := source(t)
	p := run(t, settings{config: "channels: {news: {source: 'udp://" + group + "'}}\n"})
	v := watch(t, p.url("/udp/"+group))
	v.more(1)
	tag := "UDP://" + group
	for _, path := range []string{"/ping", "/status", "/report?format=xml", "/drop?channel=" + tag, "/reset"} {
		if code, body := curl(t, p.url(path)); code != 404 {
			t.Errorf("%s on the user port: %d %q", path, code, body)
		}
		if path == "/reset" || strings.HasPrefix(path, "/drop") {
			continue
		}
		if code, body := curl(t, p.adminURL(path)); code != 200 {
			t.Errorf("%s on the admin port: %d %q", path, code, body)
		}
	}
	for _, path := range []string{"/udp/" + group, "/rtp/" + group, "/$news", "/src/udp://" + group + "/dst/", "/playlist.m3u"} {
		if code, body := curl(t, p.adminURL(path)); code != 404 {
			t.Errorf("%s on the admin port: %d %q", path, code, body)
		}
	}
	v.more(1000) // nothing was dropped
	if _, err := p.traffic().client(tag, p.onlyClient(tag)); err != nil {
		t.Error(err)
	}
}

// onlyClient is the tag of the one client of a channel.
func (p *product) onlyClient(tag string) string {
	p.t.Helper()
	ch, err := p.traffic().channel(tag)
	if err != nil || len(ch.Clients) != 1 {
		p.t.Fatalf("%v: clients %+v, want one", err, ch.Clients)
	}
	return ch.Clients[0].Tag
}

// testPing: the two requests by which udpxy's users look whether it is up, with and
// without an engine.
func testPing(t *testing.T) {
	p := run(t, settings{})
	admin := freePort(t)
	gws := testkit.Start(t, program(), "gws", "-T", "--listen", freePort(t), "--admin", admin, "--run-dir", filepath.Join(shortDir(t), "run"))
	gws.WaitLine(`msg=ready`)
	for _, addr := range []string{p.admin, admin} {
		for _, path := range []string{"/ping", "/status", "/status?format=json"} {
			for _, more := range [][]string{nil, {"-I"}, {"--http1.0"}} {
				if code, body := curl(t, append(more, "http://"+addr+path)...); code != 200 || body == "" {
					t.Errorf("%s %v: %d %q", path, more, code, body)
				}
			}
		}
	}
	if code, body := curl(t, "http://"+admin+"/report"); code != 200 || body == "" {
		t.Errorf("/report without an engine: %d", code)
	}
}

// testReportForms: both types are the same report, in a page and in XML that holds what
// JSON does.
func testReportForms(t *testing.T) {
	group := source(t)
	p := run(t, settings{config: "report: {cache: 1h}\n"})
	v := watch(t, p.url("/udp/"+group))
	v.more(10_000)
	get := func(query string) string {
		t.Helper()
		code, body := curl(t, p.adminURL("/report"+query))
		if code != 200 {
			t.Fatalf("/report%s: %d %q", query, code, body)
		}
		return body
	}
	page := get("?type=tps&format=html")
	for _, query := range []string{"", "?type=traffic", "?type=traffic&format=html", "?type=tps&format=web", "?format=web&cached=1"} {
		if get(query) != page {
			t.Errorf("/report%s is another report", query)
		}
	}
	if !strings.Contains(page, "<html") || !strings.Contains(page, "UDP://"+group) {
		t.Errorf("no page with the channel: %.200s", page)
	}
	text := get("?type=tps&format=xml")
	if get("?type=traffic&format=xml") != text {
		t.Error("both types in XML are not the same")
	}
	v.close()
	p.drop("UDP://"+group, "")
	var byXML traffic
	if err := xml.Unmarshal([]byte(text), &byXML); err != nil {
		t.Fatal(err)
	}
	if ch, err := byXML.channel("UDP://" + group); err != nil || ch.Received == nil || ch.Received.Bytes == 0 || len(ch.Clients) != 1 || ch.Clients[0].Sent == nil {
		t.Errorf("XML: %+v (%v)", ch, err)
	}
	for query, say := range map[string]string{"?format=pdf": "html, web, xml or json", "?type=money": "traffic or tps", "?cached=yes": "cached=0"} {
		if code, body := curl(t, p.adminURL("/report"+query)); code != 400 || !strings.Contains(body, say) {
			t.Errorf("/report%s: %d %q", query, code, body)
		}
	}
}

// testReportJSON: JSON has what XML has.
func testReportJSON(t *testing.T) {
	p := run(t, settings{config: "report: {cache: 1h}\nno_data: 1h\n"})
	f := newFeed(t, p)
	k := f.first(f.path())
	f.more(4)
	f.delivered(k)
	var byXML, byJSON traffic
	testkit.Eventually(t, func() error { // rates change until both were made of the same
		_, text := curl(t, p.adminURL("/report?format=xml&cached=0"))
		byXML = traffic{}
		if err := xml.Unmarshal([]byte(text), &byXML); err != nil {
			return err
		}
		_, text = curl(t, p.adminURL("/report?format=json&cached=0"))
		byJSON = traffic{}
		if err := json.Unmarshal([]byte(text), &byJSON); err != nil {
			return err
		}
		byJSON.Made = byXML.Made
		if !reflect.DeepEqual(byXML, byJSON) {
			return fmt.Errorf("XML has %+v, JSON %+v", byXML, byJSON)
		}
		return nil
	})
	c, err := byJSON.client("UDP://"+f.group, "TCP://"+k.addr)
	if err != nil || c.Sent == nil || c.Sent.Bytes == 0 || !byJSON.Statistics {
		t.Errorf("%+v, %v", c, err)
	}
}

// testReportedTags: whatever the report shows is a channel or a client that drop ends.
func testReportedTags(t *testing.T) {
	one, two := source(t), source(t)
	p := run(t, settings{engines: 2, config: "linger: 1h\n"})
	viewers := map[string]*viewer{} // by the path
	for _, path := range []string{"/udp/" + one, "/udp/" + one + "?x", "/udp/" + two} {
		viewers[path] = watch(t, p.url(path))
	}
	r := p.traffic()
	if len(r.Channels) != 2 {
		t.Fatalf("%d channels, want 2: %+v", len(r.Channels), r)
	}
	_, page := curl(t, p.adminURL("/report?cached=0"))
	n := 0
	for _, ch := range r.Channels {
		for _, c := range ch.Clients {
			n++
			if !strings.Contains(page, ch.Tag) || !strings.Contains(page, c.Tag) {
				t.Errorf("the page does not show %s and %s", ch.Tag, c.Tag)
			}
			if code := p.drop(ch.Tag, c.Tag); code != 200 {
				t.Errorf("drop %s %s: %d", ch.Tag, c.Tag, code)
			}
		}
	}
	if n != 3 {
		t.Errorf("%d clients, want 3: %+v", n, r)
	}
	for _, v := range viewers {
		_ = v.end()
	}
	for _, ch := range p.traffic().Channels {
		if len(ch.Clients) != 0 {
			t.Errorf("%+v is left", ch)
		}
		if code := p.drop(ch.Tag, ""); code != 200 {
			t.Errorf("drop %s: %d", ch.Tag, code)
		}
	}
	p.noChannel()
}

// noChannel waits until the report is empty.
func (p *product) noChannel() {
	p.t.Helper()
	testkit.Eventually(p.t, func() error {
		if r := p.traffic(); len(r.Channels) != 0 {
			return fmt.Errorf("channels are left: %+v", r.Channels)
		}
		return nil
	})
}

// tagged is a request and the tags that its session has.
type tagged struct {
	path    string
	channel string // regular expression
	client  string // likewise; nobody is a client before the first byte of the channel
}

const ownClient = `TCP://127\.0\.0\.1:\d+`

// testTags: every form of source and of client has its tag, without query or credentials,
// and is dropped by it: as the report shows it, and as a program encodes it.
func testTags(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a film~1.ts"), readAll(t, h264.file(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	news, other, tcp, web := source(t), source(t), sink(t), webSink(t)
	silent, deaf := silentServer(t), silentServer(t)
	p := run(t, settings{config: "no_data: 1h\nlinger: 1h\ngrowth: 1h\nsources: [127.0.0.0/8, 224.0.0.0/4, 'ff00::/8']\ntargets: [127.0.0.0/8, 224.0.0.0/4]\n" +
		"files: {read: [" + dir + "], write: [" + dir + "]}\nchannels: {news: {source: 'udp://" + news + "'}}\n"})
	q := regexp.QuoteMeta
	escaped := strings.ReplaceAll(dir, "~", "%7E")
	for _, c := range []tagged{
		{"/udp/" + other + "?secret=1", q("UDP://" + other), ownClient},
		{"/rtp/239.78.0.1:5000", `UDP://239\.78\.0\.1:5000`, ""},
		{"/udp/[ff15::78:1]:5000", `UDP://\[ff15::78:1\]:5000`, ""},
		{"/udp/127.0.0.1@232.78.0.1:5000", `UDP://127\.0\.0\.1@232\.78\.0\.1:5000`, ""},
		{"/udp/[::1]@[ff35::78:1]:5000", `UDP://\[::1\]@\[ff35::78:1\]:5000`, ""},
		{"/udp/239.78.0.2:5000|239.78.0.3:5000", `UDP://239\.78\.0\.2:5000\|UDP://239\.78\.0\.3:5000`, ""},
		{"/$news?key=secret", q("UDP://" + news), ownClient},
		{"/src/tcp://" + silent + "/dst/", q("TCP://" + silent), ""},
		{"/src/http://" + deaf + "/live.ts/dst/", q("HTTP://"+deaf) + `/live\.ts`, ""},
		{"/src/http://bob:secret@" + deaf + "/live.ts?key=secret/dst/", q("HTTP://"+deaf) + `/live\.ts~[0-9a-f]{12}`, ""},
		{"/src/file://" + dir + "/a%20film~1.ts/dst/", q("FILE://"+escaped) + `/a%20film%7E1\.ts~\d+`, ownClient},
		{"/src/$news/dst/tcp://" + tcp, q("UDP://" + news), q("TCP://" + tcp)},
		{"/src/$news/dst/udp://239.78.0.9:5000", q("UDP://" + news), q("UDP://239.78.0.9:5000")},
		{"/src/$news/dst/http://bob:secret@" + web + "/in?key=secret", q("UDP://" + news), q("HTTP://"+web) + `/in~[0-9a-f]{12}`},
		{"/src/$news/dst/file://" + dir + "/out%20of~it.ts?write=truncate", q("UDP://" + news), q("FILE://"+escaped) + `/out%20of%7Eit\.ts`},
	} {
		t.Run(c.path[:min(len(c.path), 40)], func(t *testing.T) {
			for _, spelt := range []func(channel, client string) string{asShown, asEncoded} {
				p.dropped(t, c, spelt)
			}
		})
	}
}

// asShown is a drop with the tags as they stand in the report, asEncoded one as a program
// writes it.
func asShown(channel, client string) string { return "channel=" + channel + "&client=" + client }

func asEncoded(channel, client string) string {
	escape := strings.NewReplacer("%", "%25", "&", "%26", "/", "%2F", ":", "%3A", "~", "%7E", "|", "%7C", "@", "%40", "[", "%5B", "]", "%5D")
	return "channel=" + escape.Replace(channel) + "&client=" + escape.Replace(client)
}

// dropped asks, and has the client, if there is one, and then the channel dropped by the
// tags that the report has.
func (p *product) dropped(t *testing.T, c tagged, spelt func(channel, client string) string) {
	t.Helper()
	k, err := connect(p, c.path, anyAddress, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.conn.Close()
	var channel, client string
	testkit.Eventually(t, func() (err error) {
		channel, client, err = c.find(p.traffic())
		return err
	})
	if _, page := curl(t, p.adminURL("/report?cached=0")); strings.Contains(page, "secret") {
		t.Error("the report shows a secret")
	}
	file := strings.HasPrefix(channel, "FILE:") // it would end with its client
	if client != "" && !file {
		p.gives(t, spelt(channel, client))
		testkit.Eventually(t, func() error {
			if _, err := p.traffic().client(channel, client); err == nil {
				return fmt.Errorf("client %s is still there", client)
			}
			return nil
		})
	}
	p.gives(t, strings.TrimSuffix(spelt(channel, ""), "&client="))
	if file { // what was read of it is for whoever takes it
		_ = k.conn.SetReadDeadline(time.Now().Add(testkit.Patience))
		if _, err := io.Copy(io.Discard, k.conn); err != nil {
			t.Error(err)
		}
	}
	testkit.Eventually(t, func() error {
		if _, err := p.traffic().channel(channel); err == nil {
			return fmt.Errorf("channel %s is still there", channel)
		}
		return nil
	})
	if client == "" { // he who waited is told
		if err := k.head(); !errors.As(err, new(errAnswer)) {
			t.Errorf("who waited for the channel got %v, want an error", err)
		}
	}
}

// find looks for the session of the request in a report.
func (c tagged) find(r traffic) (channel, client string, err error) {
	for _, ch := range r.Channels {
		if !regexp.MustCompile("^" + c.channel + "$").MatchString(ch.Tag) {
			continue
		}
		if c.client == "" {
			return ch.Tag, "", nil
		}
		for _, cl := range ch.Clients {
			if regexp.MustCompile("^" + c.client + "$").MatchString(cl.Tag) {
				return ch.Tag, cl.Tag, nil
			}
		}
	}
	return "", "", fmt.Errorf("no session from %s to %s: %+v", c.channel, c.client, r.Channels)
}

// gives an order to drop.
func (p *product) gives(t *testing.T, query string) {
	t.Helper()
	if code, said := curl(t, p.adminURL("/drop?"+query)); code != 200 {
		t.Errorf("/drop?%s: %d %s", query, code, said)
	}
}

// silentServer accepts connections and says nothing.
func silentServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func readAll(t *testing.T, path string) []byte { return []byte(readFile(t, path)) }

// testReportIsCached: within its time a report is given again to the byte, and cached=0
// gets a new one.
func testReportIsCached(t *testing.T) {
	group := source(t)
	config := "report: {cache: 1h}\n"
	p := run(t, settings{config: config})
	for _, format := range []string{"html", "xml", "json"} {
		url := p.adminURL("/report?format=" + format)
		_, first := curl(t, url)
		v := watch(t, p.url("/udp/"+group))
		if _, again := curl(t, url); again != first || strings.Contains(again, group) {
			t.Errorf("%s: within its time the report is another", format)
		}
		_, fresh := curl(t, url+"&cached=0")
		if !strings.Contains(fresh, group) {
			t.Errorf("%s: cached=0 gets an old one", format)
		}
		if _, kept := curl(t, url+"&cached=1"); kept != fresh {
			t.Errorf("%s: the fresh one is not kept", format)
		}
		v.close()
		p.drop("UDP://"+group, "")
		p.noChannel()
		if format == "json" {
			break // noChannel has made others
		}
	}
	p.reload("report: {cache: 0s}\n")
	_, first := curl(t, p.adminURL("/report?format=xml"))
	if _, again := curl(t, p.adminURL("/report?format=xml")); again == first {
		t.Error("with a time of zero a report is given again")
	}
}

// testNoStatistics: a report without statistics says that it has none, and has the tags.
func testNoStatistics(t *testing.T) {
	group := source(t)
	p := run(t, settings{config: "report: {cache: 0s, statistics: false}\n"})
	v := watch(t, p.url("/udp/"+group))
	v.more(10_000)
	for format, say := range map[string]string{"html": "switched off", "xml": `statistics="false"`, "json": `"statistics": false`} {
		code, body := curl(t, p.adminURL("/report?type=tps&format="+format))
		if code != 200 || !strings.Contains(body, say) || !strings.Contains(body, "UDP://"+group) || strings.Contains(body, "bytes") {
			t.Errorf("%s: %d, want %q and the tags and no traffic:\n%s", format, code, say, body)
		}
	}
	p.reload("report: {cache: 0s}\n")
	if _, body := curl(t, p.adminURL("/report?format=xml")); !strings.Contains(body, `statistics="true"`) || !strings.Contains(body, "bytes") {
		t.Errorf("with statistics:\n%s", body)
	}
}

// testThroughput: the report's bytes are those that were sent and received, and its rates
// are those of its bytes. The bench prints how close they are to the rate of the sender.
func testThroughput(t *testing.T) {
	p := run(t, settings{config: "report: {cache: 0s}\nno_data: 1h\n"})
	f := newFeed(t, p)
	k := f.first(f.path())
	f.more(100)
	f.delivered(k)
	ch, err := p.traffic().channel("UDP://" + f.group)
	if err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	var taken uint64
	for _, s := range k.got {
		taken += uint64(s.to-s.from) * ts.PacketSize
	}
	taken += uint64(k.strange)
	k.mu.Unlock()
	if ch.Received.Bytes != uint64(len(f.sent)) || ch.Clients[0].Sent.Bytes != taken || ch.Sent.Bytes != taken {
		t.Errorf("received %d, sent %d to the client, %d in all; sent were %d and the client got %d",
			ch.Received.Bytes, ch.Clients[0].Sent.Bytes, ch.Sent.Bytes, len(f.sent), taken)
	}

	group := newGroup()
	sendNumbers(t, group, "10M")
	v := take(p, "/udp/"+group, anyAddress)
	for _, way := range []struct {
		name string
		of   func(trafficChannel) flow
	}{
		{"received", func(c trafficChannel) flow { return *c.Received }},
		{"sent", func(c trafficChannel) flow { return *c.Sent }},
	} {
		testkit.Eventually(t, func() error {
			before := p.traffic()
			goesOn(7000, v) // about a second
			after := p.traffic()
			b, err1 := before.channel("UDP://" + group)
			a, err2 := after.channel("UDP://" + group)
			if err1 != nil || err2 != nil {
				return fmt.Errorf("%v, %v", err1, err2) //nolint:errorlint // both, as they are
			}
			from, to := madeAt(t, before), madeAt(t, after)
			own := float64(way.of(a).Bytes-way.of(b).Bytes) * 8 / to.Sub(from).Seconds()
			if told := float64(way.of(a).Rate); math.Abs(told-own) > 0.2*own {
				return fmt.Errorf("%s: the report tells %.0f bit/s, by its bytes it is %.0f", way.name, told, own)
			}
			return nil
		})
	}
}

func madeAt(t *testing.T, r traffic) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, r.Made)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// testAdminOnLoopback: without a setting only this machine reaches the admin port.
func testAdminOnLoopback(t *testing.T) {
	hosts := testkit.TwoHosts(t)
	_, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	proc := testkit.Start(t, program(), "run", "--listen", ":"+port, "--engines", "1", "--run-dir", filepath.Join(dir, "run"))
	admin := proc.WaitLine(`admin=http://(\S+:4047)`)[1]
	if admin != "127.0.0.1:4047" {
		t.Errorf("the admin port is at %s", admin)
	}
	reach := func(url string) string {
		out, _ := hosts.Command("curl", "-sS", "--globoff", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}", url).CombinedOutput()
		return string(out)
	}
	here := hosts.Here.V4.String()
	if got := reach("http://" + net.JoinHostPort(here, port) + "/"); got != "404" {
		t.Errorf("the user port from another machine: %s, want an answer", got)
	}
	for _, host := range []string{here, hosts.Here.V6.String()} {
		if got := reach("http://" + net.JoinHostPort(host, "4047") + "/ping"); !strings.HasSuffix(got, "000") {
			t.Errorf("the admin port at %s from another machine: %s, want none", host, got)
		}
	}
	if code, _ := curl(t, "http://"+admin+"/ping"); code != 200 {
		t.Errorf("the admin port here: %d", code)
	}
	stopped(t, proc)
}
