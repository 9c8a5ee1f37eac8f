package engine

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/handoff"
	"sluice/internal/logs"
	"sluice/internal/loop"
)

// maxQueue is how many messages wait for gws; a burst of clients fits.
const maxQueue = 4096

// maxRates is how many channels' rates one message has room for, however long their
// names.
const maxRates = 100

// queue holds what gws has still to be told. Adding never blocks: what does not fit is
// dropped and remembered as lost, and the sender makes up for it with a report.
// Answers to Attach are never dropped: a client waits for each, and there are no more
// than gws has asked for.
type queue struct {
	ready chan struct{} // holds one token when there is something to take

	mu     sync.Mutex // guards the following
	items  []handoff.Message
	rates  []handoff.Message // the newest, in as many parts as it takes
	events int               // of items: those that may be dropped
	lost   bool
	closed bool
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

func (q *queue) answer(m handoff.Message) { q.add(m, false) }
func (q *queue) event(m handoff.Message)  { q.add(m, true) }

func (q *queue) add(m handoff.Message, droppable bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case droppable && q.events >= maxQueue:
		q.lost = true
	default:
		q.items = append(q.items, m)
		if droppable {
			q.events++
		}
	}
	q.signal()
}

// setRates replaces the rates that wait: only the newest are of use.
func (q *queue) setRates(parts []handoff.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rates = parts
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns all that waits, whether something was lost before it, and whether
// nothing will follow.
func (q *queue) take() (items []handoff.Message, lost, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, lost, closed = append(q.items, q.rates...), q.lost, q.closed
	q.items, q.rates, q.events, q.lost = nil, nil, 0, false
	return items, lost, closed
}

// clear drops what waits: it was meant for a gws that is gone.
func (q *queue) clear() { q.take() }

// close says that nothing follows.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// observer turns what the loop tells into log lines and messages for gws.
type observer struct {
	queue    *queue
	sessions *sessions
	log      *slog.Logger
	limited  *slog.Logger // for what may come again and again
}

func (o *observer) ChannelOpened(tag string) {
	o.log.Debug("channel opened", logs.Channel, tag)
	o.queue.event(handoff.ChannelOpen{Tag: tag})
}

func (o *observer) ChannelEnded(tag string, bytes uint64, reason channel.Reason) {
	o.log.Debug("channel ended", logs.Channel, tag, "bytes", bytes, logs.Reason, reason.String())
	failed := reason == channel.NoData || reason == channel.SourceFailed
	o.queue.event(handoff.ChannelEnd{Tag: tag, Reason: reason.String(), Failed: failed, Bytes: bytes})
}

func (o *observer) SourceFailed(tag, source string, err error) {
	o.limited.Warn("source failed", logs.Channel, tag, "source", source, logs.Error, err)
}

func (o *observer) Switched(tag, from, to string, reason channel.Reason) {
	o.log.Warn("another source is on air", logs.Channel, tag, "from", from, "to", to, logs.Reason, reason.String())
}

func (o *observer) Rates(rates []loop.Rate) {
	var parts []handoff.Message
	for len(rates) > 0 {
		n := min(len(rates), maxRates)
		m := handoff.Rates{Channels: make([]handoff.Rate, n), More: n < len(rates)}
		for i, r := range rates[:n] {
			m.Channels[i] = handoff.Rate{Tag: r.Tag, Bps: r.Bps}
		}
		parts = append(parts, m)
		rates = rates[n:]
	}
	o.queue.setRates(parts)
}

func (o *observer) Started(id uint64, tag, client string) {
	o.log.Debug("client started", logs.Channel, tag, logs.Client, client)
	o.queue.answer(handoff.Started{ID: id})
}

func (o *observer) Refused(id uint64, reason channel.Reason, err error) {
	if !o.sessions.told(id, outcome{refused: true, reason: reason, err: err}) {
		o.queue.refuse(id, reason, err)
	}
}

func (o *observer) Ended(id uint64, tag, client string, bytes uint64, reason channel.Reason) {
	o.log.Debug("client ended", logs.Channel, tag, logs.Client, client, "bytes", bytes, logs.Reason, reason.String())
	if !o.sessions.told(id, outcome{reason: reason, bytes: bytes}) {
		o.queue.event(handoff.ClientEnd{ID: id, Bytes: bytes, Reason: reason.String()})
	}
}

// refuse answers that a client was not started.
func (q *queue) refuse(id uint64, reason channel.Reason, err error) {
	if reason == channel.Shutdown {
		return // without an answer gws gives the client to another engine
	}
	q.answer(handoff.Refused{ID: id, Code: statusOf(reason, err), Reason: err.Error()})
}

// statusOf is the HTTP status for a client that was not started: what the end that cannot
// be had says, or that the source delivers nothing (504), or cannot be had (503).
func statusOf(reason channel.Reason, err error) int {
	var refusal *endpoint.Refusal
	switch {
	case errors.As(err, &refusal):
		return refusal.Status
	case reason == channel.NoData:
		return http.StatusGatewayTimeout
	}
	return http.StatusServiceUnavailable
}
