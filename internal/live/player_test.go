package live

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// TestSink is acceptance 44: a stream, as it comes, with the type of the channel; a range means nothing.
func TestSink(t *testing.T) {
	testkit.NoLeaks(t)
	st := newStation("video/mp2t")
	p := NewPlayer(Sink{Channel: "$news"}, st, testkit.Patience, discard)
	s := serve(t, p)
	for name, c := range clients(t) {
		t.Run(name, func(t *testing.T) {
			pieces := [][]byte{random(1316), random(200_000), random(1)}
			done := make(chan *viewer)
			go func() {
				v := <-st.viewers
				v.write(t, pieces[0])
				done <- v
			}()
			answer := get(t, c, http.MethodGet, s.URL+"/live.ts", "Range", "bytes=0-3", "User-Agent", "a player")
			v := await(t, done)
			h := answer.Header
			if answer.StatusCode != 200 || h.Get("Content-Type") != "video/mp2t" || h.Get("Cache-Control") != "no-cache, no-store" || answer.ContentLength != -1 {
				t.Errorf("%d %v", answer.StatusCode, h)
			}
			if answer.ProtoMajor == 1 && (len(answer.TransferEncoding) != 1 || answer.TransferEncoding[0] != "chunked") {
				t.Errorf("Transfer-Encoding %v", answer.TransferEncoding)
			}
			if v.Channel != "$news" || !strings.HasPrefix(v.Client, "127.0.0.1:") || v.Agent != "a player" {
				t.Errorf("%+v", v.Query)
			}
			read(t, answer.Body, pieces[0])
			watched(t, p, 1)
			for _, piece := range pieces[1:] {
				go v.write(t, piece)
				read(t, answer.Body, piece)
			}
			v.Close()
			if rest, err := io.ReadAll(answer.Body); len(rest) > 0 || err != nil {
				t.Errorf("%d bytes, %v behind the end", len(rest), err)
			}
			watched(t, p, 0)
		})
	}
}

// TestOldClient: HTTP/1.0 has no chunks; the stream ends with the connection.
func TestOldClient(t *testing.T) {
	testkit.NoLeaks(t)
	st := newStation("audio/mpeg")
	s := serve(t, NewPlayer(Sink{}, st, 0, discard))
	c := dial(t, s, "GET /radio HTTP/1.0\r\n\r\n")
	v := st.next(t)
	body := random(5000)
	v.write(t, body)
	v.Close()
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	if !bytes.HasPrefix(head, []byte("HTTP/1.0 200")) || bytes.Contains(head, []byte("chunked")) || !bytes.Equal(rest, body) {
		t.Errorf("%q and %d bytes", head, len(rest))
	}
}

