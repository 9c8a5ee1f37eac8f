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

// Channel is one source and its clients.
type Channel struct {
	Tag     string    `json:"tag"`    // UDP://239.1.1.1:5000
	State   string    `json:"state"`  // joining, live, lingering
	Format  string    `json:"format"` // ts, raw or "" while unknown
	Since   time.Time `json:"since"`
	Bytes   uint64    `json:"bytes"`         // received payload
	Rate    uint64    `json:"rate_bps"`      // bits a second, over the last second
	History uint64    `json:"history_bytes"` // held for clients that come or lag
	Source  Source    `json:"source"`
	Streams []Stream  `json:"streams"`
	Clients []Client  `json:"clients"`
}

// Source counts what a channel's receiving end met. All count from the opening.
type Source struct {
	Datagrams  uint64 `json:"datagrams"`
	RTP        bool   `json:"rtp"`
	Foreign    uint64 `json:"foreign"`     // for another destination or interface; dropped
	Truncated  uint64 `json:"truncated"`   // longer than 64 KiB; dropped
	KernelLost uint64 `json:"kernel_lost"` // dropped by the kernel: receive buffer too small
	Malformed  uint64 `json:"malformed"`   // RTP headers that lie; dropped
	RTPLost    uint64 `json:"rtp_lost"`    // gaps in RTP sequence numbers, packets
	SyncLost   uint64 `json:"sync_lost"`   // times the 0x47 raster was lost
	Skipped    uint64 `json:"skipped"`     // bytes dropped while out of sync
	Continuity uint64 `json:"continuity"`  // continuity counter errors
	Transport  uint64 `json:"transport"`   // packets with transport_error_indicator
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
	Bytes   uint64    `json:"bytes"`
	Rate    uint64    `json:"rate_bps"`      // bits a second, over the last second
	Lag     uint64    `json:"lag_bytes"`     // behind the newest byte of the channel
	Skips   uint64    `json:"skips"`         // times it fell out of the history and was put on a key frame
	Skipped uint64    `json:"skipped_bytes"` // bytes it missed so
}
