//go:build e2e && linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testThousandReaders: a thousand read what one uploads, each piece before the next one is sent, and nothing of them stays. How
// long the writer waits for them bench-origin tells.
func testThousandReaders(t *testing.T) {
	const readers, pieces, path = 1000, 20, "/live/seg-1.m4s"
	dir := t.TempDir()
	o := &originRun{t: t, dir: shortDir(t), addr: freePort(t), admin: freePort(t), web: originClient}
	o.url = "http://" + o.addr
	o.proc = testkit.Start(t, program(), "origin", "--listen", o.addr, "--admin", o.admin, "--run-dir", o.dir, "--maxc", "0", "--maxp", "0", "--wdir", dir, dir)
	o.proc.WaitLine(`msg=ready role=origin`)

	u := o.beginSeen(path, "first")
	has := make([]sync.WaitGroup, pieces)
	errs := make(chan error, readers)
	for i := range has {
		has[i].Add(readers)
	}
	for range readers {
		go func() { errs <- o.readPieces(path, "first", has) }()
	}
	o.eventually(func(st report.Origin) error {
		if st.Active != readers+1 {
			return fmt.Errorf("%d requests are being answered, want those of the readers and the writer's", st.Active)
		}
		return nil
	})
	for i := range has {
		u.says(string(crowdPiece(i)))
		has[i].Wait() // the writer is not at its end
	}
	u.ends(http.StatusCreated)
	for range readers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	originClient.CloseIdleConnections()
	o.eventually(func(st report.Origin) error {
		if st.Active != 0 || st.Connections != 0 {
			return fmt.Errorf("%d requests and %d connections are left", st.Active, st.Connections)
		}
		return nil
	})
	o.nobodyServes()
}

// crowdPiece is what is sent in one go.
func crowdPiece(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 2000+i) }

// readPieces reads an upload to its end; each of the wait groups is told when that piece has come, or will not.
func (o *originRun) readPieces(path, first string, has []sync.WaitGroup) error {
	next := 0
	defer func() {
		for i := next; i < len(has); i++ {
			has[i].Done()
		}
	}()
	resp, err := o.web.Get(o.url + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for ; next < len(has); next++ {
		want := crowdPiece(next)
		if next == 0 {
			want = append([]byte(first), want...)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil {
			return fmt.Errorf("piece %d: %w", next, err)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("piece %d: it is not as it was sent", next)
		}
		has[next].Done()
	}
	rest, err := io.ReadAll(resp.Body)
	if err == nil && len(rest) > 0 {
		err = errors.New("more than was sent")
	}
	return err
}

var goroutineBegin = regexp.MustCompile(`(?m)^goroutine \d+ `)

// nobodyServes ends the program with a list of its goroutines, none of which may serve a client.
func (o *originRun) nobodyServes() {
	o.t.Helper()
	o.proc.Signal(syscall.SIGABRT)
	if err := o.proc.Wait(); err == nil {
		o.t.Error("ABRT has ended it in good order")
	}
	said := o.proc.Output()
	if n := len(goroutineBegin.FindAllString(said, -1)); n < 2 {
		o.t.Fatalf("a list of %d goroutines", n)
	}
	for _, serves := range []string{"sluice/internal/origin.(*visit)", "sluice/internal/serve", "sluice/internal/receive", "sluice/internal/object"} {
		if n := strings.Count(said, serves); n > 0 {
			o.t.Errorf("%d goroutines are left in %s", n, serves)
		}
	}
}
