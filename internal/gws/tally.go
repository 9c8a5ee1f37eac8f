package gws

import "net/netip"

// tally keeps the sums that the limits are about, so that a request costs the same
// however many there are. A client counts from the moment when it is let in until it is
// refused or its engine says that it ended. The zero tally is empty.
type tally struct {
	clients   int
	pending   int // of clients: let in, and no engine has answered
	addresses map[netip.Prefix]int
	channels  map[string]*channelTally // by tag; those that have an engine or a client
	egress    uint64                   // bits a second: for each client the rate of its channel
}

type channelTally struct {
	engines int // that hold it
	clients int
	rate    uint64 // bits a second
}

// enter counts a client in, leave counts it out again.
func (t *tally) enter(tag string, a netip.Addr) {
	t.clients++
	if p := addressOf(a); p.IsValid() {
		if t.addresses == nil {
			t.addresses = make(map[netip.Prefix]int)
		}
		t.addresses[p]++
	}
	ch := t.channel(tag)
	ch.clients++
	t.egress += ch.rate
}

func (t *tally) leave(tag string, a netip.Addr) {
	t.clients--
	if p := addressOf(a); t.addresses[p] > 1 {
		t.addresses[p]--
	} else {
		delete(t.addresses, p)
	}
	ch := t.channels[tag]
	ch.clients--
	t.egress -= ch.rate
	t.tidy(tag, ch)
}

// hold counts an engine that has the channel; drop counts it out again.
func (t *tally) hold(tag string) { t.channel(tag).engines++ }

func (t *tally) drop(tag string) {
	ch := t.channels[tag]
	ch.engines--
	t.tidy(tag, ch)
}

// setRate notes what a channel that is held delivers now, in bits a second.
func (t *tally) setRate(tag string, rate uint64) {
	if ch := t.channels[tag]; ch != nil {
		t.egress += uint64(ch.clients) * (rate - ch.rate) // modulo 2^64: right for a lower rate, too
		ch.rate = rate
	}
}

// load is what a client of that channel and address meets.
func (t *tally) load(tag string, a netip.Addr) load {
	x := load{
		clients: t.clients, address: t.addresses[addressOf(a)], pending: t.pending,
		channels: len(t.channels), egress: t.egress,
	}
	if ch := t.channels[tag]; ch != nil {
		x.open, x.channelClients, x.rate = true, ch.clients, ch.rate
	}
	return x
}

func (t *tally) channel(tag string) *channelTally {
	ch := t.channels[tag]
	if ch == nil {
		if t.channels == nil {
			t.channels = make(map[string]*channelTally)
		}
		ch = new(channelTally)
		t.channels[tag] = ch
	}
	return ch
}

func (t *tally) tidy(tag string, ch *channelTally) {
	if ch.engines == 0 && ch.clients == 0 {
		delete(t.channels, tag)
	}
}

// addressOf is what counts as one address: in IPv6 the /64 that one household has. It is
// invalid for a client without an address, which no limit counts.
func addressOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
