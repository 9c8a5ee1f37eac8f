// Package all opens every kind of end there is, by its scheme, and knows what requests may
// name.
package all

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/file"
	"sluice/internal/endpoint/tcp"
	"sluice/internal/endpoint/udp"
	"sluice/internal/endpoint/upload"
	"sluice/internal/endpoint/web"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

// Config of an opener. The zero Config opens only ends of the operator.
type Config struct {
	Interface     string // name of the interface of groups, both ways; if empty, the system's choice
	ReceiveBuffer int    // SO_RCVBUF of a UDP source, in bytes; if zero, netx.DefaultReceiveBuffer
	Version       string // of the program, as servers are told it
	Uploads       string // path of the UNIX socket where the origin gives its uploads; if empty, there are none
	Log           *slog.Logger

	// What may be named by those who are not trusted.
	Sources  []netip.Prefix // networks of sources
	Targets  []netip.Prefix // networks of targets
	ReadFrom []string       // directories of files that are sources, absolute
	WriteTo  []string       // directories of files that are targets, absolute
}

// Opener is an endpoint.Opener and an endpoint.SinkOpener for ends of every scheme.
type Opener struct {
	udp udp.Opener

	mu   sync.Mutex // guards the following
	ends *ends      // by which is opened now
	old  []*ends    // of former configurations: what they opened may still be open
}

// ends are the openers that one configuration makes, but for sources of datagrams.
type ends struct {
	sources  netx.Dialer // permits the addresses of sources
	file     file.Opener
	tcp      tcp.Opener
	web      web.Opener
	upload   upload.Opener
	intoUDP  udp.SinkOpener
	intoFile file.SinkOpener
	intoTCP  tcp.SinkOpener
	intoWeb  web.SinkOpener
}

func newEnds(c Config) *ends {
	return &ends{
		sources:  netx.Dialer{Allow: c.Sources},
		file:     file.Opener{ReadFrom: c.ReadFrom},
		tcp:      tcp.Opener{Allow: c.Sources},
		web:      web.Opener{Allow: c.Sources, Version: c.Version},
		upload:   upload.Opener{Socket: c.Uploads},
		intoUDP:  udp.SinkOpener{Interface: c.Interface, Allow: c.Targets},
		intoFile: file.SinkOpener{WriteTo: c.WriteTo},
		intoTCP:  tcp.SinkOpener{Allow: c.Targets},
		intoWeb:  web.SinkOpener{Allow: c.Targets, Version: c.Version},
	}
}

// New makes an opener; nothing is open yet.
func New(c Config) *Opener {
	return &Opener{
		udp:  udp.Opener{Interface: c.Interface, ReceiveBuffer: c.ReceiveBuffer, Log: c.Log},
		ends: newEnds(c),
	}
}

// Reload has c hold for what is opened from now on, but for its ReceiveBuffer, its Log and
// the Interface of sources, which stay as they are.
func (o *Opener) Reload(c Config) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.old = append(o.old, o.ends)
	o.ends = newEnds(c)
}

func (o *Opener) now() *ends {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ends
}

// Open implements endpoint.Opener.
func (o *Opener) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	ends := o.now()
	switch end := want.Source[0]; end.Scheme {
	case uri.UDP, uri.RTP:
		if err := ends.permit(want); err != nil {
			return nil, err
		}
		return o.udp.Open(ctx, want)
	case uri.TCP:
		return ends.tcp.Open(ctx, want)
	case uri.HTTP, uri.HTTPS:
		return ends.web.Open(ctx, want)
	case uri.File:
		return ends.file.Open(ctx, want)
	case uri.Upload:
		return ends.upload.Open(ctx, want)
	default:
		return nil, unknown(end)
	}
}

// permit says whether the groups of a source may be joined.
func (e *ends) permit(want endpoint.Want) error {
	for _, leg := range want.Source {
		if want.Trusted {
			break
		}
		if err := e.sources.Permits(leg.Addr.Addr()); err != nil {
			return &endpoint.Refusal{Status: http.StatusForbidden, Err: fmt.Errorf("%s: %w", leg.Tag(), err)}
		}
	}
	return nil
}

// OpenSink implements endpoint.SinkOpener.
func (o *Opener) OpenSink(ctx context.Context, to endpoint.Target) (endpoint.Sink, error) {
	ends := o.now()
	switch to.End.Scheme {
	case uri.UDP, uri.RTP:
		return ends.intoUDP.OpenSink(ctx, to)
	case uri.TCP:
		return ends.intoTCP.OpenSink(ctx, to)
	case uri.HTTP, uri.HTTPS:
		return ends.intoWeb.OpenSink(ctx, to)
	case uri.File:
		return ends.intoFile.OpenSink(ctx, to)
	default:
		return nil, unknown(to.End)
	}
}

func unknown(end uri.End) error {
	return &endpoint.Refusal{Status: http.StatusBadRequest, Err: fmt.Errorf("no ends of the scheme %q: want udp, rtp, tcp, http, https or file, and upload as a source", end.Scheme)}
}

// Close frees what the sources share, and waits for what they still do. Sources and sinks
// are to be closed before.
func (o *Opener) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	errs := []error{o.udp.Close()}
	for _, e := range append(o.old, o.ends) {
		errs = append(errs, e.file.Close(), e.tcp.Close(), e.web.Close(), e.upload.Close())
	}
	return errors.Join(errs...)
}
