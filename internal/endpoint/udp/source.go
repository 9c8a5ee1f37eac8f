package udp

import (
	"errors"
	"fmt"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/netx"
	"sluice/internal/report"
	"sluice/internal/uri"
)

// reasonPlain is why a leg is dropped that cannot be merged.
const reasonPlain = "two legs are merged by their RTP numbers, and one has no RTP"

// surelyPlain is how many datagrams without RTP a leg must bring, and none with it, to be
// one that has no RTP: a single one may be a stray. As many that look like RTP, one after
// the other, prove the contrary.
const surelyPlain = 4

// source is one or two sockets.
type source struct {
	opener *Opener
	from   uri.Source
	legs   []leg
	fds    []int
	sorter rtp.Sorter
}

// FDs implements endpoint.Source.
func (s *source) FDs() []int { return s.fds }

// Holding implements endpoint.Source.
func (s *source) Holding() bool {
	for i := range s.legs {
		if s.legs[i].late {
			return true
		}
	}
	return s.sorter.Holding()
}

// Close implements endpoint.Source.
func (s *source) Close() error {
	var all []error
	for i := range s.legs {
		if sock := s.legs[i].sock; sock != nil {
			all = append(all, sock.Close())
		}
	}
	return errors.Join(all...)
}

// Drain implements endpoint.Source. The legs take turns, so that they stay together.
func (s *source) Drain(now time.Duration, w endpoint.Writer) error {
	moved := 0
	for more := true; more; {
		more = false
		for i := range s.legs {
			l := &s.legs[i]
			if l.sock == nil {
				continue
			}
			n, full, err := s.receive(l, now, w)
			if err != nil {
				if err = s.broken(l, err); err != nil {
					return err
				}
			}
			more = more || full
			if moved += n; moved >= drainBytes {
				return nil // what waits longest is let go by the next one
			}
		}
	}
	s.sorter.Expire(now)
	s.release(w)
	return nil
}

// broken notes that a leg cannot be read, which is an error of the source when there is
// no other.
func (s *source) broken(l *leg, err error) error {
	l.failed = err
	for i := range s.legs {
		if s.legs[i].failed == nil && s.sorter.Dropped(i) == "" {
			return nil
		}
	}
	return err
}

// receive moves one batch of a leg. bytes is what came, as leg.note counts it; full says
// that there may be more.
func (s *source) receive(l *leg, now time.Duration, w endpoint.Writer) (bytes int, full bool, err error) {
	batch, stride := s.opener.batch, l.stride
	space := w.Reserve(stride)
	n, err := batch.Receive(l.sock.FD(), space, stride)
	if err != nil {
		return 0, false, fmt.Errorf("%s: receive: %w", l.end.Tag(), err)
	}
	if n == 0 {
		return 0, false, nil
	}
	l.failed = nil
	bytes, whole := l.note(batch, n)
	s.take(l, space[:n*stride], n, whole, now, w)
	return bytes, n == min(batchSize, len(space)/stride), nil
}

// take moves the payloads of n datagrams, one a slot, into w. As long as nothing has to
// go in between they move together where they are; whole says that they all fit their
// slots.
func (s *source) take(l *leg, space []byte, n int, whole bool, now time.Duration, w endpoint.Writer) {
	stride := len(space) / n
	i, used, more := 0, 0, false
	for ; whole && i < n && !more; i++ {
		d := s.opener.batch.Datagram(i)
		var payload []byte
		payload, more = s.judge(l, &d, space[i*stride:i*stride+d.Len], now)
		if len(payload) > 0 && &payload[0] != &space[used] {
			copy(space[used:], payload)
		}
		used += len(payload)
	}
	aside := append(s.opener.aside[:0], space[i*stride:]...)
	s.opener.aside = aside
	w.Commit(used)
	if more {
		s.release(w)
	}
	for ; i < n; i++ {
		d := s.opener.batch.Datagram(i)
		slot := aside[:min(d.Len, stride)]
		aside = aside[stride:]
		s.takeCopied(l, &d, slot, now, w)
	}
}

// takeCopied copies the payload of a datagram whose first bytes are in slot.
func (s *source) takeCopied(l *leg, d *netx.Datagram, slot []byte, now time.Duration, w endpoint.Writer) {
	if d.Overflow != nil {
		slot = append(append(s.opener.joined[:0], slot...), d.Overflow...)
		s.opener.joined = slot
	}
	payload, more := s.judge(l, d, slot, now)
	write(w, payload)
	if more {
		s.release(w)
	}
}

// release copies what has waited and does not any more.
func (s *source) release(w endpoint.Writer) {
	for _, payload := range s.sorter.Released() {
		write(w, payload)
	}
}

func write(w endpoint.Writer, payload []byte) {
	if len(payload) > 0 {
		w.Commit(copy(w.Reserve(len(payload)), payload))
	}
}

// judge returns the part of a datagram that is to go into the channel now; more says
// that the Sorter has released what goes behind it.
func (s *source) judge(l *leg, d *netx.Datagram, b []byte, now time.Duration) (payload []byte, more bool) {
	if !l.wanted(d) || len(b) == 0 || s.sorter.Dropped(l.index) != "" {
		return nil, false
	}
	if b[0] == ts.SyncByte || !l.speaksRTP(b) {
		return s.judgePlain(l, b), false
	}
	if !l.isRTP {
		l.isRTP = true
		if s.dropPlain(); s.sorter.Dropped(l.index) != "" {
			return nil, false
		}
	}
	h, payload, err := rtp.Parse(b)
	if err != nil {
		l.count.Malformed++
		return nil, false
	}
	if !s.sorter.Push(l.index, h, payload, now) {
		payload = nil
	}
	return payload, len(s.sorter.Released()) > 0
}

// judgePlain is judge for a datagram without RTP, which has no place among those of
// another leg.
func (s *source) judgePlain(l *leg, b []byte) []byte {
	l.plain++
	if len(s.legs) == 1 || s.sorter.Dropped(1-l.index) != "" {
		return b
	}
	if l.isRTP {
		l.count.Malformed++
		return nil
	}
	s.dropPlain()
	if l.index > 0 && s.legs[0].spoke() {
		return nil
	}
	return b
}

// dropPlain drops the second leg when both deliver and one surely has no RTP.
func (s *source) dropPlain() {
	if len(s.legs) == 1 || !s.legs[0].spoke() || !s.legs[1].spoke() {
		return
	}
	for i := range s.legs {
		if l := &s.legs[i]; !l.isRTP && l.plain >= surelyPlain {
			s.sorter.Drop(1, reasonPlain)
		}
	}
}

// Counters implements endpoint.Source. An RTP header whose number or SSRC fits nowhere
// counts as malformed: it lies as well.
func (s *source) Counters() report.Source {
	r := report.Source{
		Tag:     s.from.Tag(),
		RTPLost: s.sorter.Lost, Reordered: s.sorter.Reordered, Late: s.sorter.Late,
		Duplicates: s.sorter.Duplicates, Restarts: s.sorter.Restarts,
	}
	for i := range s.legs {
		l := &s.legs[i]
		r.RTP = r.RTP || l.isRTP
		c := l.count
		c.Tag = l.end.Tag()
		c.Malformed += s.sorter.LegStray(i)
		c.Lost = s.sorter.LegLost(i)
		if c.Dropped = s.sorter.Dropped(i); c.Dropped == "" && l.failed != nil {
			c.Dropped = l.failed.Error()
		}
		r.Legs = append(r.Legs, c)
	}
	return r
}
