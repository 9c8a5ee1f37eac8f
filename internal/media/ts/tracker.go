package ts

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	// maxPrograms bounds the programs of a PAT that are followed.
	maxPrograms = 32
	// tableWait is how many bytes the tables may take to come before a stream is
	// followed without them: a quarter of a second of 8 Mbit/s, while a PAT is due
	// every tenth of a second.
	tableWait = 256 << 10
	// spacing is how many bytes lie between two starts that are no key frames.
	spacing = 64 << 10
	// spacingTime is how much time lies between two of sound alone, in ticks of
	// 90 kHz, where it takes fewer bytes than spacing.
	spacingTime = 90_000 / 2
)

// StartKind says what makes a place good to start at.
type StartKind uint8

// The kinds of Start, best first.
const (
	KeyFrame   StartKind = iota + 1 // a picture that needs none before it
	AudioFrame                      // there is no video: a PES packet of audio
	AnyPacket                       // there are no tables, or they name neither
)

// Start is a place where a decoder can begin.
type Start struct {
	// Offset is where the first packet of the access unit stands in the stream.
	Offset int64
	// Tables holds the packets of PAT and PMTs, PAT first, that a decoder should
	// get before it: verbatim, each PID's from the oldest that its tables need up to
	// the last before Offset, so that the continuity counters fit what follows. It
	// is never modified and may be shared between Starts. For AnyPacket it holds
	// what is known, often nothing.
	Tables []byte
	Kind   StartKind
}

// Stats counts what a Tracker met. All count from its first packet.
type Stats struct {
	Packets         uint64 // null packets included
	Continuity      uint64 // jumps of a continuity counter that were not announced
	TransportErrors uint64 // packets with transport_error_indicator; not looked at further
	BadTables       uint64 // PAT and PMT sections with a wrong CRC or lengths that lie
	PCRs            uint64 // of all PIDs
}

// Stream is one elementary stream that the tables announce.
type Stream struct {
	Program uint16 // program_number
	PID     uint16
	Type    uint8  // stream_type
	Codec   string // h264, aac, dvbsub, …, or "type 0x06"
}

// Tracker follows one stream packet by packet: its tables, its continuity, the places
// where a decoder can start and, if wanted, its Health. The zero Tracker is ready; it is
// one stream's and not safe for concurrent use. To follow another stream, assign
// Tracker{}.
//
// Which places count depends on what the tables announce:
//
//   - Video: the access units of the first video stream of the first program that
//     has one, where a decoder can start: sequence header and I picture (MPEG-1
//     and 2), SPS and an IDR or I picture or a recovery point (H.264), VPS or SPS
//     and an IRAP picture (H.265). Where the picture can not be read (scrambled,
//     other codecs) random_access_indicator decides.
//   - Audio only: PES packets of the first audio stream, half a second or 64 KiB
//     apart.
//   - Neither, or no tables within 256 KiB: any packet, 64 KiB apart.
type Tracker struct {
	// CheckHealth counts Health as well. It is set before the first Scan.
	CheckHealth bool

	pids     [NullPID]pidState
	pat      table
	pmts     []*table // one for each PID that carries PMTs
	programs []program
	version  uint64
	begun    bool
	waited   bool // tableWait is over
	stats    Stats

	follow     follow
	followPID  uint16
	followPMT  *table
	unit       accessUnit // of the video that is followed
	grammar    grammar
	last       int64 // offset of the latest start that is no key frame
	lastPTS    int64 // its PTS, -1 when it had none
	anyStart   bool  // last is set
	starts     []Start
	lastTables []byte

	health health
}

// follow says which starts a Tracker looks for.
type follow uint8

const (
	followTables follow = iota // none yet
	followVideo
	followAudio
	followAny
)

// role says who reads the packets of a PID.
type role uint8

const (
	roleNone role = iota
	roleTable
	roleVideo
	roleAudio
	roleTimed // its PTS are checked, and nothing else
)

