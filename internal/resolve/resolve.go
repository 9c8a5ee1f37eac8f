// Package resolve follows names: the addresses of a host, the remotes of a service (SRV,
// RFC 2782). A name that cannot be resolved keeps what it last stood for.
package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Name is what is asked for.
type Name struct {
	Host    string // a host, or with Service the domain
	Port    uint16 // not with Service
	Service string // "_imap._tcp": the answer gives hosts, ports, weights and priorities; "" = none
}

// String is HOST:PORT, or SERVICE.DOMAIN.
func (n Name) String() string {
	if n.Service != "" {
		return n.Service + "." + n.Host
	}
	return net.JoinHostPort(n.Host, fmt.Sprint(n.Port))
}

// Answer is one address that a name stands for.
type Answer struct {
	Addr   netip.AddrPort
	Host   string // the name that stands for the address, for TLS
	Weight int    // of SRV, 1 at least, for each address of the target; 0 for a host
	Backup bool   // of SRV: its priority is not the best one of those that have an address
}

// maxAnswers bounds what one name stands for; what an answer has beyond it is left out.
const maxAnswers = 1024

// Config is how names are resolved. Zero fields mean what is said beside them.
type Config struct {
	Every      time.Duration // how often; if zero 30 s; a tenth more or less by chance
	Timeout    time.Duration // for one answer; if zero 5 s
	Server     string        // HOST:PORT of a name server, for what is not in the file hosts of the system; "" = as the system does it
	IPv4, IPv6 bool          // only those; neither = both
}

// Follow resolves name at once and again and again until ctx ends; changed is told of each
// answer that differs from the one before, in a stable order, and failed, which may be nil,
// of each try that failed: the answer before it still holds. After a failure it tries again
// soon, after a second at the earliest, and then ever less. A name that is an address is told once.
func Follow(ctx context.Context, c Config, name Name, changed func([]Answer), failed func(error)) {
	r := newResolver(c)
	if answers, is := literal(name); is {
		changed(answers)
		return
	}
	if failed == nil {
		failed = func(error) {}
	}
	follow(ctx, c, func(ctx context.Context) ([]Answer, error) { return r.resolve(ctx, name) }, changed, failed)
}

// literal is what a name stands for that is an address.
func literal(name Name) (answers []Answer, is bool) {
	ip, err := netip.ParseAddr(name.Host)
	if err != nil || name.Service != "" {
		return nil, false
	}
	return []Answer{{Addr: netip.AddrPortFrom(ip.Unmap(), name.Port), Host: name.Host}}, true
}

// follow is Follow for a way to ask.
func follow(ctx context.Context, c Config, ask func(context.Context) ([]Answer, error), changed func([]Answer), failed func(error)) {
	var last []Answer
	failures := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		answers, err := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			failed(err)
		default:
			failures = 0
			if !slices.Equal(answers, last) {
				last = answers
				changed(slices.Clone(answers))
			}
		}
		timer.Reset(pause(c, failures, rand.Float64()))
	}
}

// The time after the first failure in a row; it doubles with each further one.
const firstPause = time.Second

// pause is how long to wait after so many failures in a row: Every, or less after a
// failure. random, from 0 to 1, makes it up to a tenth more or less, so that names that
// were asked for together are not for ever; after a failure it is only more.
func pause(c Config, failures int, random float64) time.Duration {
	every := cmp.Or(c.Every, 30*time.Second)
	if failures == 0 {
		return time.Duration(float64(every) * (0.9 + random/5))
	}
	d := firstPause
	for range min(failures-1, 30) {
		d *= 2
		if d >= every {
			break
		}
	}
	d = max(min(d, every), firstPause)
	return d + time.Duration(float64(d)*random/10)
}

// resolver asks.
type resolver struct {
	net     *net.Resolver
	server  string // that it was told to ask; "" = those of the system
	timeout time.Duration
	network string                  // of LookupNetIP
	known   map[string][]netip.Addr // of the targets of a service: what they last stood for
}

func newResolver(c Config) *resolver {
	r := &resolver{net: net.DefaultResolver, server: c.Server, timeout: cmp.Or(c.Timeout, 5*time.Second), network: "ip"}
	switch {
	case c.IPv4 && !c.IPv6:
		r.network = "ip4"
	case c.IPv6 && !c.IPv4:
		r.network = "ip6"
	}
	if c.Server != "" {
		r.net = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, c.Server)
			if err == nil { // package net would wait for an answer, or seconds, though nobody wants it any more
				context.AfterFunc(ctx, func() { conn.Close() })
			}
			return conn, err
		}}
	}
	return r
}

func (r *resolver) resolve(ctx context.Context, name Name) ([]Answer, error) {
	answers, err := r.answers(ctx, name)
	if err == nil && len(answers) == 0 {
		err = errors.New("the answer has no address")
	}
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", name, r.plain(name, err))
	}
	slices.SortFunc(answers, compare)
	answers = slices.Compact(answers)
	return answers[:min(len(answers), maxAnswers)], nil
}

func (r *resolver) answers(ctx context.Context, name Name) ([]Answer, error) {
	if name.Service != "" {
		return r.service(ctx, name)
	}
	addrs, err := r.host(ctx, name.Host)
	var all []Answer
	for _, a := range addrs {
		all = append(all, Answer{Addr: netip.AddrPortFrom(a, name.Port), Host: name.Host})
	}
	return all, err
}

// host asks for the addresses of a host.
func (r *resolver) host(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	addrs, err := r.net.LookupNetIP(ctx, r.network, host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, err
}

// compare is the order of answers: backups last.
func compare(a, b Answer) int {
	switch {
	case a.Backup != b.Backup && b.Backup:
		return -1
	case a.Backup != b.Backup:
		return 1
	}
	return cmp.Or(strings.Compare(a.Host, b.Host), a.Addr.Compare(b.Addr), cmp.Compare(b.Weight, a.Weight))
}

// plain takes off what resolve says itself, and what is of no use to who reads it.
func (r *resolver) plain(name Name, err error) error {
	dns, ok := errors.AsType[*net.DNSError](err)
	if !ok {
		return err
	}
	why := dns.Err
	switch {
	case dns.IsTimeout:
		why = fmt.Sprintf("no answer in %v", r.timeout)
	case dns.IsNotFound && name.Service != "":
		why = "no such service, or its targets have no address"
	case dns.IsNotFound:
		why = "no such name, or it has no address"
	}
	if server := cmp.Or(r.server, dns.Server); server != "" {
		why += " (name server " + server + ")"
	}
	return errors.New(why)
}
