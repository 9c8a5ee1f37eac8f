package ts

import "fmt"

// medium is the class of an elementary stream.
type medium uint8

const (
	data medium = iota
	video
	audio
)

// The descriptors that tell one private stream from another: ISO/IEC 13818-1,
// 2.6 and ETSI EN 300 468, table 12 and 6.4.
const (
	tagRegistration = 0x05
	tagVBIData      = 0x45
	tagTeletext     = 0x56
	tagSubtitling   = 0x59
	tagAC3          = 0x6A
	tagEAC3         = 0x7A
	tagDTS          = 0x7B
	tagAAC          = 0x7C
	tagExtension    = 0x7F

	extensionAC4  = 0x15
	extensionOpus = 0x80
)

// classify names the codec of a stream from its stream_type (13818-1, table 2-34)
// and, where that says nothing, from its descriptors.
func classify(streamType uint8, descriptors []byte) (codec string, m medium) {
	switch streamType {
	case 0x01:
		return "mpeg1video", video
	case 0x02:
		return "mpeg2video", video
	case 0x03, 0x04: // layers I to III are told apart only by the audio itself
		return "mpegaudio", audio
	case 0x0A, 0x0B, 0x0C, 0x0D:
		return "dsmcc", data
	case 0x0F, 0x1C:
		return "aac", audio
	case 0x10:
		return "mpeg4video", video
	case 0x11:
		return "aac_latm", audio
	case 0x1B:
		return "h264", video
	case 0x21:
		return "jpeg2000", video
	case 0x24:
		return "h265", video
	case 0x2D, 0x2E:
		return "mpegh", audio
	case 0x33:
		return "vvc", video
	case 0x42:
		return "cavs", video
	case 0x81:
		return "ac3", audio
	case 0x86:
		return "scte35", data
	case 0x87:
		return "eac3", audio
	case 0x8A:
		return "dts", audio
	case 0xD1:
		return "dirac", video
	case 0xD2:
		return "avs2", video
	case 0xD4:
		return "avs3", video
	case 0xEA:
		return "vc1", video
	}
	if codec, m = classifyPrivate(descriptors); codec != "" {
		return codec, m
	}
	return fmt.Sprintf("type 0x%02X", streamType), data
}

// classifyPrivate takes the first descriptor that names a codec.
func classifyPrivate(descriptors []byte) (codec string, m medium) {
	for len(descriptors) >= 2 {
		tag, length := descriptors[0], int(descriptors[1])
		if 2+length > len(descriptors) {
			break
		}
		body := descriptors[2 : 2+length]
		descriptors = descriptors[2+length:]
		switch tag {
		case tagRegistration:
			codec, m = classifyFormat(body)
		case tagAC3:
			return "ac3", audio
		case tagEAC3:
			return "eac3", audio
		case tagDTS:
			return "dts", audio
		case tagAAC:
			return "aac", audio
		case tagTeletext:
			return "teletext", data
		case tagSubtitling:
			return "dvbsub", data
		case tagVBIData:
			return "vbi", data
		case tagExtension:
			codec, m = classifyExtension(body)
		}
		if codec != "" {
			return codec, m
		}
	}
	return "", data
}

// classifyFormat reads the format_identifier of a registration descriptor, as
// registered with SMPTE RA.
func classifyFormat(body []byte) (codec string, m medium) {
	if len(body) < 4 {
		return "", data
	}
	switch string(body[:4]) {
	case "AC-3":
		return "ac3", audio
	case "EAC3":
		return "eac3", audio
	case "AC-4":
		return "ac4", audio
	case "DTS1", "DTS2", "DTS3":
		return "dts", audio
	case "Opus":
		return "opus", audio
	case "BSSD":
		return "s302m", audio
	case "AV01":
		return "av1", video
	case "HEVC":
		return "h265", video
	case "VC-1":
		return "vc1", video
	case "drac":
		return "dirac", video
	case "KLVA":
		return "klv", data
	case "ID3 ":
		return "id3", data
	case "CUEI":
		return "scte35", data
	}
	return "", data
}

func classifyExtension(body []byte) (codec string, m medium) {
	if len(body) == 0 {
		return "", data
	}
	switch body[0] {
	case extensionAC4:
		return "ac4", audio
	case extensionOpus:
		return "opus", audio
	}
	return "", data
}
