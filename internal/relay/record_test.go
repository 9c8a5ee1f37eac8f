package relay

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/report"
)

func TestRecordQuotes(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 3, 4, 512e6, time.UTC)
	s := &flow.Session{
		ID: 7, Listener: &flow.Listener{Name: "web sites"}, Begun: at.Add(-1234 * time.Millisecond),
		Peer: flow.Addr{Network: flow.Unix, Path: "/tmp/\x1b[2J\n"}, Cause: flow.CauseHeader, Err: errors.New("bad \"x\"\n" + strings.Repeat("é", 1000)),
	}
	s.Client = s.Peer
	got := string(appendRecord(nil, s, time.Time{}, at))
	want := `time=2026-03-01T12:03:04.512Z id=7 listener="web sites" peer="unix:/tmp/\x1b[2J\n" client="unix:/tmp/\x1b[2J\n" pool=- remote=- up=0 down=0 queue=0.000 connect=- total=1.234 cause=header error="bad \"x\"\n\u00e9`
	if !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s…", got, want)
	}
	if strings.Count(got, "\n") != 1 || len(got) > 8*maxValue {
		t.Errorf("%d bytes, %d line ends", len(got), strings.Count(got, "\n"))
	}
}

func TestConnectBuckets(t *testing.T) {
	for _, c := range []struct {
		took time.Duration
		want int
	}{{0, 0}, {500 * time.Microsecond, 0}, {501 * time.Microsecond, 1}, {10 * time.Second, len(report.ConnectBuckets) - 1}, {time.Minute, len(report.ConnectBuckets)}} {
		if got := bucketOf(c.took); got != c.want {
			t.Errorf("%s is in bucket %d, want %d", c.took, got, c.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b\n\xffé"); got != "a???é" {
		t.Errorf("got %q", got)
	}
}

// manual is a text of docs.
func manual(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestManual: the line that the manual shows is one.
func TestManual(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 3, 4, 512e6, time.FixedZone("", 3600))
	addr := func(text string) flow.Addr { return flow.Addr{IP: netip.MustParseAddrPort(text)} }
	begun := at.Add(-1234 * time.Millisecond)
	s := &flow.Session{
		ID: 7, Listener: &flow.Listener{Name: "web"}, Peer: addr("192.0.2.9:4711"), Client: addr("192.0.2.7:50905"),
		Begun: begun, Connected: begun.Add(time.Millisecond), Remote: &flow.Target{Pool: "web", Name: "10.0.0.1:80"},
		Up: 123, Down: 4567, Cause: flow.CauseClient,
	}
	want := "\n```text session\n" + string(appendRecord(nil, s, begun, at)) + "```\n"
	if !strings.Contains(manual(t, "relay.md"), want) {
		t.Errorf("docs/relay.md does not show%s", want)
	}
}

// TestManualHasTheCauses: each end of a session is explained.
func TestManualHasTheCauses(t *testing.T) {
	_, after, _ := strings.Cut(manual(t, "relay-admin.md"), "\n| cause | means |\n")
	table, _, found := strings.Cut(after, "\n\n")
	if !found {
		t.Fatal("docs/relay-admin.md has no table of causes")
	}
	for _, c := range flow.Causes() {
		if !strings.Contains(table, "\n| `"+c.String()+"` |") {
			t.Errorf("docs/relay-admin.md does not explain the cause %s", c)
		}
	}
}