// Scan reads b, whole aligned packets that stand at offset in the stream, and
// returns the places to start at that they complete, usually none. A place may lie
// before offset, in an earlier Scan, when only this one told what the picture is;
// places come in order. Offsets must grow from Scan to Scan. The returned slice is
// reused by the next call.
func (t *Tracker) Scan(b []byte, offset int64) []Start {
	t.starts = t.starts[:0]
	if !t.begun {
		t.begun = true
		t.pat.due.limit = maxTableGap
		t.pat.due.see(offset)
		t.assignRoles()
	}
	for i := 0; i+PacketSize <= len(b); i += PacketSize {
		t.packet(Packet(b[i:i+PacketSize:i+PacketSize]), offset+int64(i))
	}
	if !t.waited && t.stats.Packets >= tableWait/PacketSize {
		t.waited = true
		t.choose()
	}
	return t.starts
}

// Stats returns the counters.
func (t *Tracker) Stats() Stats { return t.stats }

// Version changes whenever the tables do: Streams may then say something new.
func (t *Tracker) Version() uint64 { return t.version }

// Streams returns the elementary streams in the order of PAT and PMTs, in a slice
// of the caller's own.
func (t *Tracker) Streams() []Stream {
	var all []Stream
	for _, p := range t.programs {
		for _, e := range p.streams {
			all = append(all, Stream{Program: p.number, PID: e.pid, Type: e.streamType, Codec: e.codec})
		}
	}
	return all
}

// ClockPID returns the PID that carries the PCR of the first program whose PMT is
// known; it is not ok before, and when that program has no clock.
func (t *Tracker) ClockPID() (pid uint16, ok bool) {
	for _, p := range t.programs {
		if p.known {
			return p.pcrPID, p.pcrPID != NullPID
		}
	}
	return 0, false
}

func (t *Tracker) packet(p Packet, offset int64) {
	t.stats.Packets++
	head := binary.BigEndian.Uint32(p)
	if head&0x80_0000 != 0 {
		t.stats.TransportErrors++
		return
	}
	if t.follow == followAny {
		t.anyPacket(offset)
	}
	pid := uint16(head>>8) & 0x1FFF
	if pid == NullPID {
		t.health.nulls++
		return
	}
	announced := false
	if head&0x20 != 0 {
		announced = p.Discontinuity()
		if p.pcrField() != nil {
			t.stats.PCRs++
		}
		if t.CheckHealth {
			t.checkClock(pid, p, offset)
		}
	}
	state := &t.pids[pid]
	step := state.next(head)
	if step != stepOn {
		t.health.breaks++
	}
	if step == stepJump && !announced {
		t.stats.Continuity++
	}
	if state.role == roleNone || step == stepRepeat || head&0x10 == 0 {
		return
	}
	lost := step == stepJump
	if head&0x40_0000 != 0 && t.CheckHealth {
		t.health.checkPES(pid, p, offset)
	}
	switch state.role {
	case roleTable:
		t.tablePacket(p, pid, offset, lost)
	case roleVideo:
		t.videoPacket(p, offset, lost)
	case roleAudio:
		t.audioPacket(p, offset)
	}
}

// Continuity

// pidState is what is kept of every PID: two bytes.
type pidState struct {
	counter uint8 // the last continuity counter with the flags below
	role    role
}

const (
	counterKnown   = 0x10
	counterTwice   = 0x20 // the last packet came twice already
	counterValue   = 0x0F
	adaptationOnly = 0x20
	payloadBit     = 0x10
)

// step is how a continuity counter went on.
type step uint8

const (
	stepOn     step = iota
	stepRepeat      // the last packet again, or one that has to be ignored
	stepJump
)

