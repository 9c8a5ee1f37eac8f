// Package resolve follows names: the addresses of a host, the remotes of a service (SRV,
// RFC 2782). A name that cannot be resolved keeps what it last stood for.
package resolve

import (
	"context"
	"net/netip"
	"time"
)

// Name is what is asked for.
type Name struct {
	Host    string // a host, or with Service the domain
	Port    uint16 // not with Service
	Service string // "_imap._tcp": the answer gives hosts, ports, weights and priorities; "" = none
}

// Answer is one address that a name stands for.
type Answer struct {
	Addr   netip.AddrPort
	Host   string // the name that stands for the address, for TLS
	Weight int    // of SRV; 0 for a host
	Backup bool   // of SRV: its priority is not the best one
}

// Config is how names are resolved.
type Config struct {
	Every      time.Duration // how often; if zero 30 s
	Timeout    time.Duration // for one answer; if zero 5 s
	Server     string        // HOST:PORT of a name server; "" = as the system does it
	IPv4, IPv6 bool          // only those; neither = both
}

// Follow resolves name at once and again and again until ctx ends; changed is told of each
// answer that differs from the one before, in a stable order, and failed, which may be nil,
// of each try that failed.
func Follow(ctx context.Context, c Config, name Name, changed func([]Answer), failed func(error)) {
	panic("not built yet")
}

// Once resolves name once.
func Once(ctx context.Context, c Config, name Name) ([]Answer, error) { panic("not built yet") }
