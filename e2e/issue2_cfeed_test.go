//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"testing"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// A made-up channel of one H.264 stream: each packet has a number, so that it is known
// to the byte what was sent, and a receiver can say which packets it has got. A group is
// PAT, PMT and a key frame; nothing else is in it.
const (
	groupPackets = 210 // of a group: 30 datagrams
	groupBytes   = groupPackets * ts.PacketSize
	datagramSize = 7 * ts.PacketSize
	inTables     = 2 // packets of a group before its key frame
)

// PIDs of the made-up channel.
const (
	numbersPMT   = 0x100
	numbersVideo = 0x101
)

// appendNumbered appends packet n of the made-up channel, which has 1 Mbit/s. The number
// is private data of the adaptation field (ISO 13818-1, 2.4.3.5).
func appendNumbered(dst []byte, n int) []byte {
	end := len(dst) + ts.PacketSize
	group, place := n/groupPackets, n%groupPackets
	pid, start, cc := numbersVideo, 0x00, n-inTables*(group+1)
	var payload, pcr []byte
	switch place {
	case 0:
		pid, start, cc = 0, 0x40, group
		payload = tableSection(0x00, []byte{0, 1, 0xe0 | numbersPMT>>8, numbersPMT & 0xff})
	case 1:
		pid, start, cc = numbersPMT, 0x40, group
		payload = tableSection(0x02, []byte{
			0xe0 | numbersVideo>>8, numbersVideo & 0xff, 0xf0, 0, // of the PCR
			0x1b, 0xe0 | numbersVideo>>8, numbersVideo & 0xff, 0xf0, 0, // H.264
		})
	case inTables:
		start = 0x40
		base := uint64(n) * ts.PacketSize * 8 * 90 / 1000
		payload = keyFrameStart(base + 9000)
		pcr = []byte{byte(base >> 25), byte(base >> 17), byte(base >> 9), byte(base >> 1), byte(base<<7) | 0x7e, 0}
	}
	flags := byte(0x02)
	if pcr != nil {
		flags = 0x52 // random access, PCR
	}
	dst = append(dst, ts.SyncByte, byte(start|pid>>8), byte(pid), 0x30|byte(cc&0x0f), byte(10+len(pcr)), flags)
	dst = append(append(dst, pcr...), 8)
	dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	dst = append(dst, payload...)
	for len(dst) < end {
		dst = append(dst, 0xff)
	}
	return dst
}

// numberOf is the number of a packet of the made-up channel.
func numberOf(p ts.Packet) (n int, ok bool) {
	at := 7
	if p[5]&0x10 != 0 {
		at += 6
	}
	n = int(binary.BigEndian.Uint64(p[at:]))
	return n, p[0] == ts.SyncByte && p[3]&0x20 != 0 && p[5]&0x02 != 0 && p[at-1] == 8
}

// keyFrameStart begins a PES packet with an IDR picture and its parameter sets.
func keyFrameStart(pts uint64) []byte {
	b := []byte{
		0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(pts>>29)&0x0e, byte(pts >> 22), byte(pts>>14) | 1, byte(pts >> 7), byte(pts<<1) | 1,
	}
	b = append(b, 0, 0, 0, 1, 0x09, 0x10)
	b = append(b, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x47, 0xfe, 0xc8)
	b = append(b, 0, 0, 0, 1, 0x68, 0xcb, 0x83, 0xcb, 0x20)
	return append(b, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x0a, 0xf2)
}

// tableSection makes a section with its pointer field and CRC (ISO 13818-1, 2.4.4).
func tableSection(table byte, body []byte) []byte {
	b := []byte{0, table, 0xb0, byte(5 + len(body) + 4), 0, 1, 0xc1, 0, 0}
	b = append(b, body...)
	crc := ^uint32(0)
	for _, v := range b[1:] {
		crc ^= uint32(v) << 24
		for range 8 {
			carry := crc >> 31
			crc = crc<<1 ^ carry*0x04c11db7
		}
	}
	return binary.BigEndian.AppendUint32(b, crc)
}

