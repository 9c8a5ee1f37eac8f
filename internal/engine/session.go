package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/loop"
)

const (
	// maxOpening bounds the targets that are being opened at a time; more are refused.
	maxOpening = 256
	// farewell is how long a target may take to get the rest of a stream that has ended, and
	// to end in its turn. A stream of 100 kbit/s has by then left every buffer there is.
	farewell = 5 * time.Minute
	// lastWords is how long it may take when the session was ended by an order, or the engine
	// ends.
	lastWords = 3 * time.Second
)

var (
	errDropped    = errors.New("dropped by an order")
	errTooMany    = errors.New("the engine opens too many targets at the moment")
	errUnfinished = fmt.Errorf("the target did not take the rest, or did not end, in %v", farewell)
	errLeft       = errors.New("the target closed the connection")
)

// sessions are the clients whose target the engine opens itself. Each has a goroutine, which
// opens the target, gives its socket to the loop, hears from the loop what became of it, and
// tells gws when the target has got all:
//
//	Attach ─► begin ─► open ─► give ═ loop ═ told ─► settle ─► Refused or ClientEnd
type sessions struct {
	opener endpoint.SinkOpener
	queue  *queue
	ending context.Context // ends when the engine begins to
	end    context.CancelFunc

	running sync.WaitGroup

	// giving is held while a session leaves opening for the loop, so that what drops it finds
	// it in one of the two. It guards the following. The loop's thread never takes it.
	giving  sync.Mutex
	closed  bool
	opening map[uint64]order // by ID

	mu    sync.Mutex // guards the following
	given map[uint64]chan<- outcome
}

// order is a session whose target is not open yet.
type order struct {
	channel, client string // tags
	cancel          context.CancelCauseFunc
}

// outcome is what the loop tells of a client.
type outcome struct {
	refused bool
	reason  channel.Reason
	err     error  // of one that was refused
	bytes   uint64 // of one that was started
}

func newSessions(opener endpoint.SinkOpener, queue *queue) *sessions {
	s := &sessions{opener: opener, queue: queue, opening: map[uint64]order{}, given: map[uint64]chan<- outcome{}}
	s.ending, s.end = context.WithCancel(context.Background())
	return s
}

// begin starts a session; what is not given to the loop yet is given up with ctx. give
// hands a client's socket to the loop.
func (s *sessions) begin(ctx context.Context, m handoff.Attach, give func(handoff.Attach, int) error) {
	s.giving.Lock()
	defer s.giving.Unlock()
	switch {
	case s.closed: // without an answer gws gives it to another engine
	case len(s.opening) >= maxOpening:
		s.queue.refuse(m.ID, channel.None, errTooMany)
	default:
		ctx, cancel := context.WithCancelCause(ctx)
		s.opening[m.ID] = order{m.Channel.Tag(), m.Tag(), cancel}
		s.running.Go(func() {
			defer cancel(nil)
			defer context.AfterFunc(s.ending, func() { cancel(context.Cause(s.ending)) })()
			s.run(ctx, m, give)
		})
	}
}

// run is one session.
func (s *sessions) run(ctx context.Context, m handoff.Attach, give func(handoff.Attach, int) error) {
	sink, err := s.opener.OpenSink(ctx, *m.Target)
	if err != nil {
		s.giving.Lock()
		delete(s.opening, m.ID)
		s.giving.Unlock()
		s.refuse(ctx, m.ID, err)
		return
	}
	defer sink.Close()
	told := make(chan outcome, 1)
	if err := s.give(ctx, m, sink.Socket(), told, give); err != nil {
		s.refuse(ctx, m.ID, err)
		return
	}
	s.settle(m.ID, sink, <-told)
}

// give gives the loop the socket of a target, unless the session was given up.
func (s *sessions) give(ctx context.Context, m handoff.Attach, socket int, told chan<- outcome, give func(handoff.Attach, int) error) error {
	s.giving.Lock()
	defer s.giving.Unlock()
	delete(s.opening, m.ID)
	err := ctx.Err()
	if err == nil {
		s.mu.Lock()
		s.given[m.ID] = told
		s.mu.Unlock()
		err = give(m, socket)
	}
	if err != nil {
		unix.Close(socket)
		s.mu.Lock()
		delete(s.given, m.ID)
		s.mu.Unlock()
	}
	return err
}

// refuse answers that a target cannot be had, if anybody still wants to know.
func (s *sessions) refuse(ctx context.Context, id uint64, err error) {
	if ctx.Err() != nil {
		if err = context.Cause(ctx); !errors.Is(err, errDropped) {
			return // gws is gone, or the engine ends
		}
	}
	if !errors.Is(err, loop.ErrEnded) {
		s.queue.refuse(id, channel.None, err)
	}
}

// told takes what the loop tells of a client, on the loop's thread; it is false for one that
// is no session.
func (s *sessions) told(id uint64, o outcome) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	told, ok := s.given[id]
	if ok {
		delete(s.given, id)
		told <- o // has room for it
	}
	return ok
}

// settle tells gws how a session ended that the loop has done with.
func (s *sessions) settle(id uint64, sink endpoint.Sink, o outcome) {
	if o.refused {
		err := o.err
		if o.reason == channel.ClientGone {
			err = cmp.Or(s.rest(sink, o.reason), err)
		}
		s.queue.refuse(id, o.reason, err)
		return
	}
	reason := o.reason.String()
	if err := s.rest(sink, o.reason); err != nil {
		reason = err.Error()
	}
	s.queue.event(handoff.ClientEnd{ID: id, Bytes: o.bytes, Reason: reason})
}

// rest waits until a target has got what was written to it, and returns what else happened to
// it.
func (s *sessions) rest(sink endpoint.Sink, why channel.Reason) error {
	waited := make(chan error, 1)
	go func() { waited <- sink.Wait() }()
	defer sink.Close()
	limit, late := farewell, errUnfinished
	switch why {
	case channel.SourceEnded, channel.NoData, channel.SourceFailed:
	default:
		limit, late = lastWords, nil
	}
	over := time.NewTimer(limit)
	defer over.Stop()
	ending := s.ending.Done()
	for {
		select {
		case err := <-waited:
			if err == nil && why == channel.ClientGone {
				return errLeft
			}
			return err
		case <-ending:
			over.Reset(min(limit, lastWords))
			ending, late = nil, nil
		case <-over.C:
			_ = sink.Close()
			<-waited
			return late
		}
	}
}

// drop gives up the sessions whose target is still being opened: those of a channel to the
// target client, or with "" to any; with no channel all there are.
func (s *sessions) drop(channel, client string) {
	s.giving.Lock()
	defer s.giving.Unlock()
	for _, o := range s.opening {
		if (channel == "" || channel == o.channel) && (client == "" || client == o.client) {
			o.cancel(errDropped)
		}
	}
}

// cutOff returns when nothing is given to the loop any more on behalf of a connection whose
// context has ended.
func (s *sessions) cutOff() {
	s.giving.Lock()
	defer s.giving.Unlock()
}

// wait ends and awaits all sessions; the loop has told of each that it was given.
func (s *sessions) wait() {
	s.giving.Lock()
	s.closed = true
	s.giving.Unlock()
	s.end()
	s.running.Wait()
}

// startOf is where a client begins. What is sent at its own pace stays behind by as much as
// it began behind: a target of datagrams gets a live stream as it is now, unless it was asked
// for from before.
func startOf(m handoff.Attach) lineup.Start {
	if m.Target != nil && m.Target.End.Datagrams() && m.Start.Back == 0 && m.Channel.Copy == 0 {
		return lineup.Start{Live: true}
	}
	return m.Start
}
