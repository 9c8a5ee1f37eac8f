package gws

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// secure is a door over TLS, with a certificate made for it.
func secure(t *testing.T) Door {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return Door{TLS: &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}}
}

// browser is a client of a secure house: over HTTP/2 or, with http1, over HTTP/1.1.
func browser(t *testing.T, d Door, http1 bool) *http.Client {
	t.Helper()
	cert, err := x509.ParseCertificate(d.TLS.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Protocols: new(http.Protocols), DisableCompression: true}
	tr.Protocols.SetHTTP1(http1)
	tr.Protocols.SetHTTP2(!http1)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// overTLS runs a test with HTTP/1.1 and with HTTP/2.
func overTLS(t *testing.T, c Config, test func(t *testing.T, h *house, client *http.Client)) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(version, func(t *testing.T) {
			testkit.NoLeaks(t)
			doors := []Door{secure(t)}
			h := openBy(t, c, doors)
			client := browser(t, doors[0], version == "HTTP/1.1")
			test(t, h, client)
			client.CloseIdleConnections()
			h.stop()
		})
	}
}

// fetch asks for a group by method and waits for the head of the answer.
func (h *house) fetch(client *http.Client, method, path string) <-chan *http.Response {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "https://"+h.addr+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do(client, r)
}

func (h *house) do(client *http.Client, r *http.Request) <-chan *http.Response {
	answer := make(chan *http.Response, 1)
	go func() {
		defer close(answer)
		resp, err := client.Do(r)
		if err != nil {
			h.t.Errorf("%s: %v", r.URL, err)
			return
		}
		answer <- resp
	}()
	return answer
}

// body is an answer to its end.
func (h *house) body(answer <-chan *http.Response) (*http.Response, string) {
	h.t.Helper()
	r, ok := <-answer
	if !ok {
		h.t.FailNow()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Fatalf("after %d bytes: %v", len(b), err)
	}
	return r, string(b)
}

// begin takes a client that is pumped, and writes its first bytes.
func (e *peer) begin(first string) *os.File {
	e.t.Helper()
	a, f := e.attach()
	if len(a.Head) > 0 {
		e.t.Errorf("the engine is to write the head %q", a.Head)
	}
	e.write(f, first)
	e.send(handoff.Started{ID: a.ID})
	return f
}

// flood writes to f until that fails.
func flood(f *os.File) error {
	b := make([]byte, 32<<10)
	for {
		if _, err := f.Write(b); err != nil {
			return err
		}
	}
}

// ended waits for the end of what an engine got, and reports whether gws has closed its own.
func ended(f *os.File) bool {
	_, err := f.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) // some of it was not read
}

const path1 = "/udp/239.1.1.1:5000?token=secret"

// TestAcceptance125: a stream over TLS is that of the engine, byte by byte, and is announced as
// one over a plain connection.
func TestAcceptance125(t *testing.T) {
	overTLS(t, Config{}, func(t *testing.T, h *house, client *http.Client) {
		e := h.engine("1")
		want := make([]byte, 3<<20+1)
		if _, err := rand.Read(want); err != nil {
			t.Fatal(err)
		}
		answer := h.fetch(client, "GET", path1)
		f := e.begin(string(want[:188]))
		h.log.wait("client started")
		go func() { // the pair is small
			if _, err := f.Write(want[188:]); err != nil {
				t.Error(err)
			}
			f.Close()
		}()
		r, got := h.body(answer)
		if !bytes.Equal([]byte(got), want) {
			t.Errorf("%d bytes of %d, or others", len(got), len(want))
		}
		if r.StatusCode != 200 || r.ContentLength != -1 || r.TransferEncoding != nil || r.Header.Get("Content-Type") != "video/mp2t" {
			t.Errorf("%d, %d bytes, %v, %v", r.StatusCode, r.ContentLength, r.TransferEncoding, r.Header)
		}
		if want := r.ProtoMajor == 1; r.Close != want {
			t.Errorf("the connection is closed: %v, want %v", r.Close, want)
		}
		r, got = h.body(h.fetch(client, "HEAD", path1))
		if r.StatusCode != 200 || got != "" || r.Header.Get("Content-Type") != "video/mp2t" {
			t.Errorf("HEAD: %d, %q, %v", r.StatusCode, got, r.Header)
		}
	})
}

