package spawnd

import (
	"net/netip"
	"strings"
)

func (p *parser) listen(s *Spawnd) error {
	l := Listen{Place: p.at}
	err := p.openGroup()
	if err == nil {
		err = listenGrammar().block(p, &l)
	}
	s.Listens = append(s.Listens, l)
	return err
}

func listenGrammar() grammar[Listen] {
	address := func(l *Listen) *Said[string] { return &l.Address }
	words := []directive[Listen]{
		text("address", address),
		text("path", address),
		{name: "port", read: (*parser).port},
		{name: "realm", read: (*parser).realm},
		number("dscp", func(l *Listen) *Said[int] { return &l.DSCP }),
		text("vrf", func(l *Listen) *Said[string] { return &l.Device }),
		{name: "tls", also: []string{"ssl"}, read: (*parser).tls},
		ignored(choice("aaa.protocol", void[Listen, string],
			"radius.dtls", "radius.tcp", "radius.tls", "radius.udp", "tacacs.tcp", "tacacs.tls"), "'aaa.protocol' has no effect on a relay"),
		boolean("haproxy", func(l *Listen) *Said[bool] { return &l.Proxy }),
		{name: "mode", read: func(p *parser, l *Listen) error { return p.mode(&l.Mode) }},
		text("userid", func(l *Listen) *Said[string] { return &l.User }),
		text("groupid", func(l *Listen) *Said[string] { return &l.Group }),
		number("backlog", func(l *Listen) *Said[int] { return &l.Backlog }),
		{name: "overload", read: then(ignored(number("backlog", void[Listen, int]), "'overload backlog' has no effect: 'backlog' holds at all times"))},
		retryDelay(func(l *Listen) *Said[int] { return &l.RetryDelay }),
		{name: "type", read: (*parser).socketType},
		{name: "protocol", read: (*parser).listenProtocol},
		{name: "tcp", read: then(keepAlive(func(l *Listen) *KeepAlive { return &l.KeepAlive }))},
		ignored(choice("flag", void[Listen, string], "access", "accounting"), "'flag' has no effect on a relay"),
		sticky(func(l *Listen) *Sticky { return &l.Sticky }),
	}
	g := grammar[Listen]{words: words}
	names := g.names()
	g.other = func(p *parser, l *Listen) error {
		if !bareAddress(p.now) {
			return p.expected(names...)
		}
		return p.text(&l.Address)
	}
	return g
}

// bareAddress says whether the documentation would let t stand alone for "address = t".
func bareAddress(t token) bool {
	_, err := netip.ParseAddr(t.text)
	return t.value() && err == nil
}

// port takes a port; = may be left out, as the documentation does.
func (p *parser) port(l *Listen) error {
	if err := p.optional("="); err != nil {
		return err
	}
	return p.text(&l.Port)
}

// maxRealm is as long as a realm may be, in bytes.
const maxRealm = 15

func (p *parser) realm(l *Listen) error {
	var tag Said[string]
	d := ignored(text("realm", func(*Listen) *Said[string] { return &tag }), "'realm' has no effect on a relay")
	if err := d.read(p, l); err != nil {
		return err
	}
	if len(tag.Value) > maxRealm {
		return tag.Place.Errorf("Maximum tag length is limited to %d characters.", maxRealm)
	}
	return nil
}

// socketType takes the one type that a relay can have.
func (p *parser) socketType(*Listen) error {
	var t Said[string]
	if err := choice("type", func(*Said[string]) *Said[string] { return &t }, "STREAM", "DGRAM", "SEQPACKET").read(p, &t); err != nil {
		return err
	}
	if t.Value != "STREAM" {
		return t.Place.Errorf("type = %s: only streams are relayed", t.Value)
	}
	return nil
}

func (p *parser) listenProtocol(l *Listen) error {
	field := func(l *Listen) *Said[string] { return &l.Protocol }
	if err := choice("protocol", field, "TCP", "tcp", "UDP", "udp", "SCTP").read(p, l); err != nil {
		return err
	}
	if l.Protocol.Value = strings.ToUpper(l.Protocol.Value); l.Protocol.Value == "UDP" {
		return l.Protocol.Place.Errorf("protocol = UDP: only streams are relayed")
	}
	return nil
}

// tls takes "= yes", "= no", "= auto", "= VERSION, …" or "psk = …"; alone it is yes.
func (p *parser) tls(l *Listen) error {
	at := p.at
	if p.now.is("psk") {
		return then(ignored(boolean("psk", void[Listen, bool]), "'tls psk' has no effect: keys that are agreed on before are out of scope"))(p, l)
	}
	if !p.now.is("=") {
		l.TLS = TLS{On: Said[bool]{true, at}}
		return nil
	}
	if err := p.advance(); err != nil {
		return err
	}
	if yes, ok := truth(p.now); ok || p.now.is("auto") {
		l.TLS = TLS{On: Said[bool]{yes || !ok, at}, Auto: Said[bool]{!ok, at}}
		return p.advance()
	}
	return p.versions(l)
}

// versions takes versions of TLS, with commas between them.
func (p *parser) versions(l *Listen) error {
	l.TLS = TLS{On: Said[bool]{true, p.at}}
	for {
		switch {
		case p.now.is("TLSv1.2"), p.now.is("TLSv1.3"):
			l.TLS.Versions = append(l.TLS.Versions, p.now.text)
		case p.now.is("DTLSv1.0"), p.now.is("DTLSv1.2"), p.now.is("DTLSv1.3"):
			return p.now.place.Errorf("tls = %s: DTLS belongs to UDP, and only streams are relayed", p.now.text)
		case len(l.TLS.Versions) > 0:
			return p.expected("TLSv1.2", "TLSv1.3")
		default:
			return p.expected("TLSv1.2", "TLSv1.3", "auto", "yes", "permit", "true", "no", "deny", "false")
		}
		if err := p.advance(); err != nil {
			return err
		}
		if !p.now.is(",") {
			return nil
		}
		for p.now.is(",") {
			if err := p.advance(); err != nil {
				return err
			}
		}
	}
}
