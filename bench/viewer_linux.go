package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"
)

// manner is how a viewer of the soak behaves.
type manner uint8

const (
	staying  manner = iota // stays as long as the stream does
	zapping                // stays for 0.2 to 5 s
	resting                // reads for 5 s, rests for 12 to 15 s, reads on
	stalling               // asks, reads nothing for 45 s, leaves
)

const (
	zapLeast, zapMost   = 200 * time.Millisecond, 5 * time.Second
	slowReads           = 5 * time.Second
	restLeast, restMost = 12 * time.Second, 15 * time.Second // within the 20 s after which sluice closes
	stalledStays        = 45 * time.Second                   // beyond them
	starved             = 10 * time.Second                   // without a byte, from a source that is on
	afterRestart        = 10 * time.Second                   // in which the end of a stream is the source's doing
)

// book is what all viewers found. Everything that the sources do not explain is in it
// and, the first times, on standard error.
type book struct {
	mu       sync.Mutex // guards what follows
	findings findings
	joins    int64
	streams  int64 // joins that were answered with a stream
	ends     int64 // of streams, of refused joins and of silence, that a source's stop explains
	strange  int64 // other ends
	missing  map[place]bool
	told     int
}

// place is one datagram of one channel.
type place struct {
	channel  int
	datagram uint64
}

const (
	mostTold    = 20
	mostMissing = 100_000
)

// note is called for what no source explains.
func (b *book) note(channel int, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told++
	if b.told <= mostTold {
		fmt.Fprintf(os.Stderr, "unexplained: %s: %s\n", groupAddr(0, channel), text)
	}
}

// lose remembers the datagrams from that of packet first to that of packet last, as far
// as they were sent.
func (b *book) lose(channel int, first, last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for d := datagramOf(first); d <= datagramOf(last) && len(b.missing) < mostMissing; d++ {
		if f := fateOf(channel, d); f == fateSent || f == fateDoubled {
			b.missing[place{channel, d}] = true
		}
	}
}

// viewer is one client of the soak after the other, in its manner.
type viewer struct {
	id     int
	manner manner
	server netip.AddrPort
	log    *tail // of the server
	feed   *feed
	book   *book
	rand   *rand.Rand
}

// run views until ctx is done.
func (v *viewer) run(ctx context.Context) {
	for ctx.Err() == nil {
		channel := v.rand.IntN(len(v.feed.channels))
		err := v.stay(ctx, channel)
		if ctx.Err() != nil || errors.Is(err, errLeft) {
			continue
		}
		_ = pause(ctx, 500*time.Millisecond) // the loop looks at ctx; the server has logged its part by then
		v.judgeEnd(channel, err)
	}
}

// errLeft ends a stay that the viewer itself ended.
var errLeft = errors.New("the viewer left")

// judgeEnd books the end of a stay that the viewer did not want.
func (v *viewer) judgeEnd(channel int, err error) {
	within := afterRestart
	if v.manner == resting { // it learns of an end late
		within += restMost + starved
	}
	explained := v.feed.troubled(channel, within)
	v.book.mu.Lock()
	if explained {
		v.book.ends++
	} else {
		v.book.strange++
	}
	v.book.mu.Unlock()
	if explained {
		return
	}
	text := fmt.Sprintf("viewer %d: %v", v.id, err)
	var end *endError
	if errors.As(err, &end) {
		text += "\n" + v.log.about(end.viewer.String())
	}
	v.book.note(channel, text)
}

// endError is the end of a connection that the viewer did not want.
type endError struct {
	viewer net.Addr // the viewer's end, by which the server's log names it
	cause  error
}

func (e *endError) Error() string { return fmt.Sprintf("%v: %v", e.viewer, e.cause) }
func (e *endError) Unwrap() error { return e.cause }

// stay joins a channel and views it in the viewer's manner.
func (v *viewer) stay(ctx context.Context, channel int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", v.server.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	v.book.count(&v.book.joins)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path(0, channel), v.server); err != nil {
		return err
	}
	if v.manner == stalling {
		if err := pause(ctx, stalledStays); err != nil {
			return err
		}
		return errLeft
	}
	return ended(conn, v.view(ctx, conn, channel))
}

// ended names the connection that err ended.
func ended(conn net.Conn, err error) error {
	if errors.Is(err, errLeft) {
		return err
	}
	return &endError{conn.LocalAddr(), err}
}

// view reads the answer and checks all of the stream.
func (v *viewer) view(ctx context.Context, conn net.Conn, channel int) error {
	c := continuity{channel: channel, slow: v.manner == resting}
	c.strange = func(what string, first, last uint64) {
		v.book.note(channel, fmt.Sprintf("viewer %d: %s packets %d to %d", v.id, what, first, last))
		v.book.lose(channel, first, last)
	}
	if err := conn.SetReadDeadline(time.Now().Add(starved)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errAnswer, resp.Status)
	}
	v.book.count(&v.book.streams)
	return v.follow(ctx, conn, resp.Body, &c)
}

// follow reads the stream until the viewer leaves or it ends.
func (v *viewer) follow(ctx context.Context, conn net.Conn, body io.Reader, c *continuity) error {
	now := time.Now()
	leave := now.Add(v.between(zapLeast, zapMost))
	rest := now.Add(slowReads)
	for buf := make([]byte, 64<<10); ; {
		if v.manner == zapping && time.Now().After(leave) {
			return errLeft
		}
		if v.manner == resting && time.Now().After(rest) {
			if err := pause(ctx, v.between(restLeast, restMost)); err != nil {
				return err
			}
			rest = time.Now().Add(slowReads)
		}
		if err := conn.SetReadDeadline(time.Now().Add(starved)); err != nil {
			return err
		}
		n, err := body.Read(buf)
		c.take(buf[:n])
		v.book.take(&c.found)
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
	}
}

func (v *viewer) between(least, most time.Duration) time.Duration {
	return least + time.Duration(v.rand.Int64N(int64(most-least)))
}

func (b *book) count(n *int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n++
}

// take moves f into the book.
func (b *book) take(f *findings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.findings.add(*f)
	*f = findings{}
}
