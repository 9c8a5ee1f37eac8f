//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/report"
)

// The rows and columns of the matrix of ends.

func nothing() {}

var fromFile = origin{"file", func(t *testing.T, m *matrix) outflow {
	path := filepath.Join(m.dir, fmt.Sprintf("in-%d.ts", groups.Add(1)))
	if err := os.WriteFile(path, m.stream, 0o600); err != nil {
		t.Fatal(err)
	}
	return outflow{url: fileURL(path), known: path, first: nothing, rest: nothing}
}}

var fromUDP = origin{"udp", func(t *testing.T, m *matrix) outflow {
	f := newFeed(t, &product{t: t, admin: m.p.admin, web: m.p.web})
	return outflow{
		url: "udp://" + f.group, known: f.group,
		first: func() {
			joined(t, f.group)
			f.more(1)
		},
		rest: func() {
			f.more(len(m.stream)/groupBytes - 1)
			m.p.end("UDP://"+f.group, "") // a group has no end of its own
		},
	}
}}

var fromTCP = origin{"tcp", func(t *testing.T, m *matrix) outflow {
	addr := listen(t, func(c net.Conn) { _, _ = c.Write(m.stream) })
	return outflow{url: "tcp://" + addr, known: addr, first: nothing, rest: nothing}
}}

var (
	fromHTTP  = origin{"http", func(t *testing.T, m *matrix) outflow { return m.fromWeb(t, httptest.NewServer) }}
	fromHTTPS = origin{"https", func(t *testing.T, m *matrix) outflow { return m.fromWeb(t, m.ca.server) }}
)

func (m *matrix) fromWeb(t *testing.T, server func(http.Handler) *httptest.Server) outflow {
	s := server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(m.stream) }))
	t.Cleanup(s.Close)
	return outflow{url: s.URL + "/live.ts", known: s.Listener.Addr().String(), first: nothing, rest: nothing}
}

// channelLike finds a channel by a part of its tag.
func channelLike(st report.Status, part string) (report.Channel, report.Engine, error) {
	for _, e := range st.Engines {
		for _, c := range e.Channels {
			if strings.Contains(c.Tag, part) {
				return c, e, nil
			}
		}
	}
	return report.Channel{}, report.Engine{}, fmt.Errorf("no channel like %s", part)
}

var toFile = landing{"file", func(t *testing.T, m *matrix) inflow {
	url, path := fileTarget(m.dir, fmt.Sprintf("out-%d.ts", groups.Add(1)))
	return inflow{url: url, come: func() { written(t, path, m.stream) }}
}}

var toTCP = landing{"tcp", func(t *testing.T, m *matrix) inflow {
	url, c := tcpTarget(t)
	return inflow{url: url, come: func() { c.gets(t, m.stream) }, end: func() { c.ends(t) }}
}}

var (
	toUDP   = landing{"udp", func(t *testing.T, m *matrix) inflow { return m.intoUDP(t, "udp://", noHeader) }}
	toRTP   = landing{"rtp", func(t *testing.T, m *matrix) inflow { return m.intoUDP(t, "rtp://", rtpHeader(t)) }}
	toGroup = landing{"udp group", func(t *testing.T, m *matrix) inflow {
		ip, _, err := net.SplitHostPort(newGroup())
		if err != nil {
			t.Fatal(err)
		}
		url, c := udpTarget(t, net.ParseIP(ip), noHeader)
		return inflow{url: url, come: func() { c.gets(t, m.stream) }}
	}}
)

func (m *matrix) intoUDP(t *testing.T, scheme string, header func([]byte) []byte) inflow {
	url, c := udpTarget(t, net.IPv4(127, 0, 0, 1), header)
	return inflow{url: strings.Replace(url, "udp://", scheme, 1), come: func() { c.gets(t, m.stream) }}
}

// udpTarget is an address or a group that takes datagrams; header takes off what stands
// before the stream in each.
func udpTarget(t *testing.T, ip net.IP, header func([]byte) []byte) (url string, c *catch) {
	t.Helper()
	listen := net.ListenUDP
	if ip.IsMulticast() {
		listen = func(network string, addr *net.UDPAddr) (*net.UDPConn, error) {
			return net.ListenMulticastUDP(network, nil, addr)
		}
	}
	conn, err := listen("udp4", &net.UDPAddr{IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	roomy(t, conn)
	c = &catch{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 64<<10); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			_, _ = c.Write(header(buf[:n]))
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return fmt.Sprintf("udp://%s:%d", ip, conn.LocalAddr().(*net.UDPAddr).Port), c
}

func noHeader(b []byte) []byte { return b }

// rtpHeader wants each datagram to be the next RTP packet of MPEG-TS (RFC 2250, RFC 3550,
// 5.1).
func rtpHeader(t *testing.T) func([]byte) []byte {
	next := -1
	return func(b []byte) []byte {
		if len(b) < 12 || b[0] != 0x80 || b[1]&0x7f != 33 {
			t.Errorf("no RTP packet of MPEG-TS: %x", b[:min(len(b), 12)])
			return nil
		}
		number := int(binary.BigEndian.Uint16(b[2:]))
		if next >= 0 && number != next {
			t.Errorf("RTP packet %d, want %d", number, next)
		}
		next = (number + 1) & 0xffff
		return b[12:]
	}
}

var (
	toHTTP  = landing{"http", func(t *testing.T, m *matrix) inflow { return m.intoWeb(t, httptest.NewServer) }}
	toHTTPS = landing{"https", func(t *testing.T, m *matrix) inflow { return m.intoWeb(t, m.ca.server) }}
)

func (m *matrix) intoWeb(t *testing.T, server func(http.Handler) *httptest.Server) inflow {
	c := &catch{}
	s := server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.Header.Get("Content-Type") != "video/mp2t" {
			t.Errorf("%s of %q, want PUT of video/mp2t", r.Method, r.Header.Get("Content-Type"))
		}
		if c.take(r.Body) == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(s.Close)
	return inflow{url: s.URL + "/in.ts", come: func() { c.gets(t, m.stream) }, end: func() { c.ends(t) }}
}

var toClient = landing{"the client", func(t *testing.T, m *matrix) inflow {
	c := &catch{}
	return inflow{c: c, come: func() { c.gets(t, m.stream) }, end: func() { c.ends(t) }}
}}