// TestHead: the head is that of a GET. The channel is asked only where nothing is known of it.
func TestHead(t *testing.T) {
	testkit.NoLeaks(t)
	for _, c := range []struct {
		name string
		sink Sink
		asks int
		want string
	}{
		{"the type is configured", Sink{Type: "video/mp4"}, 0, "video/mp4"},
		{"it is the channel's", Sink{}, 1, "video/mp2t"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation("video/mp2t")
			s := serve(t, NewPlayer(c.sink, st, 0, discard))
			for range 3 {
				answer := get(t, client1(t), http.MethodHead, s.URL+"/live.ts")
				if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != c.want || answer.Header.Get("Cache-Control") != "no-cache, no-store" {
					t.Errorf("%d %v", answer.StatusCode, answer.Header)
				}
			}
			if n := len(st.viewers); n != c.asks {
				t.Errorf("the channel was asked %d times, want %d", n, c.asks)
			}
			for range c.asks {
				if _, err := st.next(t).Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the channel goes on: %v", err)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	testkit.NoLeaks(t)
	for _, c := range []struct {
		name   string
		err    error
		status int
		retry  string
		text   string
	}{
		{"no such channel", &Unavailable{Status: 404, Reason: "there is no channel $no"}, 404, "", "there is no channel $no"},
		{"full", &Unavailable{Status: 503, Reason: "this server is full", Retry: "5"}, 503, "5", "this server is full"},
		{"nobody is there", errors.New("dial /run/secret.sock: refused"), 502, "", "cannot be had"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation("")
			st.refusal = c.err
			s := serve(t, NewPlayer(Sink{}, st, 0, discard))
			answer := get(t, client1(t), http.MethodGet, s.URL+"/live.ts")
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != c.status || answer.Header.Get("Retry-After") != c.retry || !strings.Contains(string(body), c.text) {
				t.Errorf("%d %v %q %v", answer.StatusCode, answer.Header, body, err)
			}
			if strings.Contains(string(body), "secret") {
				t.Errorf("what is wrong inside is told: %q", body)
			}
		})
	}
	s := serve(t, NewPlayer(Sink{}, newStation(""), 0, discard))
	if got := status(t, client1(t), http.MethodPut, s.URL+"/live.ts"); got != 405 {
		t.Errorf("PUT is answered with %d", got)
	}
}

// TestEnd is acceptance 47: a stream that has ended ends the answer in order; what comes then depends on the channel.
func TestEnd(t *testing.T) {
	testkit.NoLeaks(t)
	for _, c := range []struct {
		name string
		sink Sink
		then int
	}{
		{"a live channel", Sink{}, 200},
		{"one that has an end", Sink{Ends: true}, 404},
		{"one that begins anew", Sink{Ends: true, Reopen: true}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := newStation("video/mp2t")
			p := NewPlayer(c.sink, st, 0, discard)
			s := serve(t, p)
			conn := dial(t, s, "GET /film.ts HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			v := st.next(t)
			v.write(t, []byte("the end"))
			v.Close()
			if all, err := io.ReadAll(conn); err != nil || !bytes.HasSuffix(all, []byte("the end\r\n0\r\n\r\n")) {
				t.Errorf("%q %v", all, err)
			}
			if over := p.Over(); over != (c.then == 404) {
				t.Errorf("over: %v", over)
			}
			go func() {
				if c.then == 200 {
					(<-st.viewers).Close()
				}
			}()
			answer := get(t, client1(t), http.MethodGet, s.URL+"/film.ts")
			body, err := io.ReadAll(answer.Body)
			if answer.StatusCode != c.then || err != nil || strings.Contains(string(body), "/film.ts is no longer available") != (c.then == 404) {
				t.Errorf("%d %q %v", answer.StatusCode, body, err)
			}
		})
	}
}

// TestBroken: a channel that breaks off breaks the answer; it never looks whole, and may come again.
func TestBroken(t *testing.T) {
	testkit.NoLeaks(t)
	for name, buffer := range map[string]int64{"straight": 0, "with a backlog": 100_000} {
		for proto, c := range clients(t) {
			t.Run(name+" "+proto, func(t *testing.T) {
				st, log := newStation("video/mp2t"), new(diary)
				p := NewPlayer(Sink{Channel: "$news", Ends: true, Buffer: buffer}, st, 0, log.log())
				s := serve(t, p)
				go func() {
					v := <-st.viewers
					v.write(t, []byte("so far"))
					v.breakOff(errStorm)
				}()
				answer := get(t, c, http.MethodGet, s.URL+"/live.ts")
				if got, err := io.ReadAll(answer.Body); string(got) != "so far" || err == nil {
					t.Errorf("%q %v", got, err)
				}
				log.await(t, errStorm.Error())
				if p.Over() {
					t.Error("it counts as ended")
				}
			})
		}
	}
}

// TestLeaves: a client that leaves a silent channel is gone from it.
func TestLeaves(t *testing.T) {
	testkit.NoLeaks(t)
	for name, sink := range map[string]Sink{"straight": {}, "with a backlog": {Buffer: 1000}, "while its frames are awaited": {ICE: true}} {
		t.Run(name, func(t *testing.T) {
			st := newStation("video/mp2t")
			p := NewPlayer(sink, st, 0, discard)
			s := serve(t, p)
			c := dial(t, s, "GET /live.ts HTTP/1.1\r\nHost: h\r\n\r\n")
			v := st.next(t)
			v.write(t, []byte("x"))
			c.Close()
			for {
				if _, err := v.Write(nil); errors.Is(err, io.ErrClosedPipe) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			watched(t, p, 0)
		})
	}
}
