package channel

import (
	"bytes"
	"slices"
	"time"

	"sluice/internal/media/ts"
)

// seam tells receivers that another source goes on (ISO/IEC 13818-1, 2.4.3.5,
// discontinuity_indicator):
//
//   - of the PIDs that begin whole at the seam, which are those of the tables and of the
//     access unit behind them, a packet without payload comes first. So no counter jumps
//     unannounced, and no packet is taken for the repeat of the last one of its PID.
//   - the first PCR of each PID carries the indicator: another clock.
//
// Of the other PIDs the counters jump: payload is really missing there.
type seam struct {
	at     time.Duration
	clocks []uint16 // PIDs whose new clock has been announced
}

// seamTime is for how long new clocks are looked for: ten times what may lie between
// two PCRs (2.7.2).
const seamTime = time.Second

const (
	headerAdaptation = 0x20 // adaptation_field_control
	headerPayload    = 0x10
	discontinuity    = 0x80 // first flag of the adaptation field
)

// announce sets the indicator on the first PCR of each PID in packets, and says whether
// more is to come after now.
func (s *seam) announce(packets []byte, now time.Duration) (more bool) {
	for i := 0; i+ts.PacketSize <= len(packets); i += ts.PacketSize {
		p := ts.Packet(packets[i : i+ts.PacketSize])
		if _, ok := p.PCR(); ok && !slices.Contains(s.clocks, p.PID()) {
			p[5] |= discontinuity
			s.clocks = append(s.clocks, p.PID())
		}
	}
	return len(s.clocks) == 0 || now-s.at < seamTime
}

// leaders returns a packet for each PID of packets that begins whole there: it has the
// counter before that of the PID's first packet, no payload, and the indicator.
func leaders(packets []byte) (out []byte) {
	var done []uint16
	for i := 0; i+ts.PacketSize <= len(packets); i += ts.PacketSize {
		p := ts.Packet(packets[i : i+ts.PacketSize])
		if slices.Contains(done, p.PID()) {
			continue
		}
		done = append(done, p.PID())
		if !p.PayloadStart() || !p.HasPayload() {
			continue
		}
		leader := ts.Packet(bytes.Repeat([]byte{0xFF}, ts.PacketSize))
		copy(leader, []byte{ts.SyncByte, p[1] & 0x1F, p[2], headerAdaptation, ts.PacketSize - 5, discontinuity})
		leader.SetContinuity(p.Continuity() - 1)
		out = append(out, leader...)
	}
	return out
}
