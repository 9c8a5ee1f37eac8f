package gws

import (
	"errors"

	"sluice/internal/lineup"
	"sluice/internal/report"
)

// Limits are how much is served at once. What is above is refused with a 503, so that
// nobody who watches already is harmed. Zero is no limit; see DefaultLimits.
//
// A channel has limits of its own besides (lineup.Settings).
type Limits struct {
	MaxClients    int   // in all
	MaxPerAddress int   // of one client address, in IPv6 of one /64; a player that changes the channel counts twice for a moment
	MaxPending    int   // that no engine has answered yet
	MaxChannels   int   // open at once, pinned ones included: what clients ask for is what engines join
	MaxEgress     int64 // bits a second to all clients: the rates of their channels together
}

// DefaultLimits bound what a client can cause, not what an operator may serve.
func DefaultLimits() Limits { return Limits{MaxPending: 4096, MaxChannels: 1000} }

func (l Limits) validate() error {
	if l.MaxClients < 0 || l.MaxPerAddress < 0 || l.MaxPending < 0 || l.MaxChannels < 0 || l.MaxEgress < 0 {
		return errors.New("gws: limits cannot be negative")
	}
	return nil
}

// limit is one of the limits that a request can meet.
type limit uint8

const (
	noLimit limit = iota
	limitChannelClients
	limitChannelEgress
	limitPerAddress
	limitChannels
	limitClients
	limitEgress
	limitPending
	limits // how many there are
)

// String is its name in the configuration.
func (l limit) String() string {
	return [...]string{
		"none", "max_clients of the channel", "max_egress of the channel",
		"limits.per_address", "limits.channels", "limits.clients", "limits.egress", "limits.pending",
	}[l]
}

// load is how much is served when one more client comes, without it.
type load struct {
	clients, address, pending int // address: those of the same client address
	channels                  int
	egress                    uint64 // bits a second

	open           bool // its channel is one of the channels
	channelClients int
	rate           uint64 // bits a second of its channel; 0 while it is not known
}

// exceeded says which limit one more client would go beyond, and what it is set to.
// own are the settings of the client's channel.
func (l Limits) exceeded(x load, own lineup.Settings) (limit, int64) {
	channels := 0 // a client of an open channel adds none
	if !x.open {
		channels = x.channels + 1
	}
	for _, c := range [...]struct {
		limit limit
		then  uint64
		most  int64
	}{
		{limitChannelClients, uint64(x.channelClients + 1), int64(own.MaxClients)},
		{limitChannelEgress, uint64(x.channelClients+1) * x.rate, own.MaxEgress},
		{limitPerAddress, uint64(x.address + 1), int64(l.MaxPerAddress)},
		{limitChannels, uint64(channels), int64(l.MaxChannels)},
		{limitClients, uint64(x.clients + 1), int64(l.MaxClients)},
		{limitEgress, x.egress + x.rate, l.MaxEgress},
		{limitPending, uint64(x.pending + 1), int64(l.MaxPending)},
	} {
		if c.most > 0 && c.then > uint64(c.most) {
			return c.limit, c.most
		}
	}
	return noLimit, 0
}

// refusals are counted by limit.
type refusals [limits]uint64

func (r refusals) report() report.Refused {
	return report.Refused{
		Clients: r[limitClients], PerAddress: r[limitPerAddress], Pending: r[limitPending],
		Channels: r[limitChannels], Egress: r[limitEgress],
		ChannelClients: r[limitChannelClients], ChannelEgress: r[limitChannelEgress],
	}
}
