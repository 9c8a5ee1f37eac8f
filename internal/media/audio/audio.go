// Package audio finds the frames of MPEG audio (ISO 11172-3, 13818-3: MP1, MP2, MP3) and of AAC in ADTS (ISO 13818-7), for their time: how long a frame
// lasts, at what rate it was coded.
package audio

import "time"

// Frame is the head of a frame.
type Frame struct {
	Size       int // bytes, with its head
	Duration   time.Duration
	SampleRate int // Hz
	Channels   int // 0 = told within the frame (AAC)
	Bitrate    int // bit/s; of AAC that of this frame
	AAC        bool
}

// headSize is enough for the head of a frame and for that of a tag, in bytes.
const headSize = 10

// ParseFrame reads the head of a frame at the beginning of b: 4 bytes of MPEG audio, 7 of ADTS. It is false if there is none, and for the free format of
// MPEG audio, whose heads do not tell the size.
func ParseFrame(b []byte) (Frame, bool) {
	switch {
	case len(b) < 4 || b[0] != 0xFF || b[1]&0xE0 != 0xE0:
		return Frame{}, false
	case b[1]&0xF6 == 0xF0: // twelve bits of sync, and the layer that MPEG audio does not have
		return parseADTS(b)
	}
	return parseMPEG(b)
}

// sameStream says whether two heads of frames can be of one stream: what does not change within one is equal.
func sameStream(a, b []byte) bool {
	if a[1]&0xFE != b[1]&0xFE { // but for the bit that tells of a checksum
		return false
	}
	if a[1]&0x06 == 0 { // ADTS: the profile, the rate, a bit of the channels
		return a[2]&0xFD == b[2]&0xFD
	}
	return a[2]&0x0C == b[2]&0x0C // the rate
}

// layers of MPEG audio, by the two bits in the head.
const (
	layer3 = 1
	layer1 = 3
)

// Bit rates in kbit/s by the four bits in the head: ISO 11172-3, 2.4.2.3 and 13818-3, 2.4.2.3. The first is the free format.
var (
	rates1v1 = [15]int{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}
	rates1v2 = [15]int{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384}
	rates1v3 = [15]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}
	rates2v1 = [15]int{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256}
	rates2   = [15]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}
)

// parseMPEG reads the head of MPEG-1, MPEG-2 and what is called 2.5: the latter's rates halved again.
func parseMPEG(b []byte) (Frame, bool) {
	version, layer := b[1]>>3&3, b[1]>>1&3 // of versions, 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5
	bitrate, rate := int(b[2]>>4), b[2]>>2&3
	if version == 1 || layer == 0 || bitrate == 0 || bitrate == 15 || rate == 3 || b[3]&3 == 2 {
		return Frame{}, false
	}
	f := Frame{SampleRate: [3]int{44100, 48000, 32000}[rate], Channels: 2}
	switch version {
	case 2:
		f.SampleRate /= 2
	case 0:
		f.SampleRate /= 4
	}
	if b[3]>>6 == 3 {
		f.Channels = 1
	}
	f.Bitrate = 1000 * mpegRates(version == 3, layer)[bitrate]
	samples, slot := 1152, 1
	switch {
	case layer == layer1:
		samples, slot = 384, 4
	case layer == layer3 && version != 3:
		samples = 576
	}
	padding := int(b[2] >> 1 & 1)
	f.Size = (samples/8/slot*f.Bitrate/f.SampleRate + padding) * slot
	f.Duration = lasts(samples, f.SampleRate)
	return f, true
}

func mpegRates(first bool, layer byte) *[15]int {
	switch {
	case first && layer == layer1:
		return &rates1v1
	case first && layer == layer3:
		return &rates1v3
	case first:
		return &rates1v2
	case layer == layer1:
		return &rates2v1
	}
	return &rates2
}

// Sample rates of AAC by the four bits in the head: ISO 13818-7, table 35.
var ratesAAC = [13]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// parseADTS reads adts_fixed_header and adts_variable_header: ISO 13818-7, 6.2. With a checksum the head is two bytes longer, for each further block two more.
func parseADTS(b []byte) (Frame, bool) {
	if len(b) < 7 {
		return Frame{}, false
	}
	rate := int(b[2] >> 2 & 15)
	if rate >= len(ratesAAC) {
		return Frame{}, false
	}
	blocks := int(b[6]&3) + 1
	head := 7
	if b[1]&1 == 0 {
		head += 2 * blocks
	}
	f := Frame{
		AAC: true, SampleRate: ratesAAC[rate],
		Channels: int(b[2]&1<<2 | b[3]>>6),
		Size:     int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5),
	}
	if f.Channels == 7 {
		f.Channels = 8
	}
	if f.Size <= head {
		return Frame{}, false
	}
	samples := 1024 * blocks
	f.Duration = lasts(samples, f.SampleRate)
	f.Bitrate = f.Size * 8 * f.SampleRate / samples
	return f, true
}

func lasts(samples, rate int) time.Duration {
	return time.Duration(samples) * time.Second / time.Duration(rate)
}

// TagSize is the length in bytes of the tag (ID3v2, versions 2 to 4) that b begins with; 0 if it begins with none. It takes ten bytes to tell.
func TagSize(b []byte) int {
	if len(b) < headSize || string(b[:3]) != "ID3" || b[3] < 2 || b[3] > 4 || b[5]&0x0F != 0 {
		return 0
	}
	size := 0
	for _, c := range b[6:10] {
		if c&0x80 != 0 {
			return 0
		}
		size = size<<7 | int(c)
	}
	size += headSize
	if b[5]&0x10 != 0 { // a foot, as long as the head
		size += headSize
	}
	return size
}
