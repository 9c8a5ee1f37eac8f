//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/testkit"
)

// viewer is a client that checks every packet it gets.
type viewer struct {
	t      *testing.T
	name   string
	cancel context.CancelFunc
	done   chan struct{} // the stream has ended
	news   chan struct{} // capacity 1: something has arrived
	keep   int

	mu       sync.Mutex // guards the fields below
	bytes    int64
	framed   int64  // of them, in whole packets
	head     []byte // the first keep bytes
	framer   ts.Framer
	tracker  ts.Tracker
	firstAt  int64 // offset of the first point where a decoder can start; -1 = none yet
	firstHow ts.StartKind
	err      error
}

// dial asks for a stream and returns the answer's head; t.Fatal when there is none.
func dial(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	return transport.RoundTrip(req)
}

// watch starts a viewer; it returns when the stream has been answered with 200.
func watch(t *testing.T, url string) *viewer {
	t.Helper()
	v, err := tryWatch(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// watchMany starts n viewers of one URL at the same time.
func watchMany(t *testing.T, url string, n int) []*viewer {
	t.Helper()
	list := make([]*viewer, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() { list[i], errs[i] = tryWatch(t, url) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return list
}

// asked is a request that waits for its answer.
type asked struct {
	t    *testing.T
	done chan struct{}
	v    *viewer // after done
	err  error   // after done
}

// ask is watch for an answer that comes later.
func ask(t *testing.T, url string) *asked {
	a := &asked{t: t, done: make(chan struct{})}
	go a.wait(url)
	return a
}

func (a *asked) wait(url string) {
	defer close(a.done)
	a.v, a.err = tryWatch(a.t, url)
}

// unanswered fails the test if there has been an answer.
func (a *asked) unanswered() {
	a.t.Helper()
	select {
	case <-a.done:
		a.t.Fatalf("answered too early: %v", a.err)
	default:
	}
}

// answered waits for the answer.
func (a *asked) answered() *viewer {
	a.t.Helper()
	<-a.done
	if a.err != nil {
		a.t.Fatal(a.err)
	}
	return a.v
}

func tryWatch(t *testing.T, url string) (*viewer, error) { return tryKeep(t, url, 64<<10) }

// tryKeep is tryWatch for a viewer that keeps so many bytes of what comes first.
func tryKeep(t *testing.T, url string, keep int) (*viewer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	late := time.AfterFunc(testkit.Patience, cancel)
	resp, err := dial(ctx, url)
	if !late.Stop() || err != nil {
		cancel()
		return nil, fmt.Errorf("GET %s: %w", url, cmp.Or(err, context.DeadlineExceeded))
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		cancel()
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	v := &viewer{
		t: t, name: url, cancel: cancel, keep: keep, firstAt: -1,
		tracker: ts.Tracker{CheckHealth: true},
		done:    make(chan struct{}), news: make(chan struct{}, 1),
	}
	go v.read(resp.Body)
	t.Cleanup(v.close)
	return v, nil
}

// read takes the stream until it ends; it runs from tryWatch to close.
func (v *viewer) read(body io.ReadCloser) {
	defer close(v.done)
	defer body.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		v.take(buf[:n], err)
		select {
		case v.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (v *viewer) take(b []byte, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.head = append(v.head, b[:min(len(b), v.keep-len(v.head))]...)
	packets := v.framer.Append(nil, b)
	for _, s := range v.tracker.Scan(packets, v.framed) {
		if v.firstAt < 0 {
			v.firstAt, v.firstHow = s.Offset, s.Kind
		}
	}
	v.framed += int64(len(packets))
	v.bytes += int64(len(b))
	v.err = err
}

// more waits for n more bytes.
func (v *viewer) more(n int64) {
	v.t.Helper()
	v.until(v.received() + n)
}

// until waits until the viewer has received n bytes in all.
func (v *viewer) until(n int64) {
	v.t.Helper()
	v.wait(fmt.Sprintf("%d bytes", n), func() bool { return v.received() >= n })
}

// untilStart waits until a place has come where a decoder can start: from then on the
// channel has one for whoever joins.
func (v *viewer) untilStart() {
	v.t.Helper()
	v.wait("a place to start", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.firstAt >= 0
	})
}

// wait waits until something that arrives has made it true.
func (v *viewer) wait(what string, itIs func() bool) {
	v.t.Helper()
	limit := time.NewTimer(testkit.Patience)
	defer limit.Stop()
	for !itIs() {
		select {
		case <-v.news:
		case <-v.done:
			if !itIs() {
				v.t.Fatalf("%s ended after %d bytes (%v); waited for %s", v.name, v.received(), v.end(), what)
			}
		case <-limit.C:
			v.t.Fatalf("%s: %d bytes after %v; waited for %s", v.name, v.received(), testkit.Patience, what)
		}
	}
}

func (v *viewer) received() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bytes
}

// end waits for the end of the stream and returns why: io.EOF is an orderly one.
func (v *viewer) end() error {
	v.t.Helper()
	limit := time.NewTimer(testkit.Patience)
	defer limit.Stop()
	select {
	case <-v.done:
	case <-limit.C:
		v.t.Fatalf("%s has not ended after %v", v.name, testkit.Patience)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

// unbroken checks what has arrived so far: whole packets from the first byte on, and no
// gap in any PID.
func (v *viewer) unbroken() {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.bytes == 0 {
		v.t.Errorf("%s: nothing arrived", v.name)
	}
	if n := v.framer.Skipped(); n != 0 {
		v.t.Errorf("%s: %d bytes outside the packets", v.name, n)
	}
	if n := v.tracker.Stats().Continuity; n != 0 {
		v.t.Errorf("%s: %d continuity errors in %d bytes", v.name, n, v.bytes)
	}
}

// close ends the viewer and waits for it.
func (v *viewer) close() {
	v.cancel()
	<-v.done
}

// codecs are those of the elementary streams seen.
func (v *viewer) codecs() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []string
	for _, s := range v.tracker.Streams() {
		list = append(list, s.Codec)
	}
	return list
}

func moreOfAll(n int64, lists ...[]*viewer) {
	for _, list := range lists {
		want := make([]int64, len(list))
		for i, v := range list {
			want[i] = v.received() + n
		}
		for i, v := range list {
			v.t.Helper()
			v.until(want[i])
		}
	}
}

func allUnbroken(list []*viewer) {
	for _, v := range list {
		v.t.Helper()
		v.unbroken()
	}
}
