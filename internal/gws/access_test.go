package gws

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"sluice/internal/handoff"
	"sluice/internal/logs"
	"sluice/internal/report"
)

// diary is an access log in which a test can wait for an entry.
type diary struct{ *lines }

func newDiary() diary { return diary{newLines()} }

func (d diary) Write(e logs.AccessEntry) { fmt.Fprintf(d.lines, "%+v", e) }

func TestMasked(t *testing.T) {
	for in, want := range map[string]string{
		"":                                               "",
		"/udp/239.1.1.1:5000":                            "/udp/239.1.1.1:5000",
		"/udp/239.1.1.1:5000?token=secret":               "/udp/239.1.1.1:5000?-",
		"/udp/239.1.1.1:5000?":                           "/udp/239.1.1.1:5000?-",
		"/udp/239.1.1.1:5000%3Ftoken=secret":             "/udp/239.1.1.1:5000?-",
		"/udp/10.0.0.7@239.1.1.1:5000":                   "/udp/10.0.0.7@239.1.1.1:5000",
		"/udp/10.0.0.7%40239.1.1.1:5000":                 "/udp/10.0.0.7@239.1.1.1:5000",
		"/udp/[fd00::7]@[ff35::1]:5000":                  "/udp/[fd00::7]@[ff35::1]:5000",
		"/udp/10.0.0.7@232.1.1.1:5|10.0.0.8@232.1.1.1:6": "/udp/10.0.0.7@232.1.1.1:5|10.0.0.8@232.1.1.1:6",
		"/src/http://user:secret@h/x/dst/":               "/src/http://-@h/x/dst/",
		"/src/http://user:secret@h/x?token=secret/dst/":  "/src/http://-@h/x?-",
		"/src/http:%2F%2Fuser:secret%40h%2Fx/dst/":       "/src/http://-@h/x/dst/",
		"/src/http://a@secret@h/x":                       "/src/http://-@h/x",
		"/src/http://us|secret@h/x":                      "/src/http://-@h/x",
		"/src/http://user:secr%2Fet@h/x/dst/":            "/src/http://-@h/x/dst/",
		"/src/http%3A%2F%2Fuser:secret%40h%2Fx/dst/":     "/src/http://-@h/x/dst/",
		"/src/http:%2F%2Fuser:secret%40h%2F%zz/dst/":     "/src/http://-@h/%zz/dst/",
		"/src/http://h/src/http://user:secret%2540h/x":   "/src/http://h/src/http://-@h/x",
		"/udp/239.1.1.1:5000%3Ftoken=secret%zz":          "/udp/239.1.1.1:5000?-",
		"/src/http://h/x%253Ftoken=secret/dst/":          "/src/http://h/x?-",
		"/src/udp://10.0.0.7@232.1.1.1:5/dst/udp://h:1":  "/src/udp://10.0.0.7@232.1.1.1:5/dst/udp://h:1",
		"https://user:secret@h/page?x=y":                 "https://-@h/page?-",
		"/$news\x80\r\n":                                 "/$news%80%0D%0A",
		"/$news%zz?x=y":                                  "/$news%zz?-",
		"/$%D0%BD":                                       "/$%D0%BD",
	} {
		if got := masked(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzMasked(f *testing.F) {
	f.Add("/src/http://user:")
	f.Add("/src/http:%2F%2Fuser:")
	f.Add("/src/udp://10.0.0.7|")
	f.Add("/x%3f")
	f.Fuzz(func(t *testing.T, before string) {
		for _, s := range []string{before + "?secret", before + "%3Fsecret"} {
			if got := masked(s); strings.Contains(got, "secret") && !strings.Contains(before, "secret") && !strings.Contains(before, "%") {
				t.Errorf("%q: %q", s, got)
			}
		}
		if got := masked(before); strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q: %q", before, got)
		}
	})
}

// A visit tells no more than it needs, and keeps no more, however much was sent.
func TestVisitIsBounded(t *testing.T) {
	line := "GET /udp/239.1.1.1:5000 HTTP/1.1" // net/http's parts of it are parts of its memory
	short := newVisit(&Config{}, &http.Request{Method: line[:3], RequestURI: line[4:23], Proto: line[24:], Header: http.Header{}})
	for part, of := range map[string]string{short.method: line[:3], short.path: line[4:23], short.proto: line[24:]} {
		if part != of || unsafe.StringData(part) == unsafe.StringData(of) {
			t.Errorf("%q: the head of the request is kept", part)
		}
	}
	long := strings.Repeat("x", 10_000)
	r := &http.Request{
		Method: long, RequestURI: "/" + long + "?token=secret", Proto: "HTTP/1.1", RemoteAddr: "192.0.2.7:1", TLS: new(tls.ConnectionState),
		Header: http.Header{"User-Agent": {long}, "Referer": {"http://u:secret@h/" + long + "?secret"}},
	}
	entry := newVisit(&Config{}, r).entry(logs.ClientDeny)
	if n := len(fmt.Sprint(entry)); n > 4*maxTold {
		t.Errorf("an entry of %d bytes", n)
	}
	if strings.Contains(fmt.Sprint(entry), "secret") {
		t.Errorf("%+v", entry)
	}
}

// The access log of one gws (101 to 106): who comes and goes, is turned away, and what is
// received for it.
func TestAcceptance105AccessLog(t *testing.T) {
	diary := newDiary()
	h := openBy(t, Config{Access: diary, Limits: Limits{MaxClients: 1}}, []Door{{Alias: "bb1"}})
	e := h.engine("1")
	e.send(handoff.ChannelOpen{Tag: tag})
	client := h.ask("GET /udp/239.1.1.1:5000?token=secret HTTP/1.1\r\nHost: h\r\nUser-Agent: VLC/3\r\nReferer: http://p.example/?secret\r\n\r\n")
	a, f := e.start()
	f.Close()
	me := "Client:TCP://" + client.LocalAddr().String()
	diary.wait("Event:channel_open", "Channel:"+tag, "Engine:1", "Peer: ", "Duration:0s")
	diary.wait("Event:client_open", "Peer:127.0.0.1 ", "Request:GET /udp/239.1.1.1:5000?- HTTP/1.1 ", "Status:200", "Bytes:0",
		"Referer:http://p.example/?- ", "UserAgent:VLC/3 ", "Listener:bb1", "Channel:"+tag, me, "Engine:1", "Duration:0s")
	h.answer(request1("GET", "/$none?token=secret"))
	diary.wait("Event:client_deny", "Request:GET /$none?- HTTP/1.1", "Status:404", "Reason:no channel has this name", "Listener:bb1")
	h.answer(getOf(5001))
	diary.wait("Event:client_deny", "Request:GET /udp/239.1.1.1:5001 HTTP/1.1", "Status:503", "limits.clients is 1")
	e.send(handoff.ClientEnd{ID: a.ID, Bytes: 188_000, Reason: "client gone"})
	e.send(handoff.ChannelEnd{Tag: tag, Reason: "unused", Bytes: 376_000})
	diary.wait("Event:client_close", "Request:GET /udp/239.1.1.1:5000?- HTTP/1.1", "Status:200", "Bytes:188000", "Reason:client gone", me)
	diary.wait("Event:channel_close", "Bytes:376000", "Channel:"+tag, "Engine:1", "Reason:unused")

	client = h.ask(getOf(5001))
	e.refuses(504, "the source delivers no data")
	h.all(client)
	diary.wait("Event:client_deny", "Status:504", "Channel:UDP://239.1.1.1:5001", "Reason:the source delivers no data")
	client = h.ask(getOf(5001))
	_, f = e.attach()
	e.write(f, "HTT")
	e.die(f)
	h.all(client)
	diary.wait("Event:client_deny", "Status:0", "Channel:UDP://239.1.1.1:5001", "Reason:the engine is gone")
	if n := diary.count("secret"); n > 0 {
		t.Errorf("a secret stands in %d entries", n)
	}
	if n := diary.count("channel_close"); n != 1 {
		t.Errorf("%d channels were closed: only one was open", n)
	}
}

// After a restart gws knows the clients from before by their tags, and how long they were
// there.
func TestAccessLogAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		diary := newDiary()
		s := desk(Config{Access: diary, MaxEngines: 1})
		since := time.Now().Add(-time.Hour)
		e := s.enlist(t, "1", report.Channel{Tag: tag, Since: since, Clients: []report.Client{
			{ID: 1, Tag: "TCP://192.0.2.7:5", Addr: "192.0.2.7:5", Since: since},
			{ID: 2, Tag: "TCP://192.0.2.8:5", Addr: "192.0.2.8:5", Since: time.Now().Add(time.Hour)}, // its clock is wrong
		}})
		if n := diary.count("Event"); n != 0 {
			t.Fatalf("%d entries for what was there", n)
		}
		time.Sleep(time.Minute)
		s.onClientEnd(e, handoff.ClientEnd{ID: 1, Bytes: 7, Reason: "client gone"})
		s.onClientEnd(e, handoff.ClientEnd{ID: 2})
		s.onChannelEnd(e, handoff.ChannelEnd{Tag: tag, Reason: "unused"})
		for _, parts := range [][]string{
			{"client_close", "Peer:192.0.2.7 ", "Request: ", "Status:0", "Bytes:7", "Client:TCP://192.0.2.7:5", "Duration:1h1m0s", "Reason:client gone"},
			{"client_close", "Peer:192.0.2.8 ", "Duration:1m0s"},
			{"channel_close", "Duration:1h1m0s", "Reason:unused"},
		} {
			if diary.count(parts...) != 1 {
				t.Errorf("no entry has %q in %q", parts, diary.all)
			}
		}
	})
}

