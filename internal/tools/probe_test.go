package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/netx"
)

// received gives datagrams to the receiver of a probe.
func received(all []sent) ProbeResult {
	w := newWatch("udp://239.1.1.1:5000", ProbeOptions{})
	in := newIntake(w, 0)
	for _, d := range all {
		slot := make([]byte, slotSize)
		n := copy(slot, d.data)
		in.datagram(netx.Datagram{Len: len(d.data), Overflow: d.data[n:], Src: netip.MustParseAddrPort("192.0.2.7:1234")}, slot, d.at)
	}
	in.finish()
	return w.result()
}

func TestProbeHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/clip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "video/mp2t")
		w.Header().Set("Server", "test")
		_, _ = w.Write(Clip())
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/clip", http.StatusFound) })
	mux.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no such channel\x1b[31m here\nsecond line", http.StatusNotFound)
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>welcome</html>")
	})
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "video/mp2t") })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "video/mp2t")
		_, _ = w.Write(Clip()[:1000*188])
		_, _ = w.Write(Clip()[1001*188:])
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, c := range []struct {
		path     string
		valid    bool
		problem  string // a part of the first
		warnings int
	}{
		{"/clip", true, "", 1},
		{"/moved", true, "", 1},
		{"/none", false, "answered 404 Not Found: no such channel·[31m here", 0},
		{"/page", false, "no transport stream", 2},
		{"/empty", false, "nothing came", 1},
		{"/cut", false, "continuity", 1},
	} {
		t.Run(c.path, func(t *testing.T) {
			r, err := Probe(t.Context(), server.URL+c.path, ProbeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			first := strings.Join(r.Problems, "; ")
			if r.Valid != c.valid || (first == "") != c.valid || !strings.Contains(first, c.problem) || len(r.Warnings) != c.warnings {
				t.Errorf("valid %v, problems %q, warnings %q", r.Valid, r.Problems, r.Warnings)
			}
			if moved := c.path == "/moved"; (r.HTTP.Location == server.URL+"/clip") != moved {
				t.Errorf("location %q", r.HTTP.Location)
			}
			checkText(t, r)
		})
	}
}

// checkText checks what every result must look like.
func checkText(t *testing.T, r ProbeResult) {
	t.Helper()
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	verdict, _, _ := strings.Cut(text.String(), "\n")
	if want := map[bool]string{true: ": valid", false: ": NOT VALID"}[r.Valid]; verdict != r.URL+want {
		t.Errorf("verdict %q", verdict)
	}
	for _, p := range append(r.Problems, r.Warnings...) {
		if !strings.Contains(text.String(), p) {
			t.Errorf("%q is not in the text:\n%s", p, text.String())
		}
	}
	if strings.ContainsAny(text.String(), "\x1b\r\t") || strings.Contains(text.String(), "%!") {
		t.Errorf("control characters or bad formats in the text: %q", text.String())
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"url", "valid", "problems", "warnings", "first_byte_ms", "http", "network", "continuity_errors", "programs", "pcr"} {
		if v, ok := fields[name]; !ok || (v == nil && (name == "problems" || name == "warnings" || name == "programs")) {
			t.Errorf("JSON %s is %v", name, v)
		}
	}
}

func TestProbeText(t *testing.T) {
	all, _, err := play(t, bytes.NewReader(Clip()), SendOptions{To: udpEnd, Faults: Faults{Drop: 100}}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := received(all)
	checkText(t, r)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	for _, want := range []string{"192.0.2.7:1234", "h264", "aac", "key frames", "kbit/s", "program 1"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in the text", want)
		}
	}
}

func TestProbeErrors(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		url  string
		o    ProbeOptions
		bad  bool // ErrProbeURL
	}{
		{"another scheme", t.Context(), "ftp://x", ProbeOptions{}, true},
		{"no scheme", t.Context(), "239.1.1.1:5000", ProbeOptions{}, true},
		{"no port", t.Context(), "udp://239.1.1.1", ProbeOptions{}, true},
		{"a bad host", t.Context(), "http://a b/", ProbeOptions{}, true},
		{"a negative duration", t.Context(), "udp://239.1.1.1:5000", ProbeOptions{Duration: -1}, true},
		{"nobody there", t.Context(), closed.URL, ProbeOptions{}, false},
		{"no such interface", t.Context(), "udp://239.1.1.1:5000", ProbeOptions{Interface: "none0"}, false},
		{"cancelled", cancelled, closed.URL, ProbeOptions{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Probe(c.ctx, c.url, c.o)
			if err == nil || errors.Is(err, ErrProbeURL) != c.bad {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A datagram longer than its slot, one of another interface, and a lying RTP header.
func TestIntake(t *testing.T) {
	w := newWatch("", ProbeOptions{})
	in := newIntake(w, 3)
	take := func(ifindex int, b []byte) {
		slot := make([]byte, slotSize)
		n := copy(slot, b)
		in.datagram(netx.Datagram{Len: len(b), Overflow: b[n:], IfIndex: ifindex, Dropped: 9}, slot, 0)
	}
	take(3, Clip()[:40*188])
	take(4, Clip()[:7*188])
	rtpHeader := []byte{0x80, 33, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}
	take(3, append(rtpHeader, Clip()[40*188:47*188]...))
	take(3, []byte{0x90, 33, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7}) // an extension that is not there
	take(3, append([]byte{0x80, 33, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7}, 1, 2, 3))
	in.finish()
	r := w.result()
	n := r.Network
	if n.Datagrams != 4 || n.Malformed != 1 || n.Unaligned != 1 || n.HostLost != 9 || r.Packets != 47 || n.RTP.Received != 2 || n.RTP.Lost != 1 {
		t.Errorf("%+v, RTP %+v, %d packets", *n, n.RTP, r.Packets)
	}
	checkText(t, r)
}
