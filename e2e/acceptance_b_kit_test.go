//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// house is a gws and engines as a user starts them by hand: who dies is not started again.
type house struct {
	*product
	gws *testkit.Proc
}

// newHouse starts a gws; config is what it and its engines read besides.
func newHouse(t *testing.T, config string) *house {
	t.Helper()
	dir := shortDir(t)
	h := &house{product: &product{
		t: t, dir: filepath.Join(dir, "run"), user: freePort(t), admin: freePort(t), web: http.DefaultClient,
		config: filepath.Join(dir, "sluice.yaml"),
	}}
	config = fmt.Sprintf("listen: %q\nadmin: %q\nrun_dir: %s\n", h.user, h.admin, h.dir) + config
	if err := os.WriteFile(h.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	h.startGWS()
	return h
}

// startGWS starts a gws and waits until it answers.
func (h *house) startGWS() {
	h.t.Helper()
	h.gws = h.module("gws")
	testkit.Eventually(h.t, func() error {
		_, err := h.tryStatus()
		return err
	})
}

// engine starts an engine and does not wait for it.
func (h *house) engine(id string) *testkit.Proc {
	h.t.Helper()
	return h.module("gng", "--id", id)
}

// engines starts engines 1 to n and waits until they are attached.
func (h *house) startEngines(n int) (all []*testkit.Proc) {
	h.t.Helper()
	for i := range n {
		all = append(all, h.engine(fmt.Sprint(i+1)))
	}
	h.attached(n)
	return all
}

// attached waits until so many engines are there.
func (h *house) attached(n int) {
	h.t.Helper()
	h.eventually(func(st report.Status) error {
		if len(st.Engines) != n {
			return fmt.Errorf("%d engines attached, want %d", len(st.Engines), n)
		}
		return nil
	})
}

// module starts gws or gng. If it lives at the end of the test it has to go in good order.
func (h *house) module(name string, args ...string) *testkit.Proc {
	h.t.Helper()
	p := testkit.Start(h.t, program(), append([]string{name, "-T", "-C", h.config}, args...)...)
	h.t.Cleanup(func() {
		if alive(p.PID()) {
			_ = syscall.Kill(p.PID(), syscall.SIGTERM) // it may end in this moment
		}
		_ = p.Wait()
		if line := alarming.FindString(p.Output()); line != "" {
			h.t.Errorf("%s said %q:\n%s", name, line, p.Output())
		}
	})
	return p
}

// killed kills a process as a crash does, and waits until it is gone.
func killed(t *testing.T, p *testkit.Proc) {
	t.Helper()
	p.Signal(syscall.SIGKILL)
	if err := p.Wait(); err == nil {
		t.Error("it was killed and ended in good order")
	}
}

// opened makes a channel of its own, which one client watches.
func (p *product) opened() (*feed, *taker) {
	p.t.Helper()
	f := newFeed(p.t, p)
	k := f.first(f.path())
	f.delivered(k)
	return f, k
}

// channelsOf is how many channels each engine has, the fewest first.
func channelsOf(st report.Status) (all []int) {
	for _, e := range st.Engines {
		all = append(all, len(e.Channels))
	}
	slices.Sort(all)
	return all
}

// sameChannel has a client ask for each path, and wants all of them to get a channel that is
// received once, from its beginning, byte for byte. The channel is not open yet.
func sameChannel(t *testing.T, f *feed, first string, paths ...string) {
	t.Helper()
	k := f.first(first)
	var streams []io.Reader
	for _, path := range paths {
		stream, err := body(f.p, path)
		if err != nil {
			t.Fatalf("GET %s: %v", path, err)
		}
		streams = append(streams, stream)
	}
	f.more(3)
	f.delivered(k)
	whole(k)
	for i, stream := range streams {
		if err := same(stream, f.sent); err != nil {
			t.Errorf("%s: %v", paths[i], err)
		}
	}
	st := f.p.status()
	c, _, err := channel(st, f.group)
	if err != nil || len(c.Clients) != 1+len(paths) {
		t.Errorf("%d clients of %s (%v), want %d", len(c.Clients), f.group, err, 1+len(paths))
	}
	received := 0
	for _, e := range st.Engines {
		for _, c := range e.Channels {
			if strings.HasSuffix(c.Tag, f.group) {
				received++
			}
		}
	}
	if m, b := members(t, f.group), bound(t, f.group); received != 1 || m != 1 || b != 1 {
		t.Errorf("%s: %d channels, %d memberships, %d sockets, want one of each", f.group, received, m, b)
	}
}

// fetched runs a program that writes a stream to its standard output, and returns the first
// n bytes.
func fetched(t *testing.T, n int, name string, args ...string) []byte {
	t.Helper()
	testkit.Need(t, name)
	cmd := exec.CommandContext(t.Context(), name, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	stream, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(stream, b)
	_ = cmd.Process.Kill() // a stream has no end of its own
	_ = cmd.Wait()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaint.String())
	}
	return b
}

// consecutive wants packets of the made-up channel that follow one another. Where they begin
// is open: the first client of a channel begins with it.
func consecutive(t *testing.T, b []byte) {
	t.Helper()
	first, ok := numberOf(b[:ts.PacketSize])
	if !ok {
		t.Fatalf("the first packet is none of the channel: %x", b[:ts.PacketSize])
	}
	var want []byte
	for n := first; len(want) < len(b); n++ {
		want = appendNumbered(want, n)
	}
	if err := equal(b, want[:len(b)]); err != nil {
		t.Error(err)
	}
}