// numbers reads as the made-up channel, without an end.
type numbers struct {
	next int
	rest []byte
}

func (r *numbers) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		r.rest = appendNumbered(r.rest[:0], r.next)
		r.next++
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// sendNumbers has `sluice send` send the made-up channel at a constant rate.
func sendNumbers(t *testing.T, group, rate string) *testkit.Proc {
	t.Helper()
	cmd := exec.Command(program(), "send", "-", "--to", "udp://"+group, "--bitrate", rate)
	cmd.Stdin = &numbers{}
	return testkit.StartCommand(t, cmd)
}

// feed is a made-up channel that the test sends itself, as fast as it is received.
type feed struct {
	p     *product
	group string // where the channel is found in the status
	to    []datagrams
	wrap  func(n int, payload []byte) []byte // makes datagram n; nil = it is the payload
	sent  []byte                             // the channel since its beginning
}

// newFeed makes a channel that is sent to a group of its own. Nothing is sent yet.
func newFeed(t *testing.T, p *product) *feed {
	t.Helper()
	return feedTo(t, p, newGroup())
}

func feedTo(t *testing.T, p *product, groups ...string) *feed {
	t.Helper()
	f := &feed{p: p, group: groups[0]}
	for _, g := range groups {
		f.to = append(f.to, openDatagrams(t, g))
	}
	return f
}

// path is where a client asks for the channel.
func (f *feed) path() string { return "/udp/" + f.group }

// packets is how many packets were sent.
func (f *feed) packets() int { return len(f.sent) / ts.PacketSize }

// more sends n groups. Now and then it waits until the product has received everything:
// no receive buffer overflows, and in the end all of it is in the history.
func (f *feed) more(n int) {
	f.p.t.Helper()
	for i := range n {
		f.sendGroup()
		if i%32 == 31 || i == n-1 {
			f.arrived()
		}
	}
}

func (f *feed) sendGroup() {
	for range groupBytes / datagramSize {
		at := len(f.sent)
		for range datagramSize / ts.PacketSize {
			f.sent = appendNumbered(f.sent, f.packets())
		}
		datagram := f.sent[at:]
		if f.wrap != nil {
			datagram = f.wrap(at/datagramSize, datagram)
		}
		for _, d := range f.to {
			d.send(datagram)
		}
	}
}

// inRTP makes RTP packet n (RFC 3550, 5.1).
func inRTP(n int, payload []byte) []byte {
	return append([]byte{0x80, 33, byte(n >> 8), byte(n), 0, 0, 0, 0, 1, 2, 3, 4}, payload...)
}

// arrived waits until the channel has everything.
func (f *feed) arrived() {
	f.p.t.Helper()
	f.p.eventually(f.hasAll)
}

func (f *feed) hasAll(st report.Status) error {
	c, _, err := channel(st, f.group)
	if err == nil && c.Bytes != uint64(len(f.sent)) {
		err = fmt.Errorf("channel %s has %d bytes, %d were sent", f.group, c.Bytes, len(f.sent))
	}
	return err
}

// first opens the channel: it asks for it, sends a group, and returns the client.
func (f *feed) first(path string) *taker {
	f.p.t.Helper()
	taken := make(chan *taker)
	go func() {
		k, _ := knock(f.p, path, anyAddress)
		taken <- k
	}()
	f.p.eventually(func(st report.Status) error {
		_, _, err := channel(st, f.group)
		return err
	})
	testkit.Eventually(f.p.t, func() error {
		if n := members(f.p.t, f.group); n == 0 {
			return fmt.Errorf("nobody has joined %s", f.group)
		}
		return nil
	})
	f.more(1)
	k := <-taken
	if k == nil {
		f.p.t.Fatalf("%s was not answered with a stream", path)
	}
	k.read(f.p.t)
	return k
}

// delivered waits until the clients have got the newest packet.
func (f *feed) delivered(all ...*taker) {
	f.p.t.Helper()
	for _, k := range all {
		k.until(f.packets())
	}
}
