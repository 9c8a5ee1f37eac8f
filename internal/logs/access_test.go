package logs

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAppendEntry(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 3, 4, 0, time.FixedZone("", 3600))
	for _, c := range []struct {
		e    AccessEntry
		want string
	}{
		{
			AccessEntry{Time: at, Event: ChannelUp, Channel: "UDP://239.1.1.1:5000", Engine: "1"},
			`- - - [01/Mar/2026:12:03:04 +0100] "-" - - "-" "-" event=channel_open listener="-" channel="UDP://239.1.1.1:5000" client="-" engine="1" duration=0.000 reason="-"`,
		},
		{
			AccessEntry{
				Time: at, Event: ClientDeny, Peer: "192.0.2.7", User: "a b", Request: "GET /udp/x?- HTTP/1.1", Status: 403,
				Referer: "http://x/\"\r\n", UserAgent: `\" forged`, Listener: "bb1", Reason: "täter",
			},
			`192.0.2.7 - a\x20b [01/Mar/2026:12:03:04 +0100] "GET /udp/x?- HTTP/1.1" 403 - "http://x/\"\x0d\x0a" "\\\" forged"` +
				` event=client_deny listener="bb1" channel="-" client="-" engine="-" duration=0.000 reason="t\xc3\xa4ter"`,
		},
	} {
		if got := string(appendEntry(nil, c.e)); got != c.want+"\n" {
			t.Errorf("got  %swant %s", got, c.want)
		}
	}
}

// entryLine is a line of the access log as docs/access-log.md describes it, and what a
// program would use to read one.
var entryLine = regexp.MustCompile(`^(\S+) - (\S+) (\[[^]]+\]) ("(?:[^"\\]|\\.)*") (\d+|-) (\d+|-) ("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")` +
	` event=(\S+) listener=("(?:[^"\\]|\\.)*") channel=("(?:[^"\\]|\\.)*") client=("(?:[^"\\]|\\.)*") engine=("(?:[^"\\]|\\.)*")` +
	` duration=(\d+\.\d{3}) reason=("(?:[^"\\]|\\.)*")\n$`)

// parseEntry is the reverse of appendEntry.
func parseEntry(t *testing.T, line string) AccessEntry {
	t.Helper()
	m := entryLine.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("not a line of the access log: %q", line)
	}
	word := func(s string) string { return plain(t, `"`+s+`"`) }
	at, err := time.Parse(apacheTime, m[3])
	if err != nil {
		t.Fatal(err)
	}
	status, _ := strconv.Atoi(m[5])
	size, _ := strconv.ParseUint(m[6], 10, 64)
	seconds, err := time.ParseDuration(m[14] + "s")
	if err != nil {
		t.Fatal(err)
	}
	return AccessEntry{
		Time: at, Event: word(m[9]), Peer: word(m[1]), User: word(m[2]), Request: plain(t, m[4]), Status: status, Bytes: size,
		Referer: plain(t, m[7]), UserAgent: plain(t, m[8]), Listener: plain(t, m[10]), Channel: plain(t, m[11]),
		Client: plain(t, m[12]), Engine: plain(t, m[13]), Duration: seconds, Reason: plain(t, m[15]),
	}
}

func plain(t *testing.T, quoted string) string {
	t.Helper()
	s, err := strconv.Unquote(quoted)
	if err != nil {
		t.Fatalf("%s: %v", quoted, err)
	}
	if s == "-" {
		return ""
	}
	return s
}

// The example in the manual is what is written.
func TestManualOfTheAccessLog(t *testing.T) {
	text, err := os.ReadFile("../../docs/access-log.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "    ") || !strings.Contains(line, " event=") {
			continue
		}
		line = strings.TrimPrefix(line, "    ")
		if got := string(appendEntry(nil, parseEntry(t, line))); got != line {
			t.Errorf("the manual has\n%swritten is\n%s", line, got)
		}
		n++
	}
	if n < 5 {
		t.Errorf("the manual shows %d lines, want one of each event", n)
	}
}

// FuzzEntry: whatever clients say, a line stays a line, and its fields stay fields.
func FuzzEntry(f *testing.F) {
	f.Add("192.0.2.7", "GET / HTTP/1.1", "a\nb", `x" event=client_open`, "\\", uint64(7))
	f.Add("-", "-", "\x00\xff", "\u2028", `\"`, uint64(0))
	f.Fuzz(func(t *testing.T, peer, request, referer, agent, reason string, n uint64) {
		e := AccessEntry{
			Time: time.Date(2026, 3, 1, 12, 3, 4, 0, time.FixedZone("", 0)), Event: ClientClose, Peer: peer, User: reason, Request: request,
			Referer: referer, UserAgent: agent, Channel: request, Reason: reason, Bytes: n, Duration: time.Duration(n % 1e6 * 1e6),
		}
		line := appendEntry(nil, e)
		if bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q", line)
		}
		got := parseEntry(t, string(line))
		for _, s := range []*string{&e.Peer, &e.User, &e.Request, &e.Referer, &e.UserAgent, &e.Channel, &e.Reason} {
			if *s == "-" {
				*s = ""
			}
		}
		if !got.Time.Equal(e.Time) {
			t.Fatalf("%v became %v", e.Time, got.Time)
		}
		if got.Time = e.Time; got != e {
			t.Fatalf("%+v\nbecame\n%+v", e, got)
		}
	})
}

func TestAccess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	var out bytes.Buffer
	a, err := OpenAccess(FileConfig{Path: path, MaxFiles: 1}, New(&out, "gws", slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Truncate(time.Second)
	a.Write(AccessEntry{Event: ClientOpen, Peer: "192.0.2.7"})
	a.Write(AccessEntry{Event: ClientClose, Peer: "192.0.2.7", Bytes: 5})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a.Write(AccessEntry{Event: ClientOpen}) // nowhere
	lines := strings.SplitAfter(read(t, path), "\n")
	if len(lines) != 3 || out.Len() != 0 {
		t.Fatalf("%q, and the log %q", lines, out.String())
	}
	if e := parseEntry(t, lines[0]); e.Event != ClientOpen || e.Peer != "192.0.2.7" || e.Time.Before(before) {
		t.Errorf("%+v", e)
	}
	if e := parseEntry(t, lines[1]); e.Event != ClientClose || e.Bytes != 5 {
		t.Errorf("%+v", e)
	}
}

// Entries that cannot be written are told of in the log, not in the access log.
func TestAccessTellsOfLoss(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	path := filepath.Join(dir, "access.log")
	a, err := OpenAccess(FileConfig{Path: path}, New(&out, "gws", slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	a.Write(AccessEntry{Event: ClientOpen})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "access log entries lost") {
		t.Errorf("the log: %q", out.String())
	}
}

// Lines come out in their order; what somebody else's writer does not take is told of.
func TestLines(t *testing.T) {
	var out, log bytes.Buffer
	l := NewLines("test log", &out, New(&log, "relay", slog.LevelInfo))
	for _, line := range []string{"one\n", "two\n"} {
		l.Put([]byte(line))
	}
	if err := errors.Join(l.Rotate(), l.Close()); err != nil {
		t.Error(err)
	}
	if out.String() != "one\ntwo\n" || log.Len() != 0 {
		t.Errorf("%q, and the log %q", out.String(), log.String())
	}
	r, w := io.Pipe()
	r.Close()
	broken := NewLines("test log", w, New(&log, "relay", slog.LevelInfo))
	broken.Put([]byte("three\n"))
	if err := broken.Close(); err != nil || !strings.Contains(log.String(), "test log entries lost") {
		t.Errorf("%v, and the log %q", err, log.String())
	}
}