// next judges the counter of a packet from its four header bytes (13818-1,
// 2.4.3.3): it goes up by one with each payload, stands still without, and one
// repeat of a packet is legal.
func (s *pidState) next(head uint32) step {
	counter := uint8(head & counterValue)
	known, twice, last := s.counter&counterKnown != 0, s.counter&counterTwice != 0, s.counter&counterValue
	due := last
	switch head & (adaptationOnly | payloadBit) {
	case 0: // reserved
		return stepRepeat
	case adaptationOnly:
	default:
		due = (last + 1) & counterValue
		if known && counter == last && !twice {
			s.counter |= counterTwice
			return stepRepeat
		}
	}
	s.counter = counterKnown | counter
	if known && counter != due {
		return stepJump
	}
	return stepOn
}

// Tables

func (t *Tracker) tablePacket(p Packet, pid uint16, offset int64, lost bool) {
	if pid == t.pat.pid {
		wrong := t.pat.wrong
		changed := t.pat.add(p, offset, lost, &t.stats.BadTables)
		t.health.count.PAT += t.pat.wrong - wrong
		if changed && t.pat.wholePAT() {
			t.readPAT(offset)
			t.readPMTs()
		}
		return
	}
	for _, pmt := range t.pmts {
		if pmt.pid != pid {
			continue
		}
		wrong := pmt.wrong
		changed := pmt.add(p, offset, lost, &t.stats.BadTables)
		t.health.count.PMT += pmt.wrong - wrong
		if changed {
			t.readPMTs()
		}
		return
	}
}

// readPAT makes a table for every PID that the PAT names, and keeps those it had. New
// ones are due from offset on.
func (t *Tracker) readPAT(offset int64) {
	t.programs = t.programs[:0]
	for number := range t.pat.sections {
		for _, c := range t.pat.sections {
			if int(c.section.number()) == number {
				t.programs = appendPrograms(t.programs, c.section.contents())
			}
		}
	}
	t.programs = t.programs[:min(len(t.programs), maxPrograms)]

	numbers := map[uint16][]uint16{}
	var pmts []*table
	for _, p := range t.programs {
		if numbers[p.pmtPID] == nil {
			pmts = append(pmts, t.expectedPMT(p.pmtPID, offset))
		}
		numbers[p.pmtPID] = append(numbers[p.pmtPID], p.number)
	}
	t.pmts = pmts
	for _, pmt := range t.pmts {
		pmt.expect(numbers[pmt.pid])
	}
}

func (t *Tracker) expectedPMT(pid uint16, offset int64) *table {
	if pmt := t.pmtTable(pid); pmt != nil {
		return pmt
	}
	pmt := &table{pid: pid, id: tablePMT, due: recurrence{limit: maxTableGap}}
	pmt.due.see(offset)
	return pmt
}

// pmtTable is the table on a PID that the PAT names, or nil.
func (t *Tracker) pmtTable(pid uint16) *table {
	for _, pmt := range t.pmts {
		if pmt.pid == pid {
			return pmt
		}
	}
	return nil
}

// readPMTs fills in the programs from the sections at hand.
func (t *Tracker) readPMTs() {
	for i := range t.programs {
		p := &t.programs[i]
		p.known = false
		for _, c := range t.pmtTable(p.pmtPID).sections {
			if c.section.id() == p.number {
				p.pcrPID, p.streams, p.known = parsePMT(c.section.contents())
			}
		}
	}
	t.version++
	if t.CheckHealth {
		t.tune()
	}
	t.choose()
}

// choose decides what to follow: when all PMTs are known, or with those that came
// within tableWait.
func (t *Tracker) choose() {
	t.follow, t.followPMT, t.unit.open = followTables, nil, false
	missing := func(p program) bool { return !p.known }
	complete := len(t.programs) > 0 && !slices.ContainsFunc(t.programs, missing)
	if complete || t.waited {
		if !t.chooseStream(video, followVideo) && !t.chooseStream(audio, followAudio) {
			t.follow = followAny
		}
	}
	t.assignRoles()
}