// TestAcceptance127: who speaks HTTP/1.0 is answered so, over TLS, too.
func TestAcceptance127(t *testing.T) {
	doors := []Door{secure(t)}
	h := openBy(t, Config{}, doors)
	e := h.engine("1")
	c, err := tls.Dial("tcp", h.addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it was made by this test
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /udp/239.1.1.1:5000 HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	e.begin("stream").Close()
	if got := h.all(c); !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nstream") || strings.Contains(got, "Transfer-Encoding") {
		t.Errorf("the client got %q", got)
	}
}

func TestPumpIsRefused(t *testing.T) {
	overTLS(t, Config{}, func(t *testing.T, h *house, client *http.Client) {
		if r, body := h.body(h.fetch(client, "GET", path1)); r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" {
			t.Errorf("without an engine: %d, %q", r.StatusCode, body)
		}
		e := h.engine("1")
		answer := h.fetch(client, "GET", path1)
		a, f := e.attach()
		f.Close()
		e.send(handoff.Refused{ID: a.ID, Code: 504, Reason: "no data"})
		if r, body := h.body(answer); r.StatusCode != 504 || body != "504 Gateway Timeout: no data\n" {
			t.Errorf("%d, %q", r.StatusCode, body)
		}
	})
}

// TestPumpedEngineDies: what an engine has written before it answered does not reach the
// client; the next one is asked, each once.
func TestPumpedEngineDies(t *testing.T) {
	overTLS(t, Config{}, func(t *testing.T, h *house, client *http.Client) {
		first := h.engine("1", report.Channel{Tag: tag})
		second := h.engine("2")
		answer := h.fetch(client, "GET", path1)
		_, f := first.attach()
		first.write(f, "of the first")
		first.die(f)
		second.begin("of the second").Close()
		if r, body := h.body(answer); r.StatusCode != 200 || body != "of the second" {
			t.Errorf("%d, %q", r.StatusCode, body)
		}
		answer = h.fetch(client, "GET", path1)
		_, f = second.attach()
		second.die(f)
		if r, body := h.body(answer); r.StatusCode != 503 {
			t.Errorf("without any engine that is left: %d, %q", r.StatusCode, body)
		}
	})
}

// TestPumpedEngineFails: an engine that may be alive is not followed by another, and its
// client is told.
func TestPumpedEngineFails(t *testing.T) {
	overTLS(t, Config{AnswerTimeout: time.Second, Lineup: lineupOf(t, func(s *lineup.Settings) { s.NoData = time.Millisecond })}, func(t *testing.T, h *house, client *http.Client) {
		e := h.engine("1")
		answer := h.fetch(client, "GET", path1)
		_, f := e.attach()
		if r, body := h.body(answer); r.StatusCode != 504 {
			t.Errorf("an engine that does not answer: %d, %q", r.StatusCode, body)
		}
		if err := flood(f); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("it may still write: %v", err)
		}
		h.log.wait("engine lost")
		e = h.engine("1")
		answer = h.fetch(client, "GET", path1)
		e.attach()
		if _, err := e.sock.Write([]byte("nonsense")); err != nil {
			t.Fatal(err)
		}
		if r, body := h.body(answer); r.StatusCode != 503 {
			t.Errorf("an engine that talks nonsense: %d, %q", r.StatusCode, body)
		}
	})
}

