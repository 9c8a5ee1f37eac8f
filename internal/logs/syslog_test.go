package logs

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// daemon is a syslogd as far as its socket goes.
func daemon(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// hear returns the next line, without priority and time.
func hear(t *testing.T, c *net.UnixConn) (priority, line string) {
	t.Helper()
	b := make([]byte, 1024)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b[:n])
	_, rest, _ := strings.Cut(text, " gws[")
	_, line, _ = strings.Cut(rest, "]: ")
	return text[:strings.Index(text, ">")+1], strings.TrimSuffix(line, "\n")
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	first := daemon(t, path)
	var out bytes.Buffer
	log := New(&out, "gws", slog.LevelInfo)
	s := newSyslog("unixgram", path, "gws", log)
	both := s.Errors(log).With(Engine, "1")

	s.Say("started")
	if p, line := hear(t, first); p != "<29>" || line != "started" { // daemon.notice
		t.Errorf("%s %q", p, line)
	}
	both.Warn("not for the system")
	both.Error("it broke", Reason, "a b")
	if p, line := hear(t, first); p != "<27>" || line != `ERROR gws: it broke engine=1 reason="a b"` { // daemon.err
		t.Errorf("%s %q", p, line)
	}

	// syslogd is started anew.
	first.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := daemon(t, path)
	s.Say("still here")
	if _, line := hear(t, second); line != "still here" {
		t.Errorf("%q", line)
	}
	s.Close()
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "not for the system") || !strings.Contains(got, "it broke") {
		t.Errorf("the log has\n%s", got)
	}
}

func TestSyslogAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var out bytes.Buffer
	s := newSyslog("unixgram", path, "gws", New(&out, "gws", slog.LevelInfo))
	s.Say("one")
	s.Fail("two")
	s.Close()
	s.Say("after the end")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "cannot be reached") {
		t.Errorf("want one line, the log has\n%s", got)
	}
}
