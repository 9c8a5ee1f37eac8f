package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/engine"
	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
	"sluice/internal/netx"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// order asks for a stream to be sent to a target.
func (o *office) order(id uint64, from, to string, how endpoint.Write) handoff.Attach {
	o.t.Helper()
	source, err := uri.ParseSource(from)
	if err != nil {
		o.t.Fatal(err)
	}
	end, err := uri.Parse(to)
	if err != nil {
		o.t.Fatal(err)
	}
	ch := lineup.Channel{Sources: []uri.Source{source}, Settings: lineup.Defaults()}
	ch.Growth, ch.Linger = 0, 0
	if o.noData > 0 {
		ch.NoData = o.noData
	}
	if source[0].Scheme == uri.File {
		ch.Copy = uint32(id)
	}
	m := handoff.Attach{ID: id, Channel: ch, Peer: "192.0.2.7:5", Target: &endpoint.Target{End: end, Write: how}}
	if err := o.conn.Send(m); err != nil {
		o.t.Fatal(err)
	}
	return m
}

// ended waits for the end of a session.
func (o *office) ended(id uint64) handoff.ClientEnd {
	o.t.Helper()
	for {
		m, _, err := o.conn.Recv()
		if err != nil {
			o.t.Fatal(err)
		}
		if e, ok := m.(handoff.ClientEnd); ok && e.ID == id {
			return e
		}
		if r, ok := m.(handoff.Refused); ok {
			o.t.Fatalf("refused: %+v", r)
		}
	}
}

// clocked is a stream of 8 Mbit/s with a clock, of that many packets.
func clocked(n int64) []byte {
	var b []byte
	for i := range n {
		p := make(ts.Packet, ts.PacketSize)
		copy(p, []byte{ts.SyncByte, 1, 0, 0x30 | byte(i&0xF), 7, 0, 0, 0, 0, 0, 0, 0, byte(i), byte(i >> 8)})
		if i%20 == 0 {
			p[5] = 0x10
			p.SetPCR(i * ts.PacketSize * 8 * 27 / 8)
		}
		b = append(b, p...)
	}
	return b
}

// TestAcceptance54: a source of each kind is sent to a target of each kind, byte by byte.
func TestAcceptance54(t *testing.T) {
	dir := t.TempDir()
	want := clocked(2000)
	if err := os.WriteFile(dir+"/a.ts", want, 0o600); err != nil {
		t.Fatal(err)
	}
	sources := map[string]func(t *testing.T) (url string, speak func()){
		"file": func(*testing.T) (string, func()) { return "file://" + dir + "/a.ts", func() {} },
		"http": func(t *testing.T) (string, func()) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(want) }))
			t.Cleanup(s.Close)
			return s.URL + "/a.ts", func() {}
		},
		"tcp": func(t *testing.T) (string, func()) { return "tcp://" + talker(t, want), func() {} },
		"udp": func(t *testing.T) (string, func()) {
			return "udp://239.6.1.1:5000", func() { speak(t, "239.6.1.1:5000", want) }
		},
	}
	targets := map[string]func(t *testing.T) (url string, got func() []byte){
		"file": func(t *testing.T) (string, func() []byte) {
			path := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-"))
			return "file://" + path, func() []byte { b, _ := os.ReadFile(path); return b }
		},
		"http": func(t *testing.T) (string, func() []byte) {
			all := make(chan []byte, 1)
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				all <- b
			}))
			t.Cleanup(s.Close)
			return s.URL + "/b.ts", func() []byte { return <-all }
		},
		"tcp": func(t *testing.T) (string, func() []byte) {
			at, all := listener(t)
			return "tcp://" + at, func() []byte { return <-all }
		},
		"udp": func(t *testing.T) (string, func() []byte) {
			return "udp://239.6.1.2:5001", group(t, "239.6.1.2:5001", len(want))
		},
	}
	o := openOffice(t)
	o.noData = time.Second
	start(t, engine.Config{Socket: o.path, Targets: everywhere, ReadFrom: []string{dir}, WriteTo: []string{dir}})
	o.admit()
	id := uint64(0)
	for from, source := range sources {
		for to, target := range targets {
			t.Run(from+" to "+to, func(t *testing.T) {
				id++
				url, speak := source(t)
				where, got := target(t)
				m := o.order(id, url, where, endpoint.WriteNew)
				o.opened(m.Channel.Tag())
				speak()
				end := o.ended(id)
				if b := got(); !bytes.Equal(b, want) || end.Bytes != uint64(len(want)) {
					t.Errorf("the target has %d bytes, %d were said to be sent, want %d; ended with %q", len(b), end.Bytes, len(want), end.Reason)
				}
				if (from == "udp") != (end.Reason == "no data") && end.Reason != "source ended" {
					t.Errorf("ended with %q", end.Reason)
				}
			})
		}
	}
}

