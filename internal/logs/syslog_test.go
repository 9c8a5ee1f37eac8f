package logs

import (
	"bytes"
	"fmt"
	"log/slog"
	"log/syslog"
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
	s := newSyslog("unixgram", path, SyslogConfig{Ident: "gws", Facility: syslog.LOG_DAEMON}, log)
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
	s := newSyslog("unixgram", path, SyslogConfig{Ident: "gws", Facility: syslog.LOG_DAEMON}, New(&out, "gws", slog.LevelInfo))
	s.Say("one")
	s.Fail("two")
	s.Close()
	s.Say("after the end")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "cannot be reached") {
		t.Errorf("want one line, the log has\n%s", got)
	}
}

// The logger of NewSystem gives each line its severity and the facility of its configuration.
func TestSystem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	first := daemon(t, path)
	facility, err := ParseFacility("UUCP")
	if err != nil {
		t.Fatal(err)
	}
	level, err := ParseSeverity("info")
	if err != nil {
		t.Fatal(err)
	}
	var missed bytes.Buffer
	log, end := newSystem("unixgram", path, SyslogConfig{Ident: "gws", Facility: facility}, level, &missed)
	log.Debug("not severe enough")
	log.Info("info")
	Normal(log, "normal", File, "a b")
	log.Warn("warning")
	log.Error("error")
	log.Log(t.Context(), Crit, "critical")
	for _, want := range []string{"<70> info", `<69> normal file="a b"`, "<68> warning", "<67> error", "<66> critical"} { // uucp is 8
		if p, line := hear(t, first); p+" "+line != want {
			t.Errorf("%s %s, want %s", p, line, want)
		}
	}
	first.Close()
	log.Info("nobody hears")
	end()
	got := missed.String()
	if strings.Contains(got, "severe") || strings.Contains(got, "critical") || !strings.Contains(got, "cannot be reached") ||
		!strings.HasSuffix(got, fmt.Sprintf("\ngws[%d]: nobody hears\n", os.Getpid())) {
		t.Errorf("what does not arrive: %q", got)
	}
}

func TestParseFacilityAndSeverity(t *testing.T) {
	for name, want := range map[string]syslog.Priority{"kern": syslog.LOG_KERN, "Daemon": syslog.LOG_DAEMON, "UUCP": syslog.LOG_UUCP, "FTP": syslog.LOG_FTP, "LOCAL0": syslog.LOG_LOCAL0, "local7": syslog.LOG_LOCAL7} {
		if got, err := ParseFacility(name); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	for _, bad := range []string{"", "local8", "daemons"} {
		if p, err := ParseFacility(bad); err == nil {
			t.Errorf("%q is facility %d", bad, p)
		}
	}
	for name, want := range map[string]slog.Level{"debug": slog.LevelDebug, "INFO": slog.LevelInfo, "Notice": Norm, "ERR": slog.LevelError, "EMERG": Crit} {
		if got, err := ParseSeverity(name); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	if level, err := ParseSeverity("loud"); err == nil {
		t.Errorf("loud is %v", level)
	}
}
