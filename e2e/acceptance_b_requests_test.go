//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// testGroupRequest: real programs get whole packets of the group.
func testGroupRequest(t *testing.T) {
	p, group := run(t, settings{}), source(t)
	const n = 2 * groupBytes
	url := p.url("/udp/" + group)
	consecutive(t, fetched(t, n, "curl", "-sS", "-f", url))
	consecutive(t, fetched(t, n, "wget", "-q", "-O", "-", url))
	consecutive(t, fetched(t, n, "busybox", "wget", "-q", "-O", "-", url))
	if head := string(fetched(t, 15, "curl", "-sS", "-i", url)); head != "HTTP/1.1 200 OK" {
		t.Errorf("the answer begins with %q", head)
	}
}

// testSlashAtTheEnd: a slash behind the address changes nothing.
func testSlashAtTheEnd(t *testing.T) {
	p := run(t, settings{engines: 2, config: "no_data: 1h\n"})
	f := newFeed(t, p)
	sameChannel(t, f, f.path()+"/", f.path(), f.path()+"/?start=key", f.path()+"?start=key")
}

// testGroupRequest6: groups of IPv6 are served, in brackets and with brackets encoded.
func testGroupRequest6(t *testing.T) {
	hosts := testkit.TwoHosts(t)
	p := run(t, settings{args: []string{"--interface", hosts.Here.Interface}})
	group := "[ff15::77:3]:5000"
	cmd := hosts.Command(program(), "send", "-", "--to", "udp://"+group, "--bitrate", "1M", "--interface", hosts.There.Interface)
	cmd.Stdin = &numbers{}
	testkit.StartCommand(t, cmd)
	const n = 2 * groupBytes
	consecutive(t, fetched(t, n, "curl", "-sS", "-f", "--globoff", p.url("/udp/"+group)))
	consecutive(t, fetched(t, n, "wget", "-q", "-O", "-", p.url("/udp/"+group+"/")))
	consecutive(t, fetched(t, n, "curl", "-sS", "-f", p.url("/udp/%5Bff15::77:3%5D:5000")))
	st := p.status()
	if _, _, err := channel(st, "UDP://"+group); err != nil || st.Totals.Channels != 1 {
		t.Errorf("%d channels (%v), want one for all these requests", st.Totals.Channels, err)
	}
	for _, bad := range []string{"/udp/ff15::77:3:5000", "/udp/[ff15::77:3]", "/udp/[ff15::77:3:5000"} {
		if code, text := curl(t, p.url(bad)); code != 400 || !strings.Contains(text, "[") {
			t.Errorf("%s: %d %q, want 400 and a hint at brackets", bad, code, text)
		}
	}
}

