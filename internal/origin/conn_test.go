package origin

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// halting is a connection whose time is over again and again in the middle of a write, after at most step bytes.
type halting struct {
	net.Conn
	got   bytes.Buffer
	step  int
	halts int // so often; then it takes all
	lost  int // bytes that ReadFrom has read then and not taken
}

func (h *halting) SetWriteDeadline(time.Time) error { return nil }

func (h *halting) Write(p []byte) (int, error) {
	if h.halts == 0 {
		return h.got.Write(p)
	}
	h.halts--
	n, _ := h.got.Write(p[:min(h.step, len(p))])
	return n, os.ErrDeadlineExceeded
}

func (h *halting) ReadFrom(src io.Reader) (int64, error) {
	if h.halts == 0 {
		return h.got.ReadFrom(src)
	}
	h.halts--
	n, err := io.CopyN(&h.got, src, int64(h.step))
	if err == nil {
		_, err = io.CopyN(io.Discard, src, int64(h.lost))
	}
	return n, errors.Join(err, os.ErrDeadlineExceeded)
}

func newHalting(take time.Duration, h *halting) *conn {
	o := &Origin{crowd: newCrowd()}
	o.site.Store(&site{conf: Config{Take: take}})
	return &conn{Conn: h, gate: &gate{origin: o, local: true}}
}

// TestWritesGoOn: a write whose time is over goes on where it was when some of it was taken, and ends when nothing was.
func TestWritesGoOn(t *testing.T) {
	content := strings.Repeat("0123456789", 1000)
	file := filepath.Join(dir(t, map[string]string{"f": "before" + content + "behind"}), "f")
	sendFile := func(c *conn) (int64, error) {
		f, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		if _, err := f.Seek(6, io.SeekStart); err != nil {
			return 0, err
		}
		return io.CopyN(c, f, int64(len(content)))
	}
	for name, send := range map[string]func(c *conn) (int64, error){
		"write":  func(c *conn) (int64, error) { n, err := c.Write([]byte(content)); return int64(n), err },
		"file":   sendFile,
		"reader": func(c *conn) (int64, error) { return c.ReadFrom(strings.NewReader(content)) },
	} {
		h := &halting{step: 333, halts: 7, lost: 100}
		n, err := send(newHalting(time.Hour, h))
		if n != int64(len(content)) || err != nil || h.got.String() != content {
			t.Errorf("%s: %d bytes, %v, as they were: %v", name, n, err, h.got.String() == content)
		}
		h = &halting{step: 0, halts: 1}
		if n, err := send(newHalting(time.Hour, h)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: nothing was taken, and it went on: %d, %v", name, n, err)
		}
		h = &halting{step: 333, halts: 1}
		c := newHalting(time.Hour, h)
		if err := c.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := send(c); n != 333 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: beyond a deadline that was set: %d, %v", name, n, err)
		}
	}
}