// TestPumpedClientLeaves: the engine sees that at once, also when nothing flows.
func TestPumpedClientLeaves(t *testing.T) {
	overTLS(t, Config{}, func(t *testing.T, h *house, client *http.Client) {
		e := h.engine("1")
		for _, waits := range []bool{true, false} {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, "GET", "https://"+h.addr+path1, nil)
			if err != nil {
				t.Fatal(err)
			}
			left := make(chan struct{})
			go func() {
				defer close(left)
				if resp, err := client.Do(r); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}()
			a, f := e.attach()
			if !waits {
				e.write(f, "first")
				e.send(handoff.Started{ID: a.ID})
				h.log.wait("client started")
			}
			leave()
			if !ended(f) {
				t.Errorf("waits %v: the engine does not see it", waits)
			}
			f.Close()
			if waits {
				e.send(handoff.Refused{ID: a.ID, Code: 503, Reason: "the client has left"})
			}
			<-left
		}
	})
}

// TestPumpedClientStalls: who takes nothing is ended, and its engine sees it.
func TestPumpedClientStalls(t *testing.T) {
	overTLS(t, Config{Stall: 500 * time.Millisecond}, func(t *testing.T, h *house, client *http.Client) {
		e := h.engine("1")
		answer := h.fetch(client, "GET", path1)
		f := e.begin("first")
		r := <-answer
		if err := flood(f); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the engine sees %v", err)
		}
		h.log.wait("client cut off", "it took nothing for 500ms")
		f.Close()
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("the client takes that for the end of the stream")
		}
		r.Body.Close()
	})
}

// TestStreamsOfOneConnection: a stream of HTTP/2 that is not read is ended, and the other
// one of its connection goes on.
func TestStreamsOfOneConnection(t *testing.T) {
	testkit.NoLeaks(t)
	doors := []Door{secure(t)}
	h := openBy(t, Config{Stall: 2 * time.Second}, doors)
	client := browser(t, doors[0], false)
	e := h.engine("1")
	answer := h.fetch(client, "GET", path1)
	stalled := e.begin("stalled")
	unread := <-answer
	defer unread.Body.Close()

	reused := make(chan bool, 1)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused <- i.Reused }})
	r, err := http.NewRequestWithContext(ctx, "GET", "https://"+h.addr+"/udp/239.1.1.1:5001", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer = h.do(client, r)
	f := e.begin(strings.Repeat("b", 16<<10))
	if !<-reused {
		t.Fatal("each stream has a connection of its own")
	}
	stuck := make(chan error, 1)
	go func() { stuck <- flood(stalled) }()
	resp := <-answer
	defer resp.Body.Close()
	there, block := make([]byte, 16<<10), make([]byte, 16<<10)
	pass := func() {
		t.Helper()
		if _, err := io.ReadFull(resp.Body, there); err != nil {
			t.Fatal(err)
		}
		e.write(f, string(block))
	}
	for range 200 { // while the other one fills its window, and is stuck
		pass()
	}
	if err := <-stuck; !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the engine sees %v", err)
	}
	stalled.Close()
	pass()
	f.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the one that was read ends with %v", err)
	}
	client.CloseIdleConnections()
	h.stop()
}

// TestPumpsEndWithRun: gws writes them, so they cannot outlive it; who waits is told.
func TestPumpsEndWithRun(t *testing.T) {
	overTLS(t, Config{}, func(t *testing.T, h *house, client *http.Client) {
		e := h.engine("1")
		running := h.fetch(client, "GET", path1)
		f := e.begin("first")
		r := <-running
		waiting := h.fetch(client, "GET", path1)
		_, g := e.attach()
		h.stop()
		for _, end := range []*os.File{f, g} {
			if !ended(end) {
				t.Error("the engine does not see it")
			}
		}
		if b, err := io.ReadAll(r.Body); string(b) != "first" || err != nil {
			t.Errorf("who ran got %q, %v", b, err)
		}
		r.Body.Close()
		if r, body := h.body(waiting); r.StatusCode != 503 {
			t.Errorf("who waited got %d, %q", r.StatusCode, body)
		}
	})
}
