package main

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/media/rtp"
)

// feed sends the channels of the soak: RTP, with faults (see fateOf) and sources that
// stop and begin anew.
type feed struct {
	fd       int
	channels []*source
	datagram int64 // nanoseconds each lasts
	dropped  atomic.Int64
	delayed  atomic.Int64
	doubled  atomic.Int64
	failed   atomic.Int64 // datagrams that the system did not take
	stop     atomic.Bool
	done     chan struct{}
}

// source is one channel. Its sender owns all but the atomics.
type source struct {
	index   int
	group   unix.SockaddrInet4
	stream  *stream
	queue   faultQueue
	header  rtp.Header // of the next datagram
	buf     []byte
	resting bool // what off said last

	off     atomic.Bool
	changed atomic.Int64 // clock() when off was last set, 0 never
}

// startFeed sends n channels of a bit rate until Close.
func startFeed(n int, rate int64) (*feed, error) {
	f, err := newFeed(n, rate)
	if err == nil {
		go f.run()
	}
	return f, err
}

// newFeed makes a feed that nobody steps yet.
func newFeed(n int, rate int64) (*feed, error) {
	fd, err := openSender()
	if err != nil {
		return nil, err
	}
	f := &feed{fd: fd, done: make(chan struct{})}
	for i := range n {
		s := &source{index: i, group: sockaddr(groupAddr(0, i)), stream: newStream(rate)}
		s.begin()
		f.channels = append(f.channels, s)
	}
	f.datagram = f.channels[0].stream.duration(datagramSize)
	return f, nil
}

// Close ends the sending and waits for it.
func (f *feed) Close() {
	f.stop.Store(true)
	<-f.done
	unix.Close(f.fd)
}

// turn stops the source of a channel, or lets it begin anew.
func (f *feed) turn(channel int, on bool) {
	s := f.channels[channel]
	s.changed.Store(clock())
	s.off.Store(!on)
}

// troubled says whether the source of a channel is off, or was within a time.
func (f *feed) troubled(channel int, within time.Duration) bool {
	s := f.channels[channel]
	changed := s.changed.Load()
	return s.off.Load() || changed != 0 && clock()-changed < int64(within)
}

func (f *feed) run() {
	defer close(f.done)
	keepPace(f.datagram, &f.stop, func() {
		for _, s := range f.channels {
			f.step(s)
		}
	})
}

// step sends the next datagram of a source that is on.
func (f *feed) step(s *source) {
	send := func(d []byte) {
		if unix.Sendto(f.fd, d, 0, &s.group) != nil {
			f.failed.Add(1)
		}
	}
	off := s.off.Load()
	switch {
	case off && !s.resting:
		s.queue.flush(send)
	case !off && s.resting:
		s.begin()
	}
	s.resting = off
	if off {
		return
	}
	what := fateOf(s.index, datagramOf(s.stream.seq))
	switch what {
	case fateDropped:
		f.dropped.Add(1)
	case fateDelayed:
		f.delayed.Add(1)
	case fateDoubled:
		f.doubled.Add(1)
	case fateSent:
	}
	s.queue.pass(s.next(), what, send)
}

// begin gives the source a new identity, as an encoder that was started again has. Its
// packets go on with their numbers.
func (s *source) begin() {
	s.header = rtp.Header{PayloadType: rtp.PayloadTypeMP2T, Sequence: uint16(rand.Uint32()), SSRC: rand.Uint32()}
}

// next makes the next datagram, valid until the next call.
func (s *source) next() []byte {
	s.header.Timestamp = uint32(s.stream.ticks(s.stream.seq) / 300)
	s.buf = s.header.Append(s.buf[:0])
	s.header.Sequence++
	s.buf = s.stream.appendDatagram(s.buf, clock())
	return s.buf
}

// String counts what was done to the channels.
func (f *feed) String() string {
	return fmt.Sprintf("%d dropped, %d delayed, %d doubled", f.dropped.Load(), f.delayed.Load(), f.doubled.Load())
}