// testSenderOfGroup: two senders send to one group. Each is joined alone, which the network
// is told with INCLUDE, and who asks for one of them gets nothing of the other.
func testSenderOfGroup(t *testing.T) {
	testkit.Need(t, "tcpdump")
	hosts := testkit.TwoHosts(t)
	p := run(t, settings{args: []string{"--interface", hosts.Here.Interface}, config: "no_data: 1h\nlinger: 0s\n"})
	group4, _, err := net.SplitHostPort(newGroup())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, group, second, colons, filter string }{
		{"IGMPv3", group4, hosts.There.V4.Next().String(), "/udp/10.0.0.7:239.1.1.1:5000", "igmp"},
		{"MLDv2", "ff35::77:4", hosts.There.V6.Next().String(), "/udp/[fd00::7]:[ff35::1]:5000", "ip6 proto 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := hosts.There.V4.String()
			bits := "24"
			if c.name == "MLDv2" {
				first, bits = hosts.There.V6.String(), "64"
			}
			ip := []string{"addr", "add", c.second + "/" + bits, "dev", hosts.There.Interface}
			if c.name == "MLDv2" {
				ip = append(ip, "nodad")
			}
			if out, err := hosts.Command("ip", ip...).CombinedOutput(); err != nil {
				t.Fatalf("ip %v: %v\n%s", ip, err, out)
			}
			capture := testkit.StartCommand(t, hosts.Command("tcpdump", "-i", hosts.There.Interface, "-n", "-l", "-vv", "-Z", "root", c.filter))
			capture.WaitLine(`listening on`)
			var feeds []*feed
			var takers []*taker
			for _, sender := range []string{first, c.second} {
				f, k := oneSender(t, p, hosts, capture, sender, c.group)
				feeds, takers = append(feeds, f), append(takers, k)
			}
			for range 5 {
				feeds[1].sendGroup()
				feeds[0].sendGroup()
			}
			for i, sender := range []string{first, c.second} {
				f := feeds[i]
				f.arrived() // and nothing else
				f.delivered(takers[i])
				p.end("UDP://"+f.group, "")
				capture.WaitLine(`gaddr ` + regexp.QuoteMeta(c.group) + ` block \{ .*` + regexp.QuoteMeta(sender))
			}
			whole(takers...)
			if m := regexp.MustCompile(`gaddr ` + regexp.QuoteMeta(c.group) + ` (to_ex|is_ex).*`).FindString(capture.Output()); m != "" {
				t.Errorf("all senders were asked for: %s", m)
			}
			if code, text := curl(t, "--globoff", p.url(c.colons)); code != 400 || !strings.Contains(text, "@") {
				t.Errorf("%s: %d %q, want 400 and a hint at @", c.colons, code, text)
			}
		})
	}
}

// oneSender has a client ask for what a sender of the second host sends to a group, and
// begins to send when the network was told so.
func oneSender(t *testing.T, p *product, hosts *testkit.Hosts, capture *testkit.Proc, sender, group string) (*feed, *taker) {
	t.Helper()
	host := func(addr string) string {
		if strings.Contains(addr, ":") {
			return "[" + addr + "]"
		}
		return addr
	}
	var conn *net.UDPConn
	var err error
	hosts.Do(t, func() {
		conn, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(sender)}, &net.UDPAddr{IP: net.ParseIP(group), Port: 5000})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := &feed{p: p, group: host(sender) + "@" + host(group) + ":5000", to: []datagrams{{t, conn}}}
	taken := make(chan *taker)
	go func() {
		k, _ := knock(p, f.path(), anyAddress)
		taken <- k
	}()
	capture.WaitLine(`gaddr ` + regexp.QuoteMeta(group) + ` allow \{ .*` + regexp.QuoteMeta(sender))
	f.more(1)
	k := <-taken
	if k == nil {
		t.Fatalf("%s was not answered with a stream", f.path())
	}
	k.read(t)
	return f, k
}

// testRequestingConnection: without a target the stream goes to who asks, whatever the end of
// the path looks like.
func testRequestingConnection(t *testing.T) {
	p := run(t, settings{engines: 2, config: "no_data: 1h\n"})
	f := newFeed(t, p)
	to := "/src/udp://" + f.group
	sameChannel(t, f, to+"/dst", to+"/dst/", to+"/dst/?x=y", to+"/dst?x=y", to+"/dst/?a=bb&c=dd", f.path())
}

