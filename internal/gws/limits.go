package gws

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
func DefaultLimits() Limits { return Limits{MaxPending: 1024, MaxChannels: 1000} }
