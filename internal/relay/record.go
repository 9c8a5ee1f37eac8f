package relay

import (
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice/internal/flow"
	"sluice/internal/logs"
	"sluice/internal/report"
)

// totals are sums over all sessions of this process.
type totals struct {
	accepted, connected, failed atomic.Uint64
	up, down                    atomic.Uint64 // of sessions that have ended
	ended                       [flow.CauseError + 1]atomic.Uint64
	took                        atomic.Int64    // of all connections together, ns
	buckets                     []atomic.Uint64 // by report.ConnectBuckets, and one for longer ones; not summed up
}

func (t *totals) connect(took time.Duration) {
	t.connected.Add(1)
	t.took.Add(int64(took))
	t.buckets[bucketOf(took)].Add(1)
}

// turns are the begins and ends of sessions so far.
func (t *totals) turns() uint64 {
	n := t.accepted.Load()
	for i := range t.ended {
		n += t.ended[i].Load()
	}
	return n
}

// bucketOf is the number of the first bucket that a time fits in.
func bucketOf(took time.Duration) int {
	for i, most := range report.ConnectBuckets {
		if took.Seconds() <= most {
			return i
		}
	}
	return len(report.ConnectBuckets)
}

func (t *totals) end(s *flow.Session) {
	t.up.Add(s.Up)
	t.down.Add(s.Down)
	t.ended[s.Cause].Add(1)
}

// record tells the session log of an end, and the log of one that was refused: there only
// once a second, and when all is wanted.
func (k *desk) record(s *flow.Session, st *session, now time.Time) {
	if refused(s.Cause) {
		k.limited.Debug("client refused", logs.Listener, s.Listener.Name, logs.Client, s.Client.String(), logs.Reason, s.Cause.String(), logs.Error, errText(s.Err))
	}
	if k.opt.Record != nil {
		k.opt.Record(appendRecord(nil, s, st.dialed, now))
	}
}

func errText(err error) slog.Value {
	if err == nil {
		return slog.StringValue("")
	}
	return slog.StringValue(printable(err.Error()))
}

// appendRecord appends the line of a session to b, with a line end:
//
//	time=2026-03-01T12:03:04.512+01:00 id=7 listener=web peer=192.0.2.9:4711 client=192.0.2.7:50905 pool=app remote=10.0.0.1:80 up=123 down=4567 queue=0.000 connect=0.001 total=1.234 cause=client error=-
//
// time is that of the end; id is unique in the process. peer has connected; client is who it
// speaks for, by its PROXY header, else the same. pool and remote are those of the last try.
// up is bytes from the client to the remote, down the other way. Times are seconds: in queues,
// of the try that led to a connection, and from accept to end. cause is a flow.Cause.
// What is not known is "-"; a value with blanks, quotes or anything unprintable in it is
// quoted as in Go.
func appendRecord(b []byte, s *flow.Session, dialed, now time.Time) []byte {
	b = now.AppendFormat(append(b, "time="...), "2006-01-02T15:04:05.000Z07:00")
	b = strconv.AppendUint(append(b, " id="...), s.ID, 10)
	b = appendValue(append(b, " listener="...), s.Listener.Name)
	b = appendValue(append(b, " peer="...), s.Peer.String())
	b = appendValue(append(b, " client="...), s.Client.String())
	pool, remote := s.Destination()
	b = appendValue(append(b, " pool="...), pool)
	b = appendValue(append(b, " remote="...), remote)
	b = strconv.AppendUint(append(b, " up="...), s.Up, 10)
	b = strconv.AppendUint(append(b, " down="...), s.Down, 10)
	b = appendSeconds(append(b, " queue="...), s.Queued)
	b = append(b, " connect="...)
	if s.Connected.IsZero() {
		b = append(b, '-')
	} else {
		b = appendSeconds(b, s.Connected.Sub(dialed))
	}
	b = appendSeconds(append(b, " total="...), now.Sub(s.Begun))
	b = append(append(b, " cause="...), s.Cause.String()...)
	text := ""
	if s.Err != nil {
		text = s.Err.Error()
	}
	b = appendValue(append(b, " error="...), text)
	return append(b, '\n')
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, max(d, 0).Seconds(), 'f', 3, 64)
}

// maxValue bounds a value of a line, in bytes: errors may quote what a client has sent.
const maxValue = 512

func appendValue(b []byte, text string) []byte {
	if text == "" {
		return append(b, '-')
	}
	text = text[:min(len(text), maxValue)]
	for i := 0; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return strconv.AppendQuoteToASCII(b, text)
		}
	}
	return append(b, text...)
}

// printable is text with a question mark for all that moves a cursor or is no character.
func printable(text string) string {
	out := make([]rune, 0, len(text))
	for _, c := range text[:min(len(text), maxValue)] {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}
