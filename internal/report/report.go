// Package report holds the words in which engines and gws tell what runs: the
// engines fill in Engine, handoff carries it, gws gathers Status, admin shows it.
//
// The JSON names are public: /status?format=json prints a Status.
package report

import "time"

// Status is everything one sluice serves at the moment.
type Status struct {
	Name    string    `json:"name"`    // always "sluice"
	Version string    `json:"version"` // as `sluice version` prints it
	PID     int       `json:"pid"`     // of gws
	Started time.Time `json:"started"` // of gws
	Now     time.Time `json:"now"`
	Engines []Engine  `json:"engines"`
	Totals  Totals    `json:"totals"`
}

// Totals sums over all engines.
type Totals struct {
	Channels int    `json:"channels"`
	Clients  int    `json:"clients"`
	RateIn   uint64 `json:"rate_in_bps"`  // bits a second
	RateOut  uint64 `json:"rate_out_bps"` // bits a second

	Refused Refused `json:"refused"`
}

// Refused counts the requests that met a limit, by the limit, since gws started.
type Refused struct {
	Clients        uint64 `json:"clients"`
	PerAddress     uint64 `json:"per_address"`
	Pending        uint64 `json:"pending"`
	Channels       uint64 `json:"channels"`
	Egress         uint64 `json:"egress"`
	ChannelClients uint64 `json:"channel_clients"` // of the channel asked for
	ChannelEgress  uint64 `json:"channel_egress"`  // likewise
}

// Engine is one gng process.
type Engine struct {
	ID       string    `json:"id"`
	PID      int       `json:"pid"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Channels []Channel `json:"channels"`
	// Error is set when the engine did not answer in time; Channels is then what it
	// held when it last did.
	Error string `json:"error,omitempty"`
}

// ChannelClosed is the State of a channel that is received no more: its last clients
// get what is left of it.
const ChannelClosed = "closed"

// Channel is one channel with its sources and its clients.
type Channel struct {
	Name     string    `json:"name,omitempty"` // of the configuration
	Tag      string    `json:"tag"`            // UDP://239.1.1.1:5000
	State    string    `json:"state"`          // joining, live, silent, backup, lingering, closed
	Pinned   bool      `json:"pinned"`         // received whether there are clients or not
	Format   string    `json:"format"`         // ts, raw or "" while unknown
	Since    time.Time `json:"since"`
	Bytes    uint64    `json:"bytes"`            // received payload
	Rate     uint64    `json:"rate_bps"`         // bits a second, over the last second
	History  uint64    `json:"history_bytes"`    // held for clients that come or lag
	Switches uint64    `json:"switches"`         // times that another source was put on air
	Sources  []Source  `json:"sources"`          // in the order of preference
	Health   *Health   `json:"health,omitempty"` // nil when it is switched off
	Streams  []Stream  `json:"streams"`
	Clients  []Client  `json:"clients"`
}

// Source is one source of a channel and what it met. All counts are since its opening.
type Source struct {
	Tag   string `json:"tag"`
	State string `json:"state"`           // on air, trial, standby, failed
	Error string `json:"error,omitempty"` // why it is not delivering
	Legs  []Leg  `json:"legs"`            // one, or two that are merged

	RTP        bool   `json:"rtp"`
	RTPLost    uint64 `json:"rtp_lost"`   // packets that came on no leg in time
	Reordered  uint64 `json:"reordered"`  // packets that came behind a later one and were put in their place
	Late       uint64 `json:"late"`       // packets that came after their place had passed; dropped
	Duplicates uint64 `json:"duplicates"` // packets that came more than once on one leg; dropped
	Restarts   uint64 `json:"restarts"`   // the sender began anew: another SSRC or a jump that was kept up
	SyncLost   uint64 `json:"sync_lost"`  // times the 0x47 raster was lost
	Skipped    uint64 `json:"skipped"`    // bytes dropped while out of sync
	Continuity uint64 `json:"continuity"` // continuity counter errors
	Transport  uint64 `json:"transport"`  // packets with transport_error_indicator
}

// Leg is one receiving socket of a source.
type Leg struct {
	Tag        string `json:"tag"`
	Datagrams  uint64 `json:"datagrams"`
	Foreign    uint64 `json:"foreign"`           // for another destination or interface; dropped
	Truncated  uint64 `json:"truncated"`         // longer than 64 KiB; dropped
	KernelLost uint64 `json:"kernel_lost"`       // dropped by the kernel: receive buffer too small
	Malformed  uint64 `json:"malformed"`         // RTP headers that lie; dropped
	Lost       uint64 `json:"lost"`              // packets that came on the other leg only
	Dropped    string `json:"dropped,omitempty"` // why nothing of it is used any more
}

// Health counts the faults of the stream that is on air, since the channel was opened
// (ETSI TR 101 290, 5.2: the checks that need no decoding).
type Health struct {
	SyncLoss    uint64 `json:"sync_loss"`    // 1.1
	PAT         uint64 `json:"pat"`          // 1.3
	Continuity  uint64 `json:"continuity"`   // 1.4
	PMT         uint64 `json:"pmt"`          // 1.5
	Transport   uint64 `json:"transport"`    // 2.1
	CRC         uint64 `json:"crc"`          // 2.2
	PCRInterval uint64 `json:"pcr_interval"` // 2.3a
	PCRJump     uint64 `json:"pcr_jump"`     // 2.3b
	PCRJitter   uint64 `json:"pcr_jitter"`   // 2.4
	PTS         uint64 `json:"pts"`          // 2.5
}

// Stream is one elementary stream of a channel.
type Stream struct {
	Program uint16 `json:"program"`
	PID     uint16 `json:"pid"`
	Codec   string `json:"codec"` // h264, h265, mpeg2video, aac, ac3, …, or "type 0x06"
}

// Client is one receiver of a channel.
type Client struct {
	ID      uint64    `json:"id"`
	Tag     string    `json:"tag"`  // TCP://192.0.2.7:50905
	Addr    string    `json:"addr"` // 192.0.2.7:50905
	Since   time.Time `json:"since"`
	Bytes   uint64    `json:"bytes"`         // of the stream, without the head of the answer
	Rate    uint64    `json:"rate_bps"`      // bits a second, over the last second
	Lag     uint64    `json:"lag_bytes"`     // behind the newest byte of the channel
	Skips   uint64    `json:"skips"`         // times it fell out of the history and was put on a key frame
	Skipped uint64    `json:"skipped_bytes"` // bytes it missed so
}
