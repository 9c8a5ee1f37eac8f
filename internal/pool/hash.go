package pool

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// seedOfAddresses is the same for all: several processes send a client to the same remote.
// It is the fraction of pi.
const seedOfAddresses = 0x243f6a8885a308d3

// hashOf is the hash of a client's address. An IPv4 address is the same when it is written
// as IPv6.
func hashOf(a netip.Addr) uint64 {
	b := a.As16()
	h := mix(seedOfAddresses ^ binary.BigEndian.Uint64(b[:8]))
	return mix(h ^ binary.BigEndian.Uint64(b[8:]))
}

// hashOfName is the hash of a remote's name.
func hashOfName(name string) uint64 {
	h := uint64(seedOfAddresses)
	for i := range len(name) {
		h = mix(h ^ uint64(name[i]))
	}
	return h
}

// again is another hash of what h is the hash of.
func again(h uint64) uint64 { return mix(h ^ 0x13198a2e03707344) } // the next digits of pi

// mix makes each bit depend on all bits of h: both halves of a product, twice.
func mix(h uint64) uint64 {
	const odd1, odd2 = 0xa4093822299f31d1, 0x082efa98ec4e6c89
	hi, lo := bits.Mul64(h^odd2, odd1)
	hi, lo = bits.Mul64(hi^lo^odd1, odd2)
	return hi ^ lo
}
