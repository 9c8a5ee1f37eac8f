package ts

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// stream is n packets, each with its number and no other sync byte.
func stream(n int) []byte {
	b := make([]byte, 0, n*PacketSize)
	for i := range n {
		p := bytes.Repeat([]byte{0x11}, PacketSize)
		p[0], p[3], p[10] = SyncByte, 0x10, byte(i&0x3F)
		b = append(b, p...)
	}
	return b
}

// inChunks gives b to the framer in chunks of size bytes.
func inChunks(f *Framer, b []byte, size int) (out []byte) {
	for len(b) > 0 {
		n := min(size, len(b))
		out = f.Append(out, b[:n])
		b = b[n:]
	}
	return out
}

func TestFramerCutsAnyChunking(t *testing.T) {
	whole := stream(40)
	junk := bytes.Repeat([]byte{0x47, 0x00, 0x01}, 100)
	b := append(bytes.Clone(junk), whole...)
	for size := 1; size < 1000; size += 7 {
		var f Framer
		if got := inChunks(&f, b, size); !bytes.Equal(got, whole) {
			t.Fatalf("chunks of %d: %d bytes of %d", size, len(got), len(whole))
		}
		if f.Skipped() != uint64(len(junk)) || f.SyncLosses() != 0 || !f.Synced() || !f.Clean() {
			t.Fatalf("chunks of %d: skipped %d, losses %d, synced %v, clean %v", size, f.Skipped(), f.SyncLosses(), f.Synced(), f.Clean())
		}
	}
}

func TestFramerTakesOneDatagramAtOnce(t *testing.T) {
	datagram := stream(7)
	var f Framer
	if got := f.Append(nil, datagram); !bytes.Equal(got, datagram) {
		t.Errorf("%d of %d bytes", len(got), len(datagram))
	}
	if !f.Clean() {
		t.Error("not clean after whole packets")
	}
}

func TestFramerPass(t *testing.T) {
	one := stream(1)
	var f Framer
	if f.Synced() || !f.Clean() {
		t.Error("a fresh framer is synced, or does not let packets by")
	}
	if !f.Pass(one) || !f.Synced() {
		t.Fatal("a fresh framer does not let one packet pass")
	}
	if f.Pass(one[:100]) {
		t.Error("half a packet passed")
	}
	if got := f.Append(nil, one[:100]); len(got) != 0 || f.Clean() {
		t.Errorf("half a packet gave %d bytes, clean %v", len(got), f.Clean())
	}
	if f.Pass(one) {
		t.Error("a packet passed by half of one")
	}
	if got := f.Append(nil, one[100:]); !bytes.Equal(got, one) || !f.Pass(one) {
		t.Errorf("two halves gave %d bytes", len(got))
	}
	bad := stream(7)
	bad[0] = 0
	if f.Pass(bad) {
		t.Error("a wrong sync byte passed")
	}
	if f.Append(nil, bad); f.SyncLosses() != 1 {
		t.Errorf("after packets that passed, a wrong sync byte is %d losses", f.SyncLosses())
	}
}

func TestFramerLosesOnlyTheCorruptedPacket(t *testing.T) {
	for at := range 20 {
		b := stream(30)
		b[at*PacketSize] = 0
		var f Framer
		f.Pass(stream(1))
		got := inChunks(&f, b, 7*PacketSize)
		want := append(bytes.Clone(b[:at*PacketSize]), b[(at+1)*PacketSize:]...)
		if !bytes.Equal(got, want) || f.SyncLosses() != 1 || f.Skipped() != PacketSize {
			t.Errorf("packet %d: %d bytes of %d, %d losses, %d skipped", at, len(got), len(want), f.SyncLosses(), f.Skipped())
		}
	}
}

func TestFramerFindsTheRasterAfterMissingBytes(t *testing.T) {
	b := stream(30)
	cut := append(bytes.Clone(b[:10*PacketSize+50]), b[11*PacketSize+3:]...)
	var f Framer
	got := inChunks(&f, cut, 100)
	// The packet that was cut takes bytes of the next, whose rest is dropped.
	want := append(bytes.Clone(cut[:11*PacketSize]), b[12*PacketSize:]...)
	if !bytes.Equal(got, want) || f.SyncLosses() != 1 || f.Skipped() != 47 {
		t.Errorf("%d bytes of %d, %d losses, %d skipped", len(got), len(want), f.SyncLosses(), f.Skipped())
	}
}

func TestFramerRefusesNoise(t *testing.T) {
	noise := make([]byte, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	var f Framer
	if got := inChunks(&f, noise, 1316); len(got) != 0 || f.Synced() || f.Clean() {
		t.Errorf("%d bytes of noise came out as packets, synced %v", len(got), f.Synced())
	}
	if held := len(noise) - int(f.Skipped()); held < 0 || held >= holdSize {
		t.Errorf("%d bytes held back", held)
	}
}

func TestFramerAllocatesNothing(t *testing.T) {
	b := stream(70)
	dst := make([]byte, 0, 2*len(b))
	var f Framer
	if n := testing.AllocsPerRun(100, func() {
		for rest := b; len(rest) > 0; {
			n := min(len(rest), 333)
			dst = f.Append(dst[:0], rest[:n])
			rest = rest[n:]
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFramer: what comes out depends on the bytes, not on how they were cut, and
// every byte is accounted for.
func FuzzFramer(f *testing.F) {
	f.Add(stream(9), uint16(100))
	f.Add(append([]byte("junk\x47"), stream(9)...), uint16(1))
	f.Add(append(stream(6), stream(9)[5:]...), uint16(187))
	f.Add(append(stream(6), bytes.Repeat([]byte{SyncByte}, 3000)...), uint16(1316))
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		var one, many Framer
		want := one.Append(nil, b)
		got := inChunks(&many, b, int(size%2000)+1)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes at once, %d in chunks of %d", len(want), len(got), size%2000+1)
		}
		if one.SyncLosses() != many.SyncLosses() || one.Skipped() != many.Skipped() || one.Clean() != many.Clean() {
			t.Errorf("%d and %d losses, %d and %d bytes skipped", one.losses, many.losses, one.skipped, many.skipped)
		}
		if len(want) > 0 && !Aligned(want) {
			t.Error("what comes out is not aligned")
		}
		if held := len(b) - len(want) - int(one.Skipped()); held < 0 || held >= holdSize || held != one.held {
			t.Errorf("%d bytes in, %d out, %d skipped: %d held", len(b), len(want), one.Skipped(), held)
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	in := stream(7 * 1000)
	for name, size := range map[string]int{"datagrams": 7 * PacketSize, "chunks": 1400, "large": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			var f Framer
			dst := make([]byte, 0, 128<<10)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				for rest := in; len(rest) > 0; {
					chunk := rest[:min(len(rest), size)]
					rest = rest[len(chunk):]
					if !f.Pass(chunk) {
						dst = f.Append(dst[:0], chunk)
					}
				}
			}
		})
	}
}
