package relay

import (
	"errors"
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
