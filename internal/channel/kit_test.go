package channel_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/uri"
)

const packet = ts.PacketSize

// PIDs of all stations: back-ups carry the same.
const (
	patPID   = 0
	pmtPID   = 0x1000
	videoPID = 0x100
	audioPID = 0x101
)

// step is what one datagram of a station lasts, and how often the rig looks.
const step = 100 * time.Millisecond

// station makes an endless transport stream: a datagram of seven packets a step, and in
// the first of each group a key frame of two packets with tables before it. Tables have the station's
// number as their version; each other packet ends with it and a running number.
type station struct {
	id       byte
	counters [8192]byte
	made     int // datagrams
	seq      uint16
	pcr      int64
	group    int  // datagrams from key frame to key frame
	plain    bool // says nothing of key frames, as a scrambled one
	late     bool // key frames come without a clock
	clocks   bool // the sound has a clock of its own
}

// datagram is the next one.
func (s *station) datagram() []byte {
	half := func() { s.pcr += 27_000_000 / 20 }
	at := s.made % s.group
	s.made++
	half()
	var b []byte
	switch at {
	case 0:
		b = slices.Concat(s.tables(), s.key())
	case 4, 8: // tables are due every half second
		b = slices.Concat(s.picture(true), s.tables(), s.sound())
	default:
		b = slices.Concat(s.picture(true), s.sound(), s.picture(false), s.sound())
	}
	half()
	return slices.Concat(b, s.picture(true), s.sound(), s.picture(false))
}

func (s *station) tables() []byte {
	version := 0xC1 | s.id<<1
	pat := []byte{0, 0xB0, 13, 0, 1, version, 0, 0, 0, 1, 0xE0 | pmtPID>>8, pmtPID & 0xFF}
	pmt := []byte{
		2, 0xB0, 23, 0, 1, version, 0, 0, 0xE0 | videoPID>>8, videoPID & 0xFF, 0xF0, 0,
		0x1B, 0xE0 | videoPID>>8, videoPID & 0xFF, 0xF0, 0, 0x0F, 0xE0 | audioPID>>8, audioPID & 0xFF, 0xF0, 0,
	}
	return slices.Concat(s.section(patPID, pat), s.section(pmtPID, pmt))
}

func (s *station) section(pid uint16, b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, crc32(b))
	return s.packet(pid, true, nil, append(append([]byte{0}, b...), bytes.Repeat([]byte{0xFF}, 183-len(b))...))
}

