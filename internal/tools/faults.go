package tools

import (
	"errors"
	"fmt"
	"time"
)

// Faults are what Send breaks on purpose, exactly and the same every time, so that what
// a receiver reports can be checked. Zero breaks nothing; faults may be combined.
// Everything is counted from one.
type Faults struct {
	// Of datagrams. One that is dropped meets no other of these.
	Drop    int // every Nth is not sent; at least 2
	Dup     int // every Nth is sent twice
	Swap    int // every Nth is sent after its successor; at least 2
	Late    int // every Nth is sent a second late; at least 2
	Corrupt int // every Nth has the sync byte of its first packet overwritten

	// Of RTP, which they need.
	RTPSSRC int // from every Nth datagram on the SSRC is another; at least 3
	RTPJump int // from every Nth datagram on the sequence numbers are 10000 ahead; at least 3

	// Of packets.
	TransportError int // every Nth is marked as damaged; null packets too
	Continuity     int // from every Nth with a payload on, the counter of its PID is one ahead; at least 2

	// Of tables.
	NoPAT  bool          // the packets of the PAT become null packets
	NoPMT  bool          // those of the PMTs too
	PATGap time.Duration // the PAT is left out for so long, a second after the beginning and after each gap
	PMTGap time.Duration // the PMTs likewise
	BadCRC int           // every Nth section of PAT and PMTs that starts a packet is damaged

	// Of times. The clock is that of the first PID that has a PCR.
	PCRGap    time.Duration // the PCRs of all PIDs are left out as in PATGap
	PTSGap    time.Duration // PTS and DTS likewise
	PCRJitter time.Duration // every second PCR of each PID is moved by so much
	PCRJump   int           // from every Nth PCR on all times are 10 s ahead; at least 2
	PCRSplice int           // the same with discontinuity_indicator, which is no fault
	PCRWrap   time.Duration // all times are moved so that the PCR wraps after so long, which is no fault
}

// What some faults have in common.
const (
	gapSpacing  = time.Second // between the gaps of a kind
	lateBy      = time.Second
	rtpJump     = 10_000 // more than may be lost, RFC 3550, A.1
	maxFaultFor = time.Hour
)

// FaultStats counts what was broken.
type FaultStats struct {
	Dropped    uint64 // datagrams
	Duplicated uint64
	Swapped    uint64 // those whose successor was sent before them
	Late       uint64
	Corrupted  uint64
	RTPSSRCs   uint64 // changes
	RTPJumps   uint64

	TransportErrors uint64 // packets
	Continuity      uint64 // jumps of a counter

	NoPAT    uint64 // packets
	NoPMT    uint64
	PATGaps  uint64 // begun; each PID has its own
	PMTGaps  uint64
	BadCRCs  uint64 // sections
	PCRGaps  uint64
	PTSGaps  uint64
	MovedPCR uint64 // packets
	PCRJumps uint64
	Splices  uint64
}

// rows are the counts in words.
func (s FaultStats) rows() []statRow {
	return []statRow{
		{s.Dropped, "dropped"},
		{s.Duplicated, "duplicated"},
		{s.Swapped, "swapped"},
		{s.Late, "late"},
		{s.Corrupted, "corrupted"},
		{s.RTPSSRCs, "new SSRCs"},
		{s.RTPJumps, "jumps of the RTP sequence"},
		{s.TransportErrors, "packets marked as damaged"},
		{s.Continuity, "continuity jumps"},
		{s.NoPAT, "PAT packets blanked"},
		{s.NoPMT, "PMT packets blanked"},
		{s.PATGaps, "gaps of the PAT"},
		{s.PMTGaps, "gaps of PMTs"},
		{s.BadCRCs, "sections damaged"},
		{s.PCRGaps, "gaps of the PCR"},
		{s.PTSGaps, "gaps of PTS"},
		{s.MovedPCR, "PCRs moved"},
		{s.PCRJumps, "PCR jumps"},
		{s.Splices, "PCR jumps announced"},
	}
}

// validate says what is wrong with the faults of a stream with or without RTP, in the
// words of the command line.
func (f Faults) validate(rtp bool) error {
	for _, c := range []struct {
		flag  string
		n     int
		least int
		what  string
	}{
		{"drop", f.Drop, 2, "datagram"},
		{"dup", f.Dup, 1, "datagram"},
		{"swap", f.Swap, 2, "datagram"},
		{"late", f.Late, 2, "datagram"},
		{"corrupt", f.Corrupt, 1, "datagram"},
		{"rtp-ssrc", f.RTPSSRC, 3, "datagram"},
		{"rtp-jump", f.RTPJump, 3, "datagram"},
		{"transport-error", f.TransportError, 1, "packet"},
		{"continuity", f.Continuity, 2, "packet"},
		{"bad-crc", f.BadCRC, 1, "section"},
		{"pcr-jump", f.PCRJump, 2, "PCR"},
		{"pcr-splice", f.PCRSplice, 2, "PCR"},
	} {
		if c.n != 0 && c.n < c.least {
			return fmt.Errorf("--%s %d: want %d or more (every Nth %s)", c.flag, c.n, c.least, c.what)
		}
	}
	for _, c := range []struct {
		flag string
		d    time.Duration
	}{
		{"pat-gap", f.PATGap},
		{"pmt-gap", f.PMTGap},
		{"pcr-gap", f.PCRGap},
		{"pts-gap", f.PTSGap},
		{"pcr-jitter", f.PCRJitter},
		{"pcr-wrap", f.PCRWrap},
	} {
		if c.d < 0 || c.d > maxFaultFor {
			return fmt.Errorf("--%s %s: want 0 to 1h", c.flag, c.d)
		}
	}
	if !rtp && (f.RTPSSRC > 0 || f.RTPJump > 0) {
		return errors.New("--rtp-ssrc and --rtp-jump: want --to rtp://ADDRESS:PORT")
	}
	return nil
}

// every reports that n is one of every so many.
func every(nth int, n uint64) bool { return nth > 0 && n%uint64(nth) == 0 }