// What events were lost of is found out by the next report, and an engine that is lost has
// ended all that it had.
func TestAccessLogOfLostEvents(t *testing.T) {
	diary := newDiary()
	s := desk(Config{Access: diary, MaxEngines: 1})
	e := s.enlist(t, "1")
	s.replaceBelief(e, report.Engine{Channels: []report.Channel{{Tag: tagA, Clients: []report.Client{{ID: 1, Tag: "TCP://192.0.2.7:5", Addr: "192.0.2.7:5"}}}}})
	s.replaceBelief(e, report.Engine{Channels: []report.Channel{{Tag: tagB, Clients: []report.Client{{ID: 2, Tag: "TCP://192.0.2.8:5", Addr: "192.0.2.8:5"}}}}})
	s.lose(e, errProtocol)
	for _, parts := range [][]string{
		{"channel_open", tagA},
		{"channel_open", tagB},
		{"channel_close", tagA, eventsLost},
		{"client_close", "192.0.2.7:5", eventsLost},
		{"channel_close", tagB, "the engine was cut off"},
		{"client_close", "192.0.2.8:5", "the engine was cut off"},
	} {
		if diary.count(parts...) != 1 {
			t.Errorf("no entry, or more than one, has %q in %q", parts, diary.all)
		}
	}
}

// While gws ends, nothing else does.
func TestAccessLogWhileEnding(t *testing.T) {
	diary := newDiary()
	s := desk(Config{Access: diary, MaxEngines: 1})
	e := s.enlist(t, "1")
	s.replaceBelief(e, report.Engine{Channels: []report.Channel{{Tag: tagA, Clients: []report.Client{{ID: 1, Addr: "192.0.2.7:5"}}}}})
	s.stopping = true
	s.lose(e, errProtocol)
	if n := diary.count("close"); n != 0 {
		t.Errorf("%q", diary.all)
	}
}
