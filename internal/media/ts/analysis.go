package ts

import "fmt"

// Analysis is an Analyzer's judgement. Its JSON names are public: `sluice probe
// --json` prints it. Times are in milliseconds; "interval" is measured by the
// stream's own clock, the PCR of its first program, and is 0 without one.
type Analysis struct {
	Valid    bool     `json:"valid"`    // there are no problems
	Problems []string `json:"problems"` // a receiver will notice
	Warnings []string `json:"warnings"` // a receiver may notice

	Packets          uint64  `json:"packets"` // null packets included
	Bytes            uint64  `json:"bytes"`   // skipped ones included
	DurationMS       float64 `json:"duration_ms"`
	BitRate          uint64  `json:"bit_rate_bps"`       // by arrival
	ClockBitRate     uint64  `json:"clock_bit_rate_bps"` // by PCR
	NullPackets      uint64  `json:"null_packets"`
	ScrambledPackets uint64  `json:"scrambled_packets"`
	Continuity       uint64  `json:"continuity_errors"`
	TransportErrors  uint64  `json:"transport_errors"`
	BadTables        uint64  `json:"bad_tables"`
	SyncLosses       uint64  `json:"sync_losses"`
	SkippedBytes     uint64  `json:"skipped_bytes"` // while out of sync, before the first packet too
	Health           Health  `json:"health"`        // what a channel counts as it passes

	FirstPacketMS *float64 `json:"first_packet_ms"` // arrival; null when none came
	FirstStartMS  *float64 `json:"first_start_ms"`  // first key frame, or audio where there is no video
	KeyFrames     uint64   `json:"key_frames"`      // of the first video stream
	KeyFrameMaxMS float64  `json:"key_frame_interval_max_ms"`
	PATMaxMS      float64  `json:"pat_interval_max_ms"`
	PMTMaxMS      float64  `json:"pmt_interval_max_ms"`

	PCR      PCRAnalysis       `json:"pcr"`
	Programs []ProgramAnalysis `json:"programs"`
	PIDs     []PIDAnalysis     `json:"pids"` // all that carried a packet, in order
}

// PCRAnalysis is about the clock of the first program.
type PCRAnalysis struct {
	PID             uint16  `json:"pid"`
	Count           uint64  `json:"count"`
	IntervalAvgMS   float64 `json:"interval_avg_ms"`
	IntervalMaxMS   float64 `json:"interval_max_ms"`
	JitterMaxMS     float64 `json:"jitter_max_ms"`   // largest |Δarrival − ΔPCR| of two PCRs in a row
	Discontinuities uint64  `json:"discontinuities"` // steps back or over 1 s forward, not announced
}

// ProgramAnalysis is one entry of the PAT.
type ProgramAnalysis struct {
	Number  uint16           `json:"number"`
	PMTPID  uint16           `json:"pmt_pid"`
	PMT     bool             `json:"pmt"` // it came; without it the rest is empty
	PCRPID  uint16           `json:"pcr_pid"`
	Streams []StreamAnalysis `json:"streams"`
}

// StreamAnalysis is one elementary stream of a program.
type StreamAnalysis struct {
	Type  uint8  `json:"type"` // stream_type
	Codec string `json:"codec"`
	PIDAnalysis
}

// PIDAnalysis counts the packets of one PID.
type PIDAnalysis struct {
	PID              uint16 `json:"pid"`
	Packets          uint64 `json:"packets"`
	Continuity       uint64 `json:"continuity_errors"`
	ScrambledPackets uint64 `json:"scrambled_packets"`
}

// Limits in milliseconds: ETSI TR 101 290, 5.2.1 (PAT, PMT) and ISO/IEC 13818-1,
// 2.7.2 (PCR).
const (
	maxTableMS = 500
	maxPCRMS   = 100
)

// judge fills in Problems, Warnings and Valid from the figures.
func (r *Analysis) judge() {
	r.Problems, r.Warnings = []string{}, []string{}
	if r.Packets == 0 {
		r.problem(r.Bytes == 0, "nothing came")
		r.problem(r.Bytes > 0, "no transport stream in %d bytes", r.Bytes)
		return
	}
	r.judgeTables()
	r.judgeClock()
	r.problem(r.SyncLosses > 0, "lost sync %d times, %d bytes skipped", r.SyncLosses, r.SkippedBytes)
	r.problem(r.Continuity > 0, "%d continuity errors: packets are missing or out of order", r.Continuity)
	r.problem(r.TransportErrors > 0, "%d packets marked as damaged (transport_error_indicator)", r.TransportErrors)
	r.warn(r.SyncLosses == 0 && r.SkippedBytes > 0, "%d bytes before the first packet", r.SkippedBytes)
	r.warn(r.ScrambledPackets > 0, "%d packets are scrambled", r.ScrambledPackets)
	r.warn(r.FirstStartMS == nil, "no key frame or audio frame to start at in %.1f s", r.DurationMS/1000)
	r.Valid = len(r.Problems) == 0
}

func (r *Analysis) judgeTables() {
	r.problem(len(r.Programs) == 0, "no PAT: the programs are unknown")
	r.problem(r.BadTables > 0, "%d damaged PAT or PMT sections", r.BadTables)
	r.warn(r.PATMaxMS > maxTableMS, "PAT up to %.0f ms apart: at most %d are allowed", r.PATMaxMS, maxTableMS)
	r.warn(r.PMTMaxMS > maxTableMS, "PMT up to %.0f ms apart: at most %d are allowed", r.PMTMaxMS, maxTableMS)
	missing := 0
	for _, p := range r.Programs {
		if !p.PMT {
			missing++
		}
		for _, s := range p.Streams {
			r.warn(s.Packets == 0, "PID %d (%s) of program %d is announced but empty", s.PID, s.Codec, p.Number)
		}
	}
	r.problem(missing > 0 && missing == len(r.Programs), "no PMT: the streams are unknown")
	r.warn(missing > 0 && missing < len(r.Programs), "%d of %d programs have no PMT", missing, len(r.Programs))
}

func (r *Analysis) judgeClock() {
	tables := len(r.Programs) > 0 && r.Programs[0].PMT
	r.problem(tables && r.PCR.Count == 0, "no PCR: receivers have no clock")
	r.problem(r.PCR.Discontinuities > 0, "%d jumps of the PCR", r.PCR.Discontinuities)
	r.warn(r.Health.PCRJitter > 0, "%d clock references (PCR) are off the line of the constant rate by more than 1 µs", r.Health.PCRJitter)
	r.warn(r.Health.PTS > 0, "%d times no PTS for 700 ms", r.Health.PTS)
	r.warn(r.PCR.IntervalMaxMS > maxPCRMS, "PCR up to %.0f ms apart: at most %d are allowed", r.PCR.IntervalMaxMS, maxPCRMS)
}

func (r *Analysis) problem(is bool, format string, args ...any) {
	if is {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

func (r *Analysis) warn(is bool, format string, args ...any) {
	if is {
		r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
	}
}
