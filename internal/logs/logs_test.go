package logs

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseLevel(t *testing.T) {
	for word, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "norm": Norm, "warn": slog.LevelWarn,
		"ERROR": slog.LevelError, "err": slog.LevelError, "crit": Crit,
	} {
		got, err := ParseLevel(word)
		if err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v", word, got, err)
		}
		if same, err := ParseLevel(LevelName(got)); err != nil || same != got {
			t.Errorf("%v is called %s, which is %v, %v", got, LevelName(got), same, err)
		}
	}
	_, err := ParseLevel("loud")
	if err == nil || !strings.Contains(err.Error(), `"loud"`) || !strings.Contains(err.Error(), "debug") {
		t.Errorf("error %v names neither the word nor the choice", err)
	}
}

func TestTextLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := New(&out, "gws", slog.LevelInfo)
		log.Debug("not shown")
		log.Info("client started", Client, "192.0.2.7:50905")
		want := fmt.Sprintf("time=%s level=INFO msg=\"client started\" role=gws client=192.0.2.7:50905\n",
			time.Now().Format("2006-01-02T15:04:05.000Z07:00"))
		if out.String() != want {
			t.Errorf("got  %swant %s", out.String(), want)
		}
	})
}

// Acceptance 23: each level lets through what is as grave, and no more.
func TestAcceptance23Levels(t *testing.T) {
	words := []string{"debug", "info", "norm", "warn", "err", "crit"}
	for i, word := range words {
		level, err := ParseLevel(word)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		log := New(&out, "gws", level)
		for _, each := range words {
			l, _ := ParseLevel(each)
			log.Log(t.Context(), l, each)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != len(words)-i || !strings.Contains(lines[0], "msg="+word+" ") {
			t.Errorf("level %s lets through:\n%s", word, out.String())
		}
		for j, line := range lines {
			want := strings.ToUpper(words[i+j])
			if want == "ERR" {
				want = "ERROR"
			}
			if !strings.Contains(line, "level="+want+" msg="+words[i+j]+" ") {
				t.Errorf("%s", line)
			}
		}
	}
}

func TestHumanLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(newHuman(&out, "gng", slog.LevelInfo, clock)).With(Engine, "1")
		at := time.Now().Format("15:04:05.000")
		log.Debug("not shown")
		log.Info("ready")
		log.Warn("channel ended", Channel, "UDP://239.1.1.1:5000", Reason, "no data")
		log.WithGroup("g").Error("grouped", "time", 1)
		want := at + " INFO  gng: ready engine=1\n" +
			at + " WARN  gng: channel ended engine=1 channel=UDP://239.1.1.1:5000 reason=\"no data\"\n" +
			at + " ERROR gng: grouped engine=1 g.time=1\n"
		if out.String() != want {
			t.Errorf("got:\n%swant:\n%s", out.String(), want)
		}
	})
}

// oneWrite fails when a line comes in more than one piece.
type oneWrite struct {
	t *testing.T
	n int
}

func (w *oneWrite) Write(p []byte) (int, error) {
	w.n++
	if n := bytes.Count(p, []byte("\n")); n != 1 || !bytes.HasSuffix(p, []byte("\n")) {
		w.t.Errorf("not one whole line: %q", p)
	}
	return len(p), nil
}

func TestHumanConcurrent(t *testing.T) {
	w := &oneWrite{t: t}
	log := slog.New(newHuman(w, "gws", slog.LevelInfo, clock))
	var wg sync.WaitGroup
	for i := range 8 {
		own := log.With(Engine, i)
		wg.Go(func() {
			for range 100 {
				own.Info("line", Reason, "a reason")
			}
		})
	}
	wg.Wait()
	if w.n != 800 {
		t.Errorf("%d lines, want 800", w.n)
	}
}

func TestPipeIsNoTerminal(t *testing.T) {
	if IsTerminal(io.Discard) || IsTerminal(&bytes.Buffer{}) {
		t.Error("a buffer was taken for a terminal")
	}
}

func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := Limited(New(&out, "gng", slog.LevelInfo))
		lines := func() int { return strings.Count(out.String(), "\n") }

		for range 5 {
			log.Warn("sync lost")
		}
		log.Warn("packets lost")
		log.Error("sync lost")
		if lines() != 3 {
			t.Fatalf("want one line each of three kinds, got:\n%s", out.String())
		}
		if strings.Contains(out.String(), Repeated) {
			t.Fatalf("a first line claims repetitions:\n%s", out.String())
		}

		time.Sleep(limitEvery)
		out.Reset()
		log.Warn("sync lost")
		if !strings.HasSuffix(out.String(), "repeated=4\n") {
			t.Fatalf("want repeated=4, got %s", out.String())
		}
		log.Warn("sync lost")
		time.Sleep(limitEvery)
		log.Warn("sync lost")
		if lines() != 2 || !strings.HasSuffix(out.String(), "repeated=1\n") {
			t.Fatalf("want the count to start again, got:\n%s", out.String())
		}
	})
}

func TestLimitedDerived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := Limited(New(&out, "gng", slog.LevelInfo))
		log.With(Channel, "a").Warn("sync lost")
		log.With(Channel, "b").Warn("sync lost")
		log.WithGroup("g").Warn("sync lost")
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d lines, want 3: derived loggers count on their own", n)
		}
	})
}

func TestLimitedIsBounded(t *testing.T) {
	h := newLimited(slog.NewTextHandler(io.Discard, nil))
	now := time.Now()
	for i := range limitLines + 10 {
		if _, pass := h.count(lineKey{message: fmt.Sprint(i)}, now); !pass {
			t.Fatalf("line %d was held back", i)
		}
	}
	if len(h.lines) != limitLines {
		t.Errorf("%d lines remembered, want %d", len(h.lines), limitLines)
	}
}
