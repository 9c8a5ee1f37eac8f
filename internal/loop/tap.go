package loop

import (
	"time"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
)

// tap is an open source of a channel.
type tap struct {
	ch  *live
	src endpoint.Source // nil while it is being opened, and after the end

	ready   bool          // stands in Loop.ready
	holding bool          // stands in Loop.holding
	drained time.Duration // when it last was
	hot     bool          // moved so much that it is drained in every slot
}

// listen finds out which sources have something, drains those that cannot wait, and says
// whether there were any. The others are drained when a client of their channel is due,
// so that what is sent is fresh and a drain moves much at a time.
func (l *Loop) listen(now time.Duration) (came bool) {
	for _, fd := range l.poll.readySources() {
		if t := l.taps[fd]; t != nil {
			l.setReady(t)
		}
	}
	for _, t := range l.holding {
		t.holding = false
		if t.src != nil {
			l.setReady(t)
		}
	}
	clear(l.holding)
	l.holding = l.holding[:0]
	for i := 0; i < len(l.ready); i++ {
		if t := l.ready[i]; t.hot || now-t.drained >= drainEvery || len(t.ch.waiting) > 0 {
			l.drain(t, now)
		}
	}
	return len(l.ready) > 0
}

func (l *Loop) setReady(t *tap) {
	if !t.ready {
		t.ready = true
		l.ready = append(l.ready, t)
	}
}

// endSlot forgets which sources were ready: the next slot asks again.
func (l *Loop) endSlot() {
	for _, t := range l.ready {
		t.ready = false
	}
	clear(l.ready)
	l.ready = l.ready[:0]
}

// refresh drains the source of ch if it has something. The channel may end by it.
func (l *Loop) refresh(ch *live, now time.Duration) {
	if ch.tap.ready {
		l.drain(&ch.tap, now)
	}
}

// drain moves what t has into its channel, which ends if the source fails.
func (l *Loop) drain(t *tap, now time.Duration) {
	t.ready, t.drained = false, now
	if t.src == nil {
		return // ended by what another one's error brought
	}
	before := t.ch.History().Head()
	t.ch.At(now)
	if err := t.src.Drain(now, t.ch); err != nil {
		l.endChannel(t.ch, channel.SourceFailed, err, now)
		return
	}
	t.hot = t.ch.History().Head()-before >= hotDrain
	if t.src.Holding() && !t.holding {
		t.holding = true
		l.holding = append(l.holding, t)
	}
}
