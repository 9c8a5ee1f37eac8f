package mp4

// Kind says what a file is by its first boxes.
type Kind uint8

// The kinds.
const (
	Unknown Kind = iota
	Init         // moov before any moof: what decoders must have first. Fragments may follow
	Media        // fragments without that: segments, and the chunks of one
)

// KindOf says it of the first bytes; sure is false when more are needed, which may be as many as the boxes before say.
func KindOf(b []byte) (k Kind, sure bool) {
	file := false // it has said that it is one
	for {
		box, ok, err := ParseHead(b)
		if err != nil || !ok {
			return Unknown, err != nil
		}
		if k, goOn := kindOfBox(box.Type, file); !goOn {
			return k, true
		}
		if box.Size > int64(len(b)) {
			return Unknown, false
		}
		if box.Size == 0 {
			return Unknown, true
		}
		file = file || box.Type == "ftyp"
		b = b[box.Size:]
	}
}

// kindOfBox decides by the type of a box; goOn when it says nothing. file is whether ftyp has come.
func kindOfBox(boxType string, file bool) (k Kind, goOn bool) {
	switch boxType {
	case "moov":
		return Init, false
	case "styp", "moof":
		return Media, false
	case "sidx", "ssix", "prft", "emsg": // they stand before moof, and in files behind moov
		if !file {
			return Media, false
		}
	case "ftyp", "free", "skip", "uuid", "pdin":
	default:
		if !file {
			return Unknown, false
		}
	}
	return Unknown, true
}
