// Package hello reads the first message of TLS (ClientHello, RFC 8446 4.1.2) without taking
// part in it: which server a client asks for and what it wants to speak.
package hello

import "errors"

// Hello is what a ClientHello says.
type Hello struct {
	Name      string   // server_name (RFC 6066, 3), in lower case without a final dot; "" = none
	Protocols []string // application_layer_protocol_negotiation (RFC 7301), in the client's order
	Versions  []uint16 // that the client offers, newest first
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
// ErrNotTLS when the first bytes cannot be TLS, and another error for a message that is broken or
// longer than MaxHello. Nothing in Hello refers to b.
func Parse(b []byte) (Hello, error) { panic("not built yet") }
