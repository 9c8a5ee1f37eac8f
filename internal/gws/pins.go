package gws

import (
	"reflect"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/logs"
)

const (
	// pinTick is how often the pinned channels are looked at.
	pinTick = time.Second
	// settleTime is for how long no engine must have come or gone before pinned channels
	// are given out: longer than an engine waits before it attaches again, so that one
	// that has a channel pinned already is heard first, and that engines that start
	// together share.
	settleTime = 2 * time.Second
	// pinAgain is how long a pinned channel that ended, or was never opened, is left
	// alone before it is asked for again.
	pinAgain = 5 * time.Second
)

// pin is a channel that is to be received always, by one engine.
type pin struct {
	channel lineup.Channel
	tag     string
	next    time.Time // when it may be asked for again
	changed bool      // whoever has it is to be told of its settings
}

func pinsOf(l *lineup.Lineup) []pin {
	var pins []pin
	for _, ch := range l.Channels() {
		if ch.Pinned {
			pins = append(pins, pin{channel: ch, tag: ch.Tag()})
		}
	}
	return pins
}

// pinsAfter are the pinned channels of another lineup: what they share with those of
// before goes on.
func pinsAfter(before []pin, l *lineup.Lineup) []pin {
	known := make(map[string]pin, len(before))
	for _, p := range before {
		known[p.tag] = p
	}
	after := pinsOf(l)
	for i := range after {
		p := &after[i]
		if old, was := known[p.tag]; was {
			p.next, p.changed = old.next, old.changed || !reflect.DeepEqual(old.channel, p.channel)
		}
	}
	return after
}

// order is a Pin that is due.
type order struct {
	engine *engine
	pin    handoff.Pin
}

// excess is an Unpin that is due.
type excess struct {
	engine *engine
	unpin  handoff.Unpin
}

// keepPins sees to it that every pinned channel and every route is at one engine, and no
// other is, until Run ends.
func (s *Server) keepPins() {
	for s.pause(s.pinning) {
		s.sendPins(time.Now())
		s.sendRoutes(time.Now())
	}
}

func (s *Server) sendPins(now time.Time) {
	for _, x := range s.excessPins(now) {
		s.log.Info("channel is no longer pinned here", logs.Channel, x.unpin.Tag, logs.Engine, x.engine.hello.Engine)
		_ = x.engine.sent(x.engine.conn.Send(x.unpin)) // lost with the engine: its next report tells
	}
	for _, o := range s.duePins(now) {
		s.log.Debug("channel is to be pinned", logs.Channel, o.pin.Channel.Tag(), logs.Engine, o.engine.hello.Engine)
		_ = o.engine.sent(o.engine.conn.Send(o.pin)) // lost with the engine: then it is due again
	}
}

// excessPins are the pinned channels that another engine has pinned as well, or that are
// not to be pinned any more: an engine that was thought lost has come back, or was there
// before the configuration changed. The first engine that has one keeps it.
func (s *Server) excessPins(now time.Time) []excess {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.settled) {
		return nil
	}
	wanted := make(map[string]bool, len(s.pins))
	for i := range s.pins {
		wanted[s.pins[i].tag] = true
	}
	var all []excess
	for _, e := range s.engines {
		for tag, h := range e.channels {
			if !e.ready || !h.open || !h.pinned {
				continue
			}
			if wanted[tag] {
				wanted[tag] = false
				continue
			}
			h.pinned = false
			all = append(all, excess{e, handoff.Unpin{Tag: tag}})
		}
	}
	return all
}

// duePins are the pinned channels that no engine has and that may be asked for, with
// the engine for each; and those that have changed, for the engine that has them.
func (s *Server) duePins(now time.Time) []order {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.settled) {
		return nil
	}
	var due []order
	for i := range s.pins {
		p := &s.pins[i]
		holder := s.pinnedLocked(p.tag)
		if holder != nil && p.changed {
			p.changed = false
			due = append(due, order{holder, handoff.Pin{Channel: p.channel}})
		}
		if holder != nil || now.Before(p.next) {
			continue
		}
		e := s.pickLocked(p.tag, nil, s.config().Spread, false)
		if e == nil {
			break
		}
		s.holdLocked(e, p.tag).pinned = true
		p.next, p.changed = now.Add(pinAgain), false
		due = append(due, order{e, handoff.Pin{Channel: p.channel}})
	}
	return due
}

// pinnedLocked is the engine that receives the channel and will go on with it; nil when
// there is none.
func (s *Server) pinnedLocked(tag string) *engine {
	for _, e := range s.engines {
		if h := e.channels[tag]; h != nil && e.ready && h.open && h.pinned {
			return e
		}
	}
	return nil
}

// unpinnedLocked notes that an engine has ended a channel.
func (s *Server) unpinnedLocked(tag string, now time.Time) {
	for i := range s.pins {
		if s.pins[i].tag == tag {
			s.pins[i].next = now.Add(pinAgain)
		}
	}
}
