// Package hello reads the first message of TLS (ClientHello, RFC 8446 4.1.2) without taking
// part in it: which server a client asks for and what it wants to speak.
package hello

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Hello is what a ClientHello says.
type Hello struct {
	// Name is that of server_name (RFC 6066, 3), in lower case without a final dot: letters,
	// digits, hyphens, underlines, dots. "" = none, or an IP address, which is none.
	Name      string
	Protocols []string // application_layer_protocol_negotiation (RFC 7301), in the client's order; any bytes
	Versions  []uint16 // of SSL 3.0 and TLS that the client offers, newest first
}

// MaxHello bounds the message, with the heads of its records, in bytes. Some clients with
// post-quantum keys need more than 2 KiB; a server need not take more than 16 KiB.
const MaxHello = 16 << 10

// What Parse returns besides.
var (
	ErrMore   = errors.New("the ClientHello is not whole")
	ErrNotTLS = errors.New("no TLS")
)

// Parse reads the ClientHello that b begins with, which may be cut into records of any
// length. It returns ErrMore when b is the beginning of one (also when it is empty),
// ErrNotTLS when the first bytes cannot be TLS (those of SSL 2.0 are not), and another error for
// a message that is broken or longer than MaxHello. What follows the message is not looked
// at, and nothing in Hello refers to b.
func Parse(b []byte) (Hello, error) {
	body, err := message(b[:min(len(b), MaxHello)])
	if errors.Is(err, ErrMore) && len(b) >= MaxHello {
		return Hello{}, errTooLong
	}
	if err != nil {
		return Hello{}, err
	}
	return parseBody(body)
}

var errTooLong = fmt.Errorf("the ClientHello has more than %d bytes", MaxHello)

const (
	recordHead    = 5       // type, version, length (RFC 8446, 5.1)
	maxRecord     = 1 << 14 // bytes behind it
	typeHandshake = 22

	messageHead     = 4 // type and length (4)
	typeClientHello = 1
)

// message puts the body of the ClientHello together from its records. One that is in
// one piece stays where it is.
func message(b []byte) (body []byte, err error) {
	var gathered []byte
	for first := true; ; first = false {
		fragment, rest, err := record(b)
		if err != nil && !errors.Is(err, ErrMore) {
			if first {
				return nil, err
			}
			return nil, fmt.Errorf("between the pieces of the ClientHello: %w", broken(err))
		}
		if first {
			gathered = fragment[:len(fragment):len(fragment)]
		} else {
			gathered = append(gathered, fragment...)
		}
		body, whole := clientHello(gathered)
		if !errors.Is(whole, ErrMore) {
			return body, whole
		}
		if err != nil {
			return nil, err
		}
		b = rest
	}
}

// broken is ErrNotTLS where TLS has begun: then it is no other protocol.
func broken(err error) error {
	if errors.Is(err, ErrNotTLS) {
		return errors.New("a record of another kind")
	}
	return err
}

// record is the record that b begins with, and what follows it. With ErrMore fragment is
// what is there of it.
func record(b []byte) (fragment, rest []byte, err error) {
	if len(b) > 0 && b[0] != typeHandshake || len(b) > 1 && b[1] != 3 {
		return nil, nil, ErrNotTLS
	}
	if len(b) < recordHead {
		return nil, nil, ErrMore
	}
	n := int(binary.BigEndian.Uint16(b[recordHead-2:]))
	b = b[recordHead:]
	switch {
	case n == 0 || n > maxRecord:
		return nil, nil, fmt.Errorf("a record of %d bytes", n)
	case len(b) < n:
		return b, nil, ErrMore
	}
	return b[:n], b[n:], nil
}

// clientHello is the body of the message that b begins with.
func clientHello(b []byte) (body []byte, err error) {
	if len(b) > 0 && b[0] != typeClientHello {
		return nil, fmt.Errorf("the first message is no ClientHello but of type %d", b[0])
	}
	if len(b) < messageHead {
		return nil, ErrMore
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	switch {
	case recordHead+messageHead+n > MaxHello:
		return nil, errTooLong
	case len(b) < messageHead+n:
		return nil, ErrMore
	}
	return b[messageHead : messageHead+n], nil
}
