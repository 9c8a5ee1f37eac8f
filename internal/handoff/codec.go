package handoff

import (
	"errors"
	"fmt"
)

// MaxMessage is the longest message in bytes, type included.
const MaxMessage = 64 << 10

// ErrMalformed marks bytes that are no message: an unknown type, a length that lies,
// bytes left over, a number that is out of its range or not written the shortest way.
var ErrMalformed = errors.New("malformed message")

// The first byte of a message. Numbers are never given a second meaning.
const (
	kindHello       = 1
	kindWelcome     = 2
	kindBye         = 3
	kindAttach      = 4
	kindStarted     = 5
	kindRefused     = 6
	kindClientEnd   = 7
	kindChannelOpen = 8
	kindChannelEnd  = 9
	kindQuery       = 10
	kindReport      = 11
	kindPin         = 12
	kindRates       = 13
	kindUnpin       = 14
	kindDrop        = 15
	kindReset       = 16
)

func (Hello) kind() byte       { return kindHello }
func (Welcome) kind() byte     { return kindWelcome }
func (Bye) kind() byte         { return kindBye }
func (Attach) kind() byte      { return kindAttach }
func (Started) kind() byte     { return kindStarted }
func (Refused) kind() byte     { return kindRefused }
func (ClientEnd) kind() byte   { return kindClientEnd }
func (ChannelOpen) kind() byte { return kindChannelOpen }
func (ChannelEnd) kind() byte  { return kindChannelEnd }
func (Query) kind() byte       { return kindQuery }
func (Report) kind() byte      { return kindReport }
func (Pin) kind() byte         { return kindPin }
func (Rates) kind() byte       { return kindRates }
func (Unpin) kind() byte       { return kindUnpin }
func (Drop) kind() byte        { return kindDrop }
func (Reset) kind() byte       { return kindReset }

// Encode appends m to dst. It fails for a message that is longer than MaxMessage or
// holds a number its field has no room for (a negative PID); dst is then returned
// unchanged.
func Encode(dst []byte, m Message) ([]byte, error) {
	if m == nil {
		return dst, errors.New("encode: no message")
	}
	c := coder{b: append(dst, m.kind())}
	switch m := m.(type) {
	case Hello:
		m.fields(&c)
	case Welcome:
		m.fields(&c)
	case Bye:
		m.fields(&c)
	case Attach:
		m.fields(&c)
	case Started:
		m.fields(&c)
	case Refused:
		m.fields(&c)
	case ClientEnd:
		m.fields(&c)
	case ChannelOpen:
		m.fields(&c)
	case ChannelEnd:
		m.fields(&c)
	case Query:
		m.fields(&c)
	case Report:
		m.fields(&c)
	case Pin:
		m.fields(&c)
	case Rates:
		m.fields(&c)
	case Unpin:
		m.fields(&c)
	case Drop:
		m.fields(&c)
	case Reset:
		m.fields(&c)
	default:
		return dst, fmt.Errorf("encode: %T is passed by value, and is one of this package's messages", m)
	}
	if c.err != nil {
		return dst, fmt.Errorf("encode %T: %w", m, c.err)
	}
	if n := len(c.b) - len(dst); n > MaxMessage {
		return dst, fmt.Errorf("encode %T: %d bytes, a message has at most %d", m, n, MaxMessage)
	}
	return c.b, nil
}

// Decode reads one message that takes up the whole of b. It keeps nothing of b. An
// error wraps ErrMalformed.
func Decode(b []byte) (Message, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrMalformed)
	}
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes, a message has at most %d", ErrMalformed, len(b), MaxMessage)
	}
	switch c := (coder{reading: true, b: b[1:]}); b[0] {
	case kindHello:
		return read[Hello](c)
	case kindWelcome:
		return read[Welcome](c)
	case kindBye:
		return read[Bye](c)
	case kindAttach:
		return read[Attach](c)
	case kindStarted:
		return read[Started](c)
	case kindRefused:
		return read[Refused](c)
	case kindClientEnd:
		return read[ClientEnd](c)
	case kindChannelOpen:
		return read[ChannelOpen](c)
	case kindChannelEnd:
		return read[ChannelEnd](c)
	case kindQuery:
		return read[Query](c)
	case kindReport:
		return read[Report](c)
	case kindPin:
		return read[Pin](c)
	case kindRates:
		return read[Rates](c)
	case kindUnpin:
		return read[Unpin](c)
	case kindDrop:
		return read[Drop](c)
	case kindReset:
		return read[Reset](c)
	}
	return nil, fmt.Errorf("%w: unknown type %d", ErrMalformed, b[0])
}

// read is Decode for one type: *T is what knows the fields of T.
func read[T Message, P interface {
	*T
	fields(*coder)
}](c coder) (Message, error) {
	var m T
	P(&m).fields(&c)
	if c.err == nil && len(c.b) > 0 {
		c.err = fmt.Errorf("%d bytes left over", len(c.b))
	}
	if c.err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrMalformed, m, c.err)
	}
	return m, nil
}