// testNamedChannel: names of the configuration and of a list stand for their channels.
func testNamedChannel(t *testing.T) {
	own, listed := newGroup(), newGroup()
	list := filepath.Join(t.TempDir(), "channels.conf")
	if err := os.WriteFile(list, []byte("[group News]\nПервый_канал udp://"+listed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := run(t, settings{engines: 2, config: "no_data: 1h\nchannels: {TV9: {source: 'udp://" + own + "'}}\nchannels_file: " + list + "\n"})
	sameChannel(t, feedTo(t, p, own), "/$TV9", "/%24TV9", "/$TV9/", "/src/$TV9/dst/", "/src/$TV9/dst", "/src/$TV9/dst/?start=key", "/udp/"+own)
	sameChannel(t, feedTo(t, p, listed), "/$Первый_канал",
		"/$%D0%9F%D0%B5%D1%80%D0%B2%D1%8B%D0%B9_%D0%BA%D0%B0%D0%BD%D0%B0%D0%BB", "/src/$Первый_канал/dst/", "/udp/"+listed)
}

// testParamsOfName: what stands behind a name is added to its URL, which may have a query.
func testParamsOfName(t *testing.T) {
	stream := madeUp(1)
	a := newUpstream(t, stream)
	p := run(t, settings{config: fmt.Sprintf(`channels:
  plain: {source: 'http://%[1]s/live'}
  has: {source: 'http://%[1]s/live?a=b'}
  own: {source: 'http://%[1]s/own?a=b', params: ignore}
`, a.addr)})
	for _, c := range []struct{ path, inner string }{
		{"/$plain", "/live"},
		{"/$plain?key=BF094744c5", "/live?key=BF094744c5"},
		{"/$has", "/live?a=b"},
		{"/$has?key=BF094744c5&x=%2F", "/live?a=b&key=BF094744c5&x=%2F"},
		{"/src/$plain?key=1/dst/", "/live?key=1"},
		{"/src/$has?key=1/dst/?start=key", "/live?a=b&key=1"},
		{"/$has?start=key&key=2&slow=skip", "/live?a=b&key=2"}, // but ours
		{"/$own?key=1", "/own?a=b"},
	} {
		got, err := body(p, c.path)
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		a.asked(t, c.inner)
		if err := same(got, stream); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}

// testUnknownName: a name that nobody has given is not found, and no helper is asked.
func testUnknownName(t *testing.T) {
	group := source(t)
	h := newHelper(t, obedient)
	p := run(t, settings{config: h.config("helpers: 1") + "channels: {news: {source: 'udp://" + group + "'}}\n"})
	for _, path := range []string{"/$nosuch?yes", "/src/$nosuch?yes/dst/", "/$News?yes", "/$nosuch"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if a := request(t, method, p.url(path)); a.code != 404 {
				t.Errorf("%s %s: %d %q, want 404", method, path, a.code, a.body)
			}
		}
	}
	p.wants(200, "/$news?yes")
	h.asked(1) // about that only
}

// testUnknownParams: what players append names no other channel, but helpers see it.
func testUnknownParams(t *testing.T) {
	h := newHelper(t, obedient)
	p := run(t, settings{engines: 2, config: h.config("helpers: 1") + "no_data: 1h\n"})
	f := newFeed(t, p)
	queries := []string{"yes&player=1", "X-Plex-Token=a%20b&yes", "yes&x=/../../y", "yes"}
	var paths []string
	for _, q := range queries {
		paths = append(paths, f.path()+"?"+q)
	}
	sameChannel(t, f, paths[0], paths[1:]...)
	for i, line := range h.asked(len(queries)) {
		if fields := strings.Fields(line); len(fields) != 4 || fields[2] != "udp://"+f.group+"?"+queries[i] {
			t.Errorf("the helper was asked %q, want a question about udp://%s?%s", line, f.group, queries[i])
		}
	}
}

// testRTPForm: /rtp/ is another word for /udp/, whether RTP is sent or not.
func testRTPForm(t *testing.T) {
	for name, wrap := range map[string]func(int, []byte) []byte{"plain": nil, "RTP": inRTP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := run(t, settings{engines: 2, config: "no_data: 1h\n"})
			f := newFeed(t, p)
			f.wrap = wrap
			sameChannel(t, f, "/rtp/"+f.group, "/udp/"+f.group, "/rtp/"+f.group+"/", "/src/rtp://"+f.group+"/dst/")
		})
	}
}