// talker is a server that says b to who connects, and ends.
func talker(t *testing.T, b []byte) (at string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write(b)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// listener is a server that hears one connection to its end.
func listener(t *testing.T) (at string, all <-chan []byte) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard, done := make(chan []byte, 1), make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			b, _ := io.ReadAll(c)
			c.Close()
			heard <- b
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), heard
}

// group receives n bytes that are sent to a group, on a port that no other group has.
func group(t *testing.T, where string, n int) (all func() []byte) {
	at := netip.MustParseAddrPort(where)
	c, err := net.ListenMulticastUDP("udp4", &net.Interface{Index: 1}, net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	heard := make(chan []byte, 1)
	go func() {
		b, buf := []byte(nil), make([]byte, 2000)
		for len(b) < n {
			m, err := c.Read(buf)
			if err != nil {
				break
			}
			b = append(b, buf[:m]...)
		}
		heard <- b
	}()
	t.Cleanup(func() { c.Close() })
	return func() []byte { return <-heard }
}

// speak sends b to a group, slowly enough for any receiver.
func speak(t *testing.T, where string, b []byte) {
	c, err := netx.DialUDP(netx.SendConfig{Addr: netip.MustParseAddrPort(where), Interface: "lo"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ; len(b) > 0; b = b[min(len(b), 1316):] {
		if _, err := c.Write(b[:min(len(b), 1316)]); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
}

// TestSessionRefused: a target that cannot be had is refused with what is wrong with it; and
// when it is the source that cannot, the target is left alone.
func TestSessionRefused(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/a.ts", clocked(10), 0o600), os.WriteFile(dir+"/empty.ts", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	o := openOffice(t)
	start(t, engine.Config{
		Socket: o.path, Targets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/24")}, ReadFrom: []string{dir}, WriteTo: []string{dir},
	})
	o.admit()
	file := "file://" + dir
	for i, c := range []struct {
		from, to string
		code     int
	}{
		{file + "/a.ts", "tcp://127.0.1.1:9", 403},
		{file + "/a.ts", "udp://239.6.1.3:5000", 403},
		{file + "/a.ts", "http://127.0.1.1/", 403},
		{file + "/a.ts", "file:///tmp/sluice.ts", 403},
		{file + "/a.ts", file + "/none/b.ts", 404},
		{file + "/a.ts", file + "/empty.ts", 409},
		{file + "/a.ts", "tcp://127.0.0.1:9", 503},
		{"file:///etc/passwd", file + "/b.ts", 403},
		{file + "/c.ts", file + "/b.ts", 404},
		{"udp://239.6.1.4:5000", file + "/b.ts", 504},
		{file + "/empty.ts", file + "/b.ts", 503},
	} {
		o.noData = patience(c.code)
		o.order(uint64(i+1), c.from, c.to, endpoint.WriteNew)
		if r := expect[handoff.Refused](o); r.ID != uint64(i+1) || r.Code != c.code || r.Reason == "" {
			t.Errorf("%s to %s: %+v, want %d", c.from, c.to, r, c.code)
		}
	}
	if _, err := os.Stat(dir + "/b.ts"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("b.ts: %v", err)
	}
}

// TestSessionReason: what happened to the target is what gws hears; and other sessions of the
// same channel go on. In the report a session has the tag of its target.
func TestSessionReason(t *testing.T) {
	dir := testkit.SmallDisk(t, 256<<10)
	at, heard := listener(t)
	o := openOffice(t)
	start(t, engine.Config{Socket: o.path, Targets: everywhere, WriteTo: []string{dir}})
	o.admit()
	o.order(1, "udp://239.6.1.5:5000", "file://"+dir+"/a.ts", endpoint.WriteNew)
	o.opened("UDP://239.6.1.5:5000")
	o.order(2, "udp://239.6.1.5:5000", "tcp://"+at, endpoint.WriteNew)
	onAir(t, "239.6.1.5:5000")
	if end := o.ended(1); end.Reason != "write FILE://"+dir+"/a.ts: no space left on device" {
		t.Errorf("ended with %q", end.Reason)
	}
	if err := o.conn.Send(handoff.Query{ID: 7}); err != nil {
		t.Fatal(err)
	}
	r := expect[handoff.Report](o)
	if len(r.Engine.Channels) != 1 || len(r.Engine.Channels[0].Clients) != 1 || r.Engine.Channels[0].Clients[0].Tag != "TCP://"+at || r.Engine.Channels[0].Clients[0].Addr != "192.0.2.7:5" {
		t.Fatalf("report %+v", r.Engine)
	}
	if err := o.conn.Send(handoff.Drop{Channel: "UDP://239.6.1.5:5000", Client: "TCP://" + at}); err != nil {
		t.Fatal(err)
	}
	end := o.ended(2)
	if b := <-heard; end.Reason != "dropped" || uint64(len(b)) != end.Bytes || end.Bytes == 0 {
		t.Errorf("%+v, the target has %d bytes", end, len(b))
	}
}

// silent is a server that takes connections and says nothing: who wants TLS of it waits.
func silent(t *testing.T) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "https://" + l.Addr().String() + "/"
}

// TestDropWhileOpening: a session whose target is still being opened is dropped, and not by
// an order that means another.
func TestDropWhileOpening(t *testing.T) {
	const channel = "UDP://239.6.1.6:5000"
	o := openOffice(t)
	start(t, engine.Config{Socket: o.path, Targets: everywhere})
	o.admit()
	for i, c := range []func(tag string) []handoff.Message{
		func(tag string) []handoff.Message {
			return []handoff.Message{handoff.Drop{Channel: channel, Client: "TCP://1"}, handoff.Drop{Channel: "UDP://2", Client: tag}, handoff.Drop{Channel: channel, Client: tag}}
		},
		func(string) []handoff.Message { return []handoff.Message{handoff.Drop{Channel: channel}} },
		func(string) []handoff.Message { return []handoff.Message{handoff.Reset{}} },
	} {
		m := o.order(uint64(i+1), "udp://239.6.1.6:5000", silent(t), endpoint.WriteNew)
		for _, order := range c(m.Tag()) {
			if err := o.conn.Send(order); err != nil {
				t.Fatal(err)
			}
		}
		if r := expect[handoff.Refused](o); r.ID != m.ID || r.Code != 503 || !strings.Contains(r.Reason, "dropped") {
			t.Errorf("%d: %+v", i, r)
		}
	}
}

// TestReset: everything ends, with the reason, and a new client is served at once.
func TestReset(t *testing.T) {
	o := openOffice(t)
	start(t, engine.Config{Socket: o.path, Targets: everywhere})
	o.admit()
	onAir(t, "239.6.1.7:5000")
	at, heard := listener(t)
	o.order(1, "udp://239.6.1.7:5000", "tcp://"+at, endpoint.WriteNew)
	expect[handoff.Started](o)
	if err := o.conn.Send(handoff.Reset{}); err != nil {
		t.Fatal(err)
	}
	if end := o.ended(1); end.Reason != "dropped" {
		t.Errorf("ended with %q", end.Reason)
	}
	<-heard
	o.client(2, "udp://239.6.1.7:5000")
	if s := expect[handoff.Started](o); s.ID != 2 {
		t.Errorf("%+v", s)
	}
}

// TestOpeningEndsWithGws: a target that is still being opened is given up when gws goes, and
// when the engine ends; nobody is answered.
func TestOpeningEndsWithGws(t *testing.T) {
	o := openOffice(t)
	stop := start(t, engine.Config{Socket: o.path, Targets: everywhere, ReconnectDelay: time.Millisecond, ReconnectAttempts: 10_000})
	o.admit()
	o.order(1, "udp://239.6.1.8:5000", silent(t), endpoint.WriteNew)
	o.close()
	o.open()
	o.admit()
	o.order(2, "udp://239.6.1.8:5000", silent(t), endpoint.WriteNew)
	if err := o.conn.Send(handoff.Query{ID: 1}); err != nil {
		t.Fatal(err)
	}
	expect[handoff.Report](o) // it has begun
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	if bye := expect[handoff.Bye](o); bye.Reason == "" {
		t.Error("no reason")
	}
	for {
		m, _, err := o.conn.Recv()
		if err != nil {
			break
		}
		t.Errorf("gws was told %#v", m)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWaitingEndsWithGws: a session that waits for its first byte is given up when gws goes:
// the next gws knows nothing of it, and would begin it a second time.
func TestWaitingEndsWithGws(t *testing.T) {
	dir := t.TempDir()
	o := openOffice(t)
	o.noData = time.Hour
	start(t, engine.Config{Socket: o.path, WriteTo: []string{dir}, ReconnectDelay: time.Millisecond, ReconnectAttempts: 10_000})
	o.admit()
	o.order(1, "udp://239.6.1.10:5000", "file://"+dir+"/a.ts", endpoint.WriteNew)
	expect[handoff.ChannelOpen](o)
	o.close()
	o.open()
	o.admit()
	o.order(2, "udp://239.6.1.10:5000", "file://"+dir+"/b.ts", endpoint.WriteNew)
	onAir(t, "239.6.1.10:5000")
	if s := expect[handoff.Started](o); s.ID != 2 {
		t.Errorf("session %d has begun", s.ID)
	}
}

// TestSessionEndsWithEngine: a target gets what was written to it before the engine is gone.
func TestSessionEndsWithEngine(t *testing.T) {
	dir := t.TempDir()
	o := openOffice(t)
	stop := start(t, engine.Config{Socket: o.path, WriteTo: []string{dir}})
	o.admit()
	onAir(t, "239.6.1.9:5000")
	o.order(1, "udp://239.6.1.9:5000", "file://"+dir+"/a.ts", endpoint.WriteNew)
	expect[handoff.Started](o)
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	expect[handoff.Bye](o)
	end := o.ended(1)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir + "/a.ts"); err != nil || uint64(info.Size()) != end.Bytes || end.Bytes == 0 || end.Reason != "shutdown" {
		t.Errorf("%+v; %v", end, err)
	}
}

// TestFailed: gws hears whether a channel ended because its source failed.
func TestFailed(t *testing.T) {
	o := openOffice(t)
	o.noData = 50 * time.Millisecond
	start(t, engine.Config{Socket: o.path})
	o.admit()
	failed := func(tag string) bool {
		for {
			m, fd, err := o.conn.Recv()
			if fd >= 0 {
				unix.Close(fd)
			}
			if err != nil {
				t.Fatal(err)
			}
			if end, ok := m.(handoff.ChannelEnd); ok && end.Tag == tag {
				return end.Failed
			}
		}
	}
	o.client(1, "udp://239.6.1.10:5000")
	if !failed("UDP://239.6.1.10:5000") {
		t.Error("a silent source has not failed")
	}
	expect[handoff.Refused](o)
	o.client(2, "tcp://127.0.0.1:9")
	if !failed("TCP://127.0.0.1:9") {
		t.Error("one that nobody is at has not failed")
	}
	expect[handoff.Refused](o)
	o.noData = 0
	onAir(t, "239.6.1.11:5000")
	o.client(3, "udp://239.6.1.11:5000")
	expect[handoff.Started](o)
	if err := o.conn.Send(handoff.Drop{Channel: "UDP://239.6.1.11:5000"}); err != nil {
		t.Fatal(err)
	}
	if failed("UDP://239.6.1.11:5000") {
		t.Error("one that was dropped has failed")
	}
}

// TestReload: what may be named changes with the configuration, for what is asked for from
// then on; an invalid one changes nothing.
func TestReload(t *testing.T) {
	testkit.NoLeaks(t)
	dir := t.TempDir()
	o := openOffice(t)
	conf := engine.Config{ID: "1", Socket: o.path, Interface: "lo", Sources: everywhere}
	e, err := engine.New(conf, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	o.admit()
	onAir(t, "239.6.1.12:5000")
	allowed := conf
	allowed.WriteTo = []string{dir}
	invalid := conf
	invalid.Memory = -1
	for i, step := range []struct {
		c       engine.Config
		invalid bool
		begins  bool
	}{{c: conf}, {c: allowed, begins: true}, {c: invalid, invalid: true, begins: true}, {c: conf}} {
		if err := e.Reload(step.c); (err != nil) != step.invalid {
			t.Errorf("step %d: %v", i, err)
		}
		o.order(uint64(i+1), "udp://239.6.1.12:5000", fmt.Sprintf("file://%s/%d.ts", dir, i), endpoint.WriteNew)
		if step.begins {
			expect[handoff.Started](o)
		} else if r := expect[handoff.Refused](o); r.Code != 403 {
			t.Errorf("step %d: %+v", i, r)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := e.Reload(conf); err == nil {
		t.Error("an engine that has ended was reloaded")
	}
}
