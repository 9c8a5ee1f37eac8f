// Package health asks remotes again and again whether they are well.
package health

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"sluice/internal/flow"
)

// Kind is how a remote is asked.
type Kind uint8

// The kinds.
const (
	Off   Kind = iota
	TCP        // it takes a connection (SCTP and UNIX sockets likewise)
	TLS        // and a handshake
	HTTP       // and answers GET with a good status
	HTTPS      // over TLS
	Talk       // it is sent something, and answers something
)

// Check is what is asked and how often. Zero fields mean what is said beside them.
type Check struct {
	Kind    Kind
	Port    uint16        // of the remote; 0 = that of its address
	Every   time.Duration // if zero 2 s; a tenth more or less by chance
	Timeout time.Duration // of one check; if zero 1 s
	Rise    int           // good answers in a row until it is up again; 0 = 2
	Fall    int           // bad ones until it is down; 0 = 3
	Path    string        // HTTP; "" = /
	Host    string        // HTTP: the Host field; "" = the address
	Status  []int         // HTTP: good ones; empty = 200 to 399
	Send    []byte        // Talk: what is sent first; may be empty
	Expect  []byte        // Talk: what the answer begins with, or contains; empty = any byte
	From    netip.Addr    // local address
	TLS     *tls.Config   // TLS, HTTPS: as towards the remote
	Prelude []byte        // is sent before everything: a PROXY header (LOCAL)
}

// Run checks the remote at addr until ctx ends, and tells the outcome when it is known first
// and whenever it changes: nil = up, or why it is down. The first check comes at once and decides
// alone.
func Run(ctx context.Context, c Check, addr flow.Addr, told func(error)) { panic("not built yet") }

// Once checks once.
func Once(ctx context.Context, c Check, addr flow.Addr) error { panic("not built yet") }