// testSeparators: what udpxy takes before a port.
func testSeparators(t *testing.T) {
	p := run(t, settings{engines: 2, config: "no_data: 1h\n"})
	f := newFeed(t, p)
	addr, port, _ := strings.Cut(f.group, ":")
	var paths []string
	for _, separator := range []string{":", "%", "~", "+", "-", "^", "%3A", "%25", "%7E", "%2B", "%2D", "%5E"} {
		paths = append(paths, "/udp/"+addr+separator+port, "/rtp/"+addr+separator+port+"/?x=y")
	}
	sameChannel(t, f, f.path(), paths...)
	for _, bad := range []string{"!", "%20", "=", "::", "%%", "%2C"} {
		if got := p.answers("/udp/" + addr + bad + port); got != 400 {
			t.Errorf("separator %q: %d, want 400", bad, got)
		}
	}
}

// testBadRequests: what is no request is answered with a line that says why.
func testBadRequests(t *testing.T) {
	p := run(t, settings{config: "no_data: 1h\n"})
	for _, c := range []struct {
		method, path string
		code         int
		say          string
	}{
		{"GET", "/udp/nonsense", 400, "nonsense"},
		{"GET", "/udp/", 400, "no address"},
		{"GET", "/udp/239.1.1.1", 400, "PORT"},
		{"GET", "/udp/239.1.1:5000", 400, "239.1.1"},
		{"GET", "/udp/239.1.1.256:5000", 400, "239.1.1.256"},
		{"GET", "/udp/239.1.1.1:0", 400, "port"},
		{"GET", "/udp/239.1.1.1:65536", 400, "PORT"},
		{"GET", "/udp/239.1.1.1:-1", 400, ""},
		{"GET", "/udp/239.1.1.1:50x0", 400, ""},
		{"GET", "/udp/@239.1.1.1:5000", 400, ""},
		{"GET", "/udp/239.2.2.2@239.1.1.1:5000", 400, ""},
		{"GET", "/udp/[ff15::1:5000", 400, ""},
		{"GET", "/udp/[fd00::7]@239.1.1.1:5000", 400, ""},
		{"GET", "/udp/239.1.1.1:5000?start=never", 400, "start"},
		{"GET", "/$", 400, ""},
		{"GET", "/$a%2Fb", 400, ""},
		{"GET", "/src/udp://nonsense/dst/", 400, "nonsense"},
		{"GET", "/src/gopher://h:1/dst/", 400, "gopher"},
		{"GET", "/src/udp://239.1.1.1:5000", 400, "/dst"},
		{"GET", "/", 404, "/udp/"},
		{"GET", "/tv/one", 404, "/udp/"},
		{"GET", "/UDP/239.1.1.1:5000", 404, ""},
		{"GET", "/udp/239.1.1.1:5000/more", 404, ""},
		{"GET", "/favicon.ico", 404, ""},
		{"POST", "/udp/239.1.1.1:5000", 405, "GET"},
		{"PUT", "/udp/239.1.1.1:5000", 405, "GET"},
		{"DELETE", "/", 405, "GET"},
		{"OPTIONS", "*", 405, "GET"},
		{"BREW", "/udp/239.1.1.1:5000", 405, "GET"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			code, text := curl(t, "--path-as-is", "-X", c.method, "--request-target", c.path, "-D", "-", p.url("/"))
			head, line, _ := strings.Cut(text, "\r\n\r\n")
			if code != c.code || !strings.Contains(line, c.say) {
				t.Errorf("%d %q, want %d and %q", code, line, c.code, c.say)
			}
			if !strings.HasPrefix(line, fmt.Sprint(c.code, " ")) || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
				t.Errorf("%q is no line that begins with the status", line)
			}
			if allows := strings.Contains(head, "\r\nAllow: GET, HEAD"); allows != (c.code == 405) {
				t.Errorf("head %q: want Allow with 405, and with 405 only", head)
			}
		})
	}
	if st := p.status(); st.Totals.Channels != 0 {
		t.Errorf("%d channels were opened", st.Totals.Channels)
	}
}
