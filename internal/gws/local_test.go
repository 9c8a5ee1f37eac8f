package gws

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sluice/internal/auth"
	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/netx"
)

// nobody is a guard that lets nobody in.
type nobody struct{}

func (nobody) Ask(context.Context, auth.Question) auth.Answer {
	return auth.Answer{Code: http.StatusForbidden, Reason: "nobody may watch"}
}

// askLocal asks by the local door, the second one.
func (h *house) askLocal(method, path string, header ...string) net.Conn {
	h.t.Helper()
	c, err := net.Dial("unix", h.server.users[1].Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	head := append([]string{method + " " + path + " HTTP/1.1", "Host: gws"}, header...)
	if _, err := io.WriteString(c, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// TestLocalDoor: who comes by it is let in whatever lists and guards say, may name any
// source, and watches for whom it says; who comes by the user port gains nothing by that.
func TestLocalDoor(t *testing.T) {
	news := channelOf("news", "udp://239.1.1.1:5000")
	access := newDiary()
	h := openBy(t, Config{
		Allow: prefixes(), Sources: prefixes(), Guard: nobody{}, Access: access, Lineup: lineupOf(t, nil, news),
	}, []Door{{}, {Local: true, Alias: "origin"}})
	e := h.engine("1")
	loop := channelOf("", "udp://127.0.0.1:5000")
	film := channelOf("", "file:///etc/passwd")
	film.Copy, film.Linger, film.NoData = 1, 0, film.NoData+film.Growth
	loop.Trusted, film.Trusted = true, true
	for _, c := range []struct {
		path, header string
		peer         string
		want         lineup.Channel
	}{
		{"/$news", "X-Forwarded-For: 192.0.2.7", "192.0.2.7:0", news},
		{"/udp/127.0.0.1:5000", "X-Forwarded-For: 192.0.2.7:4711", "192.0.2.7:4711", loop},
		{"/udp/127.0.0.1:5000", "X-Forwarded-For: 2001:db8::7", "[2001:db8::7]:0", loop},
		{"/udp/127.0.0.1:5000", "X-Forwarded-For: [2001:db8::7]:80", "[2001:db8::7]:80", loop},
		{"/udp/127.0.0.1:5000", "X-Forwarded-For: -", "127.0.0.1:0", loop},
		{"/udp/127.0.0.1:5000", "X-Forwarded-For: \xff", "127.0.0.1:0", loop},
		{"/udp/127.0.0.1:5000", "X-Real-IP: 10.0.0.1", "127.0.0.1:0", loop},
		{"/udp/127.0.0.1:5000", "X-Forwarded-For: 10.0.0.1, 192.0.2.7", "192.0.2.7:0", loop},
		{"/src/file:///etc/passwd/dst/", "X-Forwarded-For: 192.0.2.7", "192.0.2.7:0", film},
	} {
		client := h.askLocal("GET", c.path, c.header)
		a := e.serve("stream")
		if !reflect.DeepEqual(a.Channel, arrived(t, c.want)) || a.Peer != c.peer {
			t.Errorf("%s, %s: the engine was asked for %+v by %q", c.path, c.header, a.Channel, a.Peer)
		}
		if got := h.all(client); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nstream") {
			t.Errorf("%s: %q", c.path, got)
		}
		access.wait("Event:"+logs.ClientOpen, "Peer:"+netip.MustParseAddrPort(c.peer).Addr().String()+" ", "Listener:origin")
	}
	for _, path := range []string{"/$news", "/udp/127.0.0.1:5000"} {
		if r, _ := h.answer("GET " + path + " HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"); r.StatusCode != 403 {
			t.Errorf("%s at the user port: %d", path, r.StatusCode)
		}
	}
	for request, status := range map[string]int{"HEAD /$news": 200, "POST /$news": 405, "GET /$none": 404, "GET /else": 404} {
		method, path, _ := strings.Cut(request, " ")
		if r, _ := h.read(h.askLocal(method, path, "Content-Length: 0"), method); r.StatusCode != status {
			t.Errorf("%s: %d, want %d", request, r.StatusCode, status)
		}
	}
}

// TestLocalDoorLimits: the limit of an address is that of who watches.
func TestLocalDoorLimits(t *testing.T) {
	h := openBy(t, Config{Limits: Limits{MaxPerAddress: 1}}, []Door{{}, {Local: true}})
	e := h.engine("1")
	for _, who := range []string{"192.0.2.7", "192.0.2.8"} {
		h.askLocal("GET", "/udp/239.1.1.1:5000", "X-Forwarded-For: "+who)
		a, _ := e.attach()
		e.send(handoff.Started{ID: a.ID})
		h.log.wait("client started", "client=TCP://"+who)
	}
	if r, _ := h.read(h.askLocal("GET", "/udp/239.1.1.1:5000", "X-Forwarded-For: 192.0.2.7"), "GET"); r.StatusCode != 503 {
		t.Errorf("the second of one address: %d", r.StatusCode)
	}
}

// TestLocalDoorEngineDies: nobody can tell what an engine has written to a UNIX socket, so the
// connection is closed, and no other engine asked.
func TestLocalDoorEngineDies(t *testing.T) {
	h := openBy(t, Config{}, []Door{{}, {Local: true}})
	first := h.engine("1")
	client := h.askLocal("GET", "/udp/239.1.1.1:5000")
	_, f := first.attach()
	h.engine("2")
	first.die(f)
	if got := h.all(client); got != "" {
		t.Errorf("the client got %q", got)
	}
	h.log.wait("client cut off")
}

// TestLocalDoorRefused: what an engine refuses is an answer.
func TestLocalDoorRefused(t *testing.T) {
	h := openBy(t, Config{}, []Door{{}, {Local: true}})
	e := h.engine("1")
	client := h.askLocal("GET", "/udp/239.1.1.1:5000")
	a, f := e.attach()
	f.Close()
	e.send(handoff.Refused{ID: a.ID, Code: 504, Reason: "no data"})
	if r, body := h.read(client, "GET"); r.StatusCode != 504 || body != "504 Gateway Timeout: no data\n" {
		t.Errorf("%d, %q", r.StatusCode, body)
	}
}

// TestLocalDoorIsOfThisMachine: nothing that could be reached from elsewhere is one.
func TestLocalDoorIsOfThisMachine(t *testing.T) {
	control, err := netx.ListenHandoff(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	near, err := net.Listen("unix", filepath.Join(t.TempDir(), "near"))
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	for _, d := range []Door{{Listener: far, Local: true}, {Listener: near, Local: true, TLS: new(tls.Config)}} {
		if _, err := New(Config{}, []Door{d}, control, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s, TLS %v: no error", d.Addr(), d.TLS != nil)
		}
	}
	if _, err := New(Config{}, []Door{{Listener: near, Local: true}}, control, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}
