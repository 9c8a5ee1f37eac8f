package ts

import "bytes"

const (
	// syncRun is how many sync bytes, PacketSize apart, make a raster: with five
	// (ETSI TR 101 290, 5.2.1) a false one in random bytes is rarer than one in
	// 10⁷ losses; with three it would be one in 350.
	syncRun = 5
	// holdSize bounds what a Framer keeps: less than syncRun packets.
	holdSize = syncRun * PacketSize
)

// Framer cuts a byte stream of any chunking into whole aligned packets. The zero
// Framer is ready; it is one stream's and not safe for concurrent use.
//
// It finds the raster by five sync bytes 188 bytes apart, trusts it until a sync
// byte is wrong, and then drops and counts bytes until it finds a raster again.
// What comes out depends only on the bytes, not on how they were cut.
//
// Most network chunks are whole packets already. Pass lets them by without a copy:
//
//	if !f.Pass(chunk) {
//		chunk = f.Append(scratch[:0], chunk)
//	}
type Framer struct {
	hold    [holdSize]byte
	held    int  // bytes of hold in use
	locked  bool // the raster is known
	synced  bool // it was known at least once
	losses  uint64
	skipped uint64
}

// Pass reports that chunk is whole aligned packets and goes on from what came
// before, so that it may be used as it is. A fresh Framer lets any aligned chunk
// pass. When it returns false nothing has happened: give the chunk to Append.
func (f *Framer) Pass(chunk []byte) bool {
	if !f.Clean() || !Aligned(chunk) {
		return false
	}
	f.locked, f.synced = true, true
	return true
}

// Clean reports that an aligned chunk would Pass: nothing is held and the raster
// is known or, in a fresh Framer, not needed yet. A receiver asks it before it
// reads straight into the stream.
func (f *Framer) Clean() bool {
	fresh := !f.synced && f.skipped == 0
	return f.held == 0 && (f.locked || fresh)
}

// Append appends to dst the whole packets found so far and returns it. src is
// kept by no reference; fewer than five packets of it may be held back.
func (f *Framer) Append(dst, src []byte) []byte {
	var rest []byte
	for f.held > 0 && len(src) > 0 {
		n := copy(f.hold[f.held:], src)
		dst, rest = f.cut(dst, f.hold[:f.held+n])
		if len(rest) <= n { // the rest is all of src: go on there, without the hold
			src = src[n-len(rest):]
			f.held = 0
			break
		}
		src = src[n:]
		f.held = copy(f.hold[:], rest)
	}
	if f.held == 0 {
		dst, rest = f.cut(dst, src)
		f.held = copy(f.hold[:], rest)
	}
	return dst
}

// Synced reports that the stream was in sync at least once: that it is TS at all.
func (f *Framer) Synced() bool { return f.synced }

// SyncLosses counts how often a known raster was lost.
func (f *Framer) SyncLosses() uint64 { return f.losses }

// Skipped counts the bytes dropped while out of sync, those before the first sync
// included.
func (f *Framer) Skipped() uint64 { return f.skipped }

// cut appends the packets of b to dst. What it can not judge yet is the rest:
// less than a packet in sync, at most syncRun-1 packets out of sync.
func (f *Framer) cut(dst, b []byte) (packets, rest []byte) {
	for len(b) > 0 {
		if !f.locked {
			skip, found := findRaster(b)
			f.skipped += uint64(skip)
			b = b[skip:]
			if !found {
				return dst, b
			}
			f.locked, f.synced = true, true
		}
		n := 0
		for len(b)-n >= PacketSize && b[n] == SyncByte {
			n += PacketSize
		}
		dst, b = append(dst, b[:n]...), b[n:]
		if len(b) == 0 || b[0] == SyncByte {
			break
		}
		f.locked = false
		f.losses++
	}
	return dst, b
}

// findRaster returns where a raster starts in b. Not found, skip is what can be
// dropped: everything before the first place that more bytes may confirm.
func findRaster(b []byte) (skip int, found bool) {
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], SyncByte)
		if n < 0 {
			return len(b), false
		}
		i += n
		run := 1
		for run < syncRun && i+run*PacketSize < len(b) && b[i+run*PacketSize] == SyncByte {
			run++
		}
		if run == syncRun {
			return i, true
		}
		if i+run*PacketSize >= len(b) {
			return i, false
		}
	}
}
