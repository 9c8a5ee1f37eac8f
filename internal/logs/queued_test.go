package logs

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueued(t *testing.T) {
	var out bytes.Buffer
	log, end := NewQueued(&out, "gng", slog.LevelInfo)
	log.Info("one")
	log.Debug("two")
	log.Info("three")
	end()
	end()
	log.Info("four")
	got := out.String()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, "one") || !strings.Contains(got, "three") || !strings.Contains(got, "role=gng") {
		t.Errorf("written: %s", got)
	}
}

// TestQueuedNeverWaits: a log that takes nothing for a time holds nobody up, and what it
// missed is told.
func TestQueuedNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe() // takes a line when it is read
		log, end := NewQueued(w, "gng", slog.LevelInfo)
		log.Info("first")
		synctest.Wait() // it is being written
		for range queueLines + 5 {
			log.Info("line")
		}
		var out bytes.Buffer
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(&out, r)
		}()
		synctest.Wait()
		end()
		w.Close()
		<-read
		if got := strings.Count(out.String(), "msg=line"); got != queueLines {
			t.Errorf("%d lines, want %d", got, queueLines)
		}
		if !strings.Contains(out.String(), "lines=5") {
			t.Error("the loss is not told")
		}
	})
}

// TestQueuedEnds: the end does not wait for ever for a log that takes nothing.
func TestQueuedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		log, end := NewQueued(w, "gng", slog.LevelInfo)
		log.Info("line")
		began := time.Now()
		end()
		if waited := time.Since(began); waited != closeTime {
			t.Errorf("waited %v, want %v", waited, closeTime)
		}
		r.Close() // lets the writer go
	})
}
