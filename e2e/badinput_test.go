//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// datagrams sends what a test makes up to a group.
type datagrams struct {
	t    *testing.T
	conn *net.UDPConn
}

func openDatagrams(t *testing.T, group string) datagrams {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(group)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return datagrams{t, conn}
}

func (d datagrams) send(b []byte) {
	d.t.Helper()
	if _, err := d.conn.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

// testNoTransportStream sends noise in datagrams of every size there is. A client gets
// every byte of it, and a neighbour notices nothing.
func testNoTransportStream(t *testing.T) {
	p := run(t, settings{config: "no_data: 60s\n"})
	neighbour := newGroup()
	send(t, h264, "udp", neighbour)
	v := watch(t, p.url("/udp/"+neighbour))

	for _, size := range []int{1, 187, 1316, 9000, 65507} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			group := newGroup()
			noise := openDatagrams(t, group)
			noisy := watchWhileSending(t, p, group, func(i int) { noise.send(garbage(size, i)) })
			defer noisy.Close()
			// From here on the datagrams are numbered and none may be missing.
			var want []byte
			for i := range 40 {
				d := garbage(size, 1_000_000+i)
				noise.send(d)
				want = append(want, d...)
			}
			findAll(t, noisy, want)
		})
	}
	v.more(50_000)
	v.unbroken()
}

// garbage is a datagram that is neither TS nor RTP and differs from every other.
func garbage(size, number int) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(number), byte(number >> 8), byte(number >> 16), byte(size)})
	_, _ = rng.Read(b)
	b[0] = byte(number) & 0x3f // neither a sync byte nor RTP's version 2
	if size >= 8 {
		binary.BigEndian.PutUint32(b[4:], uint32(number))
	}
	return b
}

// watchWhileSending asks for a group and sends datagrams until there is an answer.
func watchWhileSending(t *testing.T, p *product, group string, sendOne func(int)) io.ReadCloser {
	t.Helper()
	type result struct {
		body io.ReadCloser
		err  error
	}
	got := make(chan result, 1)
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	t.Cleanup(cancel)
	go func() {
		resp, err := dial(ctx, p.url("/udp/"+group))
		if err == nil && resp.StatusCode != 200 {
			resp.Body.Close()
			err = fmt.Errorf("%s", resp.Status)
		}
		if err != nil {
			got <- result{nil, err}
			return
		}
		got <- result{resp.Body, nil}
	}()
	p.eventually(func(st report.Status) error {
		_, _, err := channel(st, group)
		return err
	})
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ; i++ {
		sendOne(i)
		select {
		case r := <-got:
			if r.err != nil {
				t.Fatal(r.err)
			}
			return r.body
		case <-pace.C:
		}
	}
}

// findAll reads the stream until it has met all of want, in one piece.
func findAll(t *testing.T, stream io.Reader, want []byte) {
	t.Helper()
	var got []byte
	buf := make([]byte, 64<<10)
	for !bytes.Contains(got, want) {
		n, err := stream.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			t.Fatalf("after %d bytes, of which %d were to be whole: %v", len(got), len(want), err)
		}
	}
}

func testSourceStops(t *testing.T) {
	p := run(t, settings{config: "no_data: 3s\n"})
	stops, goes := newGroup(), newGroup()
	sender := send(t, h264, "udp", stops)
	send(t, h264, "udp", goes)
	flows(t, stops)
	flows(t, goes)
	v, w := watch(t, p.url("/udp/"+stops)), watch(t, p.url("/udp/"+goes))
	moreOfAll(50_000, []*viewer{v, w})
	sender.Signal(syscall.SIGSTOP)
	if err := v.end(); err != io.EOF { //nolint:errorlint // a body ends with io.EOF itself
		t.Errorf("the stream ended with %v, want an orderly end", err)
	}
	v.unbroken()
	w.more(50_000)
	w.unbroken()
	p.proc.WaitLine(`no data`)

	sender.Signal(syscall.SIGCONT) // and is asked for again
	again := watch(t, p.url("/udp/"+stops))
	again.more(50_000)
	again.unbroken()
}

// testHandoffNonsense speaks to gws as an engine that has lost its mind.
func testHandoffNonsense(t *testing.T) {
	p := run(t, settings{})
	group := newGroup()
	send(t, h264, "udp", group)
	v := watch(t, p.url("/udp/"+group))
	v.more(10_000)
	for i, words := range [][]byte{
		{}, {0}, {0xff}, []byte("GET / HTTP/1.1\r\n\r\n"), bytes.Repeat([]byte{0xff}, 1000), make([]byte, 60_000),
	} {
		conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: filepath.Join(p.dir, "handoff.socket"), Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(words); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 64<<10)); err == nil && n > 0 {
			_, err = conn.Read(make([]byte, 64<<10)) // a Bye, and then the end
			if err == nil {
				t.Errorf("nonsense %d was listened to", i)
			}
		}
		conn.Close()
	}
	v.more(50_000)
	v.unbroken()
	w := watch(t, p.url("/udp/"+group))
	w.more(10_000)
	w.unbroken()
	if st := p.status(); len(st.Engines) != 1 || st.Engines[0].Error != "" {
		t.Errorf("engines after the nonsense: %+v", st.Engines)
	}
}
