package origin

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"sluice/internal/live"
	"sluice/internal/logs"
	"sluice/internal/push"
	"sluice/internal/store"
)

// job is a record or a push. What it does is its key in Origin.jobs: a record, or a *push.Pusher.
type job struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
}

// record is a channel on its way into a store.
type record struct {
	Record
	st   store.Store
	name string
}

// exchangeJobsLocked has the jobs of s run and no others. One that is the same goes on, and one that has ended is not begun anew.
func (o *Origin) exchangeJobsLocked(s *site) {
	wanted := make(map[any]func(context.Context))
	for name, r := range s.conf.Records {
		key := record{r, s.conf.Read[0].Store, name}
		wanted[key] = func(ctx context.Context) { o.keepRecord(ctx, key) }
	}
	for i, p := range s.pushers {
		c := s.conf.Pushes[i]
		wanted[p] = func(ctx context.Context) { o.push(ctx, c, p) }
	}
	var ending []*job
	for what, j := range o.jobs {
		if wanted[what] == nil {
			j.cancel()
			ending = append(ending, j)
			delete(o.jobs, what)
		}
	}
	for what, run := range wanted {
		if o.jobs[what] == nil {
			o.jobs[what] = o.startJob(run, ending)
		}
	}
}

// startJob starts a job when those that it may take the place of have ended.
func (o *Origin) startJob(run func(context.Context), after []*job) *job {
	ctx, cancel := context.WithCancel(o.ending)
	j := &job{cancel: cancel, done: make(chan struct{})}
	o.group.Go(func() {
		defer cancel()
		for _, other := range after {
			<-other.done
		}
		run(ctx)
		o.mu.Lock()
		defer o.mu.Unlock()
		close(j.done)
		o.checkOverLocked()
	})
	return j
}

// How long a record waits that could not go on.
const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// steady is how long a record goes on that was well: a failure is a new one then.
	steady = 10 * time.Second
)

// keepRecord records until the channel has ended in order. What fails is tried again: the channel, which goes on in the same object, or
// the disk may come back; only what fails twice in a row is told, since at the start engines come a moment later.
func (o *Origin) keepRecord(ctx context.Context, r record) {
	recorder := live.Recorder{Channels: o.opts.Channels, Channel: r.Channel, Store: r.st, Name: r.name, Again: r.Again}
	defer func() {
		if err := recorder.End(); err != nil {
			o.log.Warn("record not completed", logs.File, r.name, logs.Channel, r.Channel, logs.Error, err)
		}
	}()
	pause, told, failed := firstPause, "", 0
	for {
		began, size := time.Now(), recorder.Size()
		err := recorder.Run(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if time.Since(began) >= steady && recorder.Size() != size {
			pause, told, failed = firstPause, "", 0
		}
		if failed++; failed > 1 && err.Error() != told {
			told = err.Error()
			o.log.Warn("record failed, it is tried again", logs.File, r.name, logs.Channel, r.Channel, logs.Error, err)
		}
		if !sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// sleep waits; it reports false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// push pushes until ctx ends, or what is pushed does.
func (o *Origin) push(ctx context.Context, c Push, p *push.Pusher) {
	var err error
	switch {
	case c.Store != nil:
		err = p.Objects(ctx, c.Store)
	case c.Dir != "":
		err = p.Directory(ctx, c.Dir)
	default:
		err = p.Stream(ctx, streamType(c.To), func(ctx context.Context) (io.ReadCloser, error) {
			return o.opts.Channels.Watch(ctx, live.Query{Channel: c.Channel})
		})
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		o.log.Error("push has ended", "push", c.Name, logs.Error, err)
	}
}

// streamType is the media type of a channel that is pushed, as far as the names that it gets tell; else a channel is a transport stream.
func streamType(to []string) string {
	for _, text := range to {
		if u, err := url.Parse(text); err == nil && store.TypeOf(u.Path, "") != "" {
			return store.TypeOf(u.Path, "")
		}
	}
	return "video/mp2t"
}
