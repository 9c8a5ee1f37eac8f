package origin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/live"
	"sluice/internal/push"
	"sluice/internal/store"
)

// TestSamePush: a push goes on when the configuration is read again, unless something of it is another, also whom it trusts.
func TestSamePush(t *testing.T) {
	m := memory(t)
	authorities := func(of ...string) *x509.CertPool {
		pool := x509.NewCertPool()
		for _, name := range of {
			pool.AddCert(&x509.Certificate{Raw: []byte(name), RawSubject: []byte(name)})
		}
		return pool
	}
	conf := func(trust *tls.Config) Config {
		to := Push{Config: push.Config{Name: "cdn", To: []string{"https://127.0.0.1:1/"}, Keep: true, TLS: trust}, Store: m.Store}
		return Config{Read: []Mount{m}, Pushes: []Push{to}}
	}
	r := start(t, conf(nil), nil)
	for _, step := range []struct {
		name  string
		trust func() *tls.Config
	}{
		{"the system's", func() *tls.Config { return nil }},
		{"one", func() *tls.Config { return &tls.Config{RootCAs: authorities("one")} }},
		{"one more", func() *tls.Config { return &tls.Config{RootCAs: authorities("one", "two")} }},
		{"anybody", func() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }},
	} {
		before := r.site.Load().pushers[0]
		if err := r.Reload(conf(step.trust())); err != nil {
			t.Fatal(err)
		}
		first := r.site.Load().pushers[0]
		if err := r.Reload(conf(step.trust())); err != nil {
			t.Fatal(err)
		}
		if again := r.site.Load().pushers[0]; again != first || (first == before) != (step.trust() == nil) {
			t.Errorf("%s: the push goes on as another, or as the one that trusts others", step.name)
		}
	}
}

// weather is live.Channels: each who watches has the channel for as long as spells say in turn, 0 = not at all, until it breaks off.
type weather struct {
	spells []time.Duration
	begun  time.Time
	asked  []string // when, in seconds
}

func (w *weather) Watch(context.Context, live.Query) (*live.Stream, error) {
	w.asked = append(w.asked, fmt.Sprint(time.Since(w.begun).Seconds()))
	lasts := w.spells[0]
	if len(w.spells) > 1 {
		w.spells = w.spells[1:]
	}
	if lasts == 0 {
		return nil, &live.Unavailable{Status: 504, Reason: "nothing comes"}
	}
	r, end := io.Pipe()
	time.AfterFunc(lasts, func() {
		io.WriteString(end, "text")
		end.CloseWithError(io.ErrUnexpectedEOF)
	})
	return &live.Stream{ReadCloser: r}, nil
}

// TestRecordIsTriedAgain: what fails at once is tried ever more seldom, what was well for a while soon, however often; each lasting failure is
// told.
func TestRecordIsTriedAgain(t *testing.T) {
	const spell = 12 * time.Second
	for _, c := range []struct {
		name   string
		spells []time.Duration
		asked  string
		told   int
	}{
		{"it does not come", []time.Duration{0}, "0 1 3 7 15 31 61", 1},
		{"it comes and goes", []time.Duration{spell, spell, spell, 0, spell, spell, 0, 0, spell}, "0 13 26 39 41 54 67 69 73", 2},
		{"for a moment only", []time.Duration{time.Second}, "0 2 5 10 19 36 67", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				w := &weather{spells: c.spells, begun: time.Now()}
				o := &Origin{opts: Options{Channels: w}, log: slog.New(slog.NewTextHandler(&log, nil))}
				st := store.NewMemory(store.MemoryConfig{})
				defer st.Close()
				ctx, cancel := context.WithTimeout(context.Background(), 80*time.Second)
				defer cancel()
				o.keepRecord(ctx, record{Record{Channel: "$news"}, st, "news.ts"})
				if got := strings.Join(w.asked, " "); got != c.asked {
					t.Errorf("asked for at %s, want %s", got, c.asked)
				}
				if n := strings.Count(log.String(), "record failed"); n != c.told {
					t.Errorf("told %d times, want %d: %s", n, c.told, &log)
				}
				time.Sleep(time.Minute) // the last spell is over
			})
		})
	}
}