// chooseStream follows the first stream of the medium, if there is one.
func (t *Tracker) chooseStream(m medium, f follow) bool {
	for _, p := range t.programs {
		for _, e := range p.streams {
			if e.medium == m && e.pid != NullPID && !t.CarriesTables(e.pid) {
				t.follow, t.followPID, t.followPMT = f, e.pid, t.pmtTable(p.pmtPID)
				t.grammar = grammarOf(e.codec)
				return true
			}
		}
	}
	return false
}

// CarriesTables reports that a PID is that of the PAT or, as far as it is known, of a PMT.
func (t *Tracker) CarriesTables(pid uint16) bool {
	return pid == t.pat.pid || slices.ContainsFunc(t.pmts, func(pmt *table) bool { return pmt.pid == pid })
}

// assignRoles tells each PID who reads its packets.
func (t *Tracker) assignRoles() {
	for i := range t.pids {
		t.pids[i].role = roleNone
	}
	for _, r := range t.health.timed {
		t.pids[r.pid].role = roleTimed
	}
	switch t.follow {
	case followVideo:
		t.pids[t.followPID].role = roleVideo
	case followAudio:
		t.pids[t.followPID].role = roleAudio
	}
	t.pids[t.pat.pid].role = roleTable
	for _, pmt := range t.pmts {
		t.pids[pmt.pid].role = roleTable
	}
}

// Starts

func (t *Tracker) videoPacket(p Packet, offset int64, lost bool) {
	if lost || p.Scrambled() {
		t.unit.open = false
	}
	if p.PayloadStart() {
		t.unit.begin(t.grammar, offset)
		if t.unit.tables = t.appendTables(t.unit.tables); len(t.unit.tables) == 0 {
			t.unit.open = false
			return
		}
		if p.Scrambled() || t.grammar == unreadable {
			t.unit.open = false
			if p.RandomAccess() {
				t.start(KeyFrame, offset, t.unit.tables)
			}
		}
	}
	if t.unit.open && t.unit.add(p.Payload()) == decidedKey {
		t.start(KeyFrame, t.unit.offset, t.unit.tables)
	}
}

func (t *Tracker) audioPacket(p Packet, offset int64) {
	if !p.PayloadStart() {
		return
	}
	pts, _, ok := p.PESTimes()
	if !ok {
		pts = -1
	}
	if t.anyStart && offset-t.last < spacing {
		apart := mod(pts-t.lastPTS, wrap90k) // a step back counts as a long way
		if pts < 0 || t.lastPTS < 0 || apart < spacingTime {
			return
		}
	}
	if tables := t.appendTables(t.unit.tables[:0]); len(tables) > 0 {
		t.unit.tables = tables
		t.last, t.lastPTS, t.anyStart = offset, pts, true
		t.start(AudioFrame, offset, tables)
	}
}

func (t *Tracker) anyPacket(offset int64) {
	if t.anyStart && offset-t.last < spacing {
		return
	}
	t.last, t.lastPTS, t.anyStart = offset, -1, true
	t.unit.tables = t.appendTables(t.unit.tables[:0])
	t.start(AnyPacket, offset, t.unit.tables)
}

// appendTables appends the packets of PAT and PMTs; nothing when the PAT, or the
// PMT of the program that is followed, is not at hand.
func (t *Tracker) appendTables(dst []byte) []byte {
	pat := t.pat.verbatim()
	if pat == nil || t.followPMT != nil && t.followPMT.verbatim() == nil {
		return dst
	}
	dst = append(dst, pat...)
	for _, pmt := range t.pmts {
		dst = append(dst, pmt.verbatim()...)
	}
	return dst
}

// start adds a Start with a copy of tables, or the last copy when it is the same.
func (t *Tracker) start(kind StartKind, offset int64, tables []byte) {
	if !bytes.Equal(tables, t.lastTables) {
		t.lastTables = slices.Clone(tables)
	}
	t.starts = append(t.starts, Start{Offset: offset, Tables: t.lastTables, Kind: kind})
}