// crc32 is that of ISO/IEC 13818-1, annex A.
func crc32(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			if crc>>31 != 0 {
				crc = crc<<1 ^ 0x04C11DB7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// key is a key frame of H.264; only its second packet tells what it is.
func (s *station) key() []byte {
	nals := []byte{0, 0, 0, 1, 9, 0xF0, 0, 0, 0, 1, 0x67, 0x42, 0x42, 0x42, 0, 0, 0, 1, 0x68, 0xCE, 0x38, 0x80}
	if s.plain {
		nals = nil
	}
	first := s.unit(videoPID, !s.late, slices.Concat(s.pes(0xE0), nals))
	return slices.Concat(first, s.packet(videoPID, false, nil, s.signed([]byte{0, 0, 1, 0x65, 0x88, 0x84}, 184)))
}

func (s *station) picture(clock bool) []byte {
	return s.unit(videoPID, clock, slices.Concat(s.pes(0xE0), []byte{0, 0, 1, 0x41, 0b1_00110_10, 0x84}))
}

func (s *station) sound() []byte { return s.unit(audioPID, s.clocks, s.pes(0xC0)) }

// unit is a packet with which a PES packet begins.
func (s *station) unit(pid uint16, clock bool, b []byte) []byte {
	if clock {
		return s.packet(pid, true, s.clock(), s.signed(b, 184-8))
	}
	return s.packet(pid, true, nil, s.signed(b, 184))
}

// signed fills b up to size.
func (s *station) signed(b []byte, size int) []byte {
	s.seq++
	b = append(b, bytes.Repeat([]byte{0x5A}, size-3-len(b))...)
	return append(b, 0x80|s.id, 0x80|byte(s.seq>>7), 0x80|byte(s.seq))
}

func (s *station) pes(stream byte) []byte {
	pts := s.pcr/300 + 9000
	return []byte{
		0, 0, 1, stream, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(pts>>29)&0x0E, byte(pts >> 22), byte(pts>>14) | 1, byte(pts >> 7), byte(pts<<1) | 1,
	}
}

func (s *station) clock() []byte {
	base := s.pcr / 300
	return []byte{0x10, byte(base >> 25), byte(base >> 17), byte(base >> 9), byte(base >> 1), byte(base<<7) | 0x7E, 0}
}

func (s *station) packet(pid uint16, start bool, af, payload []byte) []byte {
	b := []byte{ts.SyncByte, byte(pid >> 8), byte(pid), 0x10 | s.counters[pid]}
	s.counters[pid] = (s.counters[pid] + 1) & 0x0F
	if start {
		b[1] |= 0x40
	}
	if af != nil {
		b[3] |= 0x20
		b = append(append(b, byte(len(af))), af...)
	}
	b = append(b, payload...)
	if len(b) != packet {
		panic(fmt.Sprintf("a packet of %d bytes", len(b)))
	}
	return b
}

// seen is what a receiver can say of a packet.
type seen struct {
	leader bool // no payload, discontinuity_indicator
	table  bool
	key    bool // the first packet of a key frame
	from   byte
	seq    uint16
}

func look(p ts.Packet) seen {
	switch {
	case !p.HasPayload():
		return seen{leader: p.Discontinuity()}
	case p.PID() == patPID || p.PID() == pmtPID:
		return seen{table: true, from: p.Payload()[6] >> 1 & 0x1F}
	}
	tail := p[packet-3:]
	return seen{
		key:  bytes.Contains(p.Payload(), []byte{0, 0, 0, 1, 0x67}),
		from: tail[0] & 0x7F, seq: uint16(tail[1]&0x7F)<<7 | uint16(tail[2]&0x7F),
	}
}

// run is a part of the output that is one station's.
type run struct {
	from       byte
	at         int64 // offset of its first byte
	lead       int   // packets without payload before it
	tables     int   // right behind
	key        bool  // and then a key frame
	packets    int
	lost       int // jumps of the running number
	announced  bool
	clock      bool
	last       uint16
	continuous bool
}

// runs cuts the output into the parts of the stations.
func runs(t fataler, out []byte, start int64) (all []run) {
	if len(out)%packet != 0 {
		t.Fatalf("%d bytes are not whole packets", len(out))
	}
	var r *run
	leaders := 0
	for i := 0; i < len(out); i += packet {
		p := ts.Packet(out[i : i+packet])
		if p[0] != ts.SyncByte {
			t.Fatalf("no packet at %d", i)
		}
		s := look(p)
		if s.leader {
			leaders++
			continue
		}
		if !p.HasPayload() {
			t.Fatalf("a packet without payload at %d", i)
		}
		if r == nil || s.from != r.from || leaders > 0 {
			all = append(all, run{from: s.from, at: start + int64(i-leaders*packet), lead: leaders})
			r, leaders = &all[len(all)-1], 0
		}
		r.add(p, s)
	}
	return all
}

type fataler interface{ Fatalf(string, ...any) }

func (r *run) add(p ts.Packet, s seen) {
	if s.table && r.packets == r.tables {
		r.tables++
	}
	if s.key && r.packets == r.tables {
		r.key = true
	}
	r.packets++
	if _, ok := p.PCR(); ok && !r.clock {
		r.clock, r.announced = true, p.Discontinuity()
	}
	if s.table {
		return
	}
	if r.continuous && s.seq != (r.last+1)&0x3FFF {
		r.lost++
	}
	r.last, r.continuous = s.seq, true
}

// rig does what the loop does: it opens and closes what the channel wants, once a step.
type rig struct {
	t        fataler
	c        *channel.Channel
	h        *history.History
	now      time.Duration
	stations []*station
	feeds    []*channel.Feed
	refuse   []error // why a source cannot be opened
	opened   []int   // how often each was
	switches []channel.Switch
}

var (
	errRefused = errors.New("no such group")
	errOver    = errors.New("that was all")
)

func newRig(t testing.TB, sources int, s lineup.Settings) *rig {
	pool := history.NewPool(0)
	h := history.New(pool, history.Limits{Depth: time.Hour, Bytes: 1 << 30})
	t.Cleanup(func() { h.Free(); pool.Close() })
	return rigOn(t, h, sources, s)
}

func rigOn(t fataler, h *history.History, sources int, s lineup.Settings) *rig {
	conf := lineup.Channel{Name: "one", Settings: s}
	r := &rig{t: t, h: h, feeds: make([]*channel.Feed, sources), refuse: make([]error, sources), opened: make([]int, sources)}
	for i := range sources {
		source, err := uri.ParseSource(fmt.Sprintf("udp://239.1.1.%d:5000", i+1))
		if err != nil {
			t.Fatalf("%v", err)
		}
		conf.Sources = append(conf.Sources, source)
		r.stations = append(r.stations, &station{id: byte(i), group: 10, pcr: int64(i+1) * 1e9, seq: uint16(1000 * i)})
	}
	r.c = channel.New(conf, h, 0)
	r.c.Join()
	r.tune()
	return r
}

// tune opens and closes until the channel has what it wants.
func (r *rig) tune() {
	for changed := true; changed; {
		changed = false
		for i := range r.feeds {
			wanted := r.c.Wants(i, r.now)
			switch {
			case wanted && r.feeds[i] == nil && r.refuse[i] != nil:
				r.c.Failed(i, r.refuse[i], r.now)
				changed = r.c.Wants(i, r.now)
				if changed {
					r.t.Fatalf("source %d failed just now and is wanted again", i)
				}
			case wanted && r.feeds[i] == nil:
				r.feeds[i] = r.c.Opened(i, r.now)
				r.opened[i]++
				changed = true
			case !wanted && r.feeds[i] != nil:
				r.c.Closed(i, r.now)
				r.feeds[i] = nil
				changed = true
			}
		}
	}
	if s, ok := r.c.Switched(); ok {
		r.switches = append(r.switches, s)
	}
}

// fail breaks source i, which can not be opened until refuse[i] is nil again.
func (r *rig) fail(i int) {
	r.refuse[i] = errRefused
	if r.feeds[i] != nil {
		r.feeds[i] = nil
		r.c.Failed(i, errRefused, r.now)
	}
	r.tune()
}

// finish ends source i in order.
func (r *rig) finish(i int) {
	if f := r.feeds[i]; f != nil {
		f.Finish()
		r.feeds[i] = nil
		r.c.Finished(i, errOver, r.now)
	}
	r.tune()
}

// put delivers b from source i, if it is open.
func (r *rig) put(i int, b []byte) {
	if f := r.feeds[i]; f != nil {
		put(f, r.now, b)
	}
}

func put(f *channel.Feed, now time.Duration, b []byte) {
	f.At(now)
	for len(b) > 0 {
		n := copy(f.Reserve(1), b)
		f.Commit(n)
		b = b[n:]
	}
}

// pass lets d pass while the stations on send; they send whether they are received or not.
func (r *rig) pass(d time.Duration, on ...int) {
	for end := r.now + d; r.now < end; {
		r.now += step
		for _, i := range on {
			r.put(i, r.stations[i].datagram())
		}
		r.tune()
	}
}

func (r *rig) report() report.Channel {
	return r.c.Report(r.now, func(int) report.Source { return report.Source{} })
}

func (r *rig) states() (s []string) {
	for _, source := range r.report().Sources {
		s = append(s, source.State)
	}
	return s
}

func all(h *history.History) []byte {
	return bytes.Join(h.Slices(nil, h.Tail(), int(h.Head()-h.Tail())), nil)
}

// null returns n null packets, numbered so that they can be told apart.
func null(n int) []byte {
	b := bytes.Repeat([]byte{0xFF}, n*packet)
	for i := range n {
		copy(b[i*packet:], []byte{0x47, 0x1F, 0xFF, 0x10, byte(i >> 8), byte(i)})
	}
	return b
}

// garbage is n bytes of no transport stream.
func garbage(n int) []byte { return bytes.Repeat([]byte("no packets here "), n/16) }
