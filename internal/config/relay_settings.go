package config

import (
	"slices"
	"time"

	"sluice/internal/health"
	"sluice/internal/pool"
	"sluice/internal/relay"
)

// Bounds of numbers of the relay.
const (
	maxThreads = 256
	maxTries   = 100
	maxSticky  = 10_000_000
)

// settings binds the keys below relay to the fields of r.
func (r *RelayPart) settings() table {
	return table{
		{"relay.admin", door{&r.Admin}, restart, "Status page, metrics and orders of the relay. Whoever reaches it sees and ends sessions. Empty = none."},
		{"relay.threads", count{&r.Threads, 0, maxThreads}, restart, "Threads that move bytes. 0 = one a core."},
		{"relay.buffer", buffer{to: &r.Buffer}, restart, "Bytes that a thread reads at once."},
		{"relay.splice", boolean{&r.Splice}, restart, "Whether much data of one session goes through a pipe of the kernel, without being copied."},
		{"relay.pipes", size{&r.Pipes, 1 << 16}, restart, "Bytes of all these pipes together."},
		{"relay.max_sessions", count{&r.MaxSessions, 0, maxCount}, live, "Sessions in all. 0 = no limit."},
		{"relay.overload", choice[relay.Overload]{&r.Overload, []string{"queue", "close", "reset"}}, live, "What becomes of clients beyond that: they wait in the system's queue, are accepted and closed, or are refused because nobody listens."},
		{"relay.retire", count{&r.Retire, 0, maxCount}, live, "After so many sessions a new process takes over, and this one finishes its own. 0 = never."},
		{"relay.drain", duration{to: &r.Drain}, live, "After TERM, sessions may go on for so long. 0s = they end at once."},
		{"relay.quiet", duration{to: &r.Quiet, least: time.Millisecond}, live, "Sessions that carried nothing for so long are ended first then."},
		{"relay.resolve.every", duration{to: &r.Resolve.Every, least: time.Second}, live, "How often the names of remotes are asked for."},
		{"relay.resolve.timeout", duration{to: &r.Resolve.Timeout, least: time.Millisecond}, live, "How long an answer may take."},
		{"relay.resolve.server", checked{&r.Resolve.Server, checkNameServer, "address"}, live, "ADDRESS:PORT of a name server. Empty = as the system does it."},
		{"relay.resolve.family", family{&r.Resolve}, live, "Which addresses of a name are taken."},
		{"relay.session_log.file", path{&r.SessionLog.File}, restart, "File with a line for each session that has ended. Empty = none."},
		{"relay.session_log.max_size", size{&r.SessionLog.MaxSize, 1 << 10}, restart, "As log.max_size."},
		{"relay.session_log.max_files", count{&r.SessionLog.MaxFiles, 0, maxSmall}, restart, "As log.max_files."},
	}
}

// settings binds the keys below a listener's name to its fields.
func (l *RelayListener) settings() table {
	return slices.Concat(table{
		{"listen", sockets(&l.Addrs), live, "Where clients connect: HOST:PORT, sctp://HOST:PORT, unix:PATH or inherited:NAME, and options. Necessary."},
		{"pool", word{&l.Pool}, live, "Where clients go for whom no route is. Empty = they are closed."},
		{"routes", relayRoutes(&l.Routes), live, "Clients that go elsewhere, by what they say first; the first that fits counts."},
		{"rules", rules(&l.Rules), live, "permit or deny, and a network; `not` before it stands for all others. The first that fits a client counts; who fits none is denied. Empty = everybody is let in."},
		{"max_sessions", count{&l.Max, 0, maxCount}, live, "Sessions. 0 = no limit."},
		{"max_per_source", count{&l.PerSource, 0, maxCount}, live, "Sessions of one address, in IPv6 of one /64. 0 = no limit."},
		{"max_rate", perSecond{&l.Rate}, live, "Sessions that may begin in a second. 0 = no limit."},
		{"max_rate_per_source", perSecond{&l.RatePerSource}, live, "Likewise, of one address."},
		{"proxy", choice[relay.ProxyIn]{&l.Proxy, []string{"off", "accepted", "required"}}, live, "Whether clients come with a PROXY header (version 1 or 2): it is relayed, looked for, or who has none is closed."},
		{"proxies", prefixes(&l.Proxies), live, "Whose header is believed. Empty = everybody's, where it is required."},
	}, l.TLS.settings(), l.timeSettings(), l.socketSettings())
}

// settings are how a listener decrypts.
func (t *RelayTLS) settings() table {
	return table{
		{"tls.certificates", certificates(&t.Certificates), live, "Certificate chains (PEM), each with its options. Who asks for a name gets the one that has it, all others the first. They are read again when they change. Empty = nothing is decrypted."},
		{"tls.auto", boolean{&t.Auto}, live, "Whether clients that speak no TLS are relayed as they are."},
		{"tls.client_ca", path{&t.ClientCA}, live, "File of CAs (PEM) whose certificates clients may show. Empty = none is asked for."},
		{"tls.client_needed", boolean{&t.ClientNeeded}, live, "Whether clients must show one."},
		{"tls.min", version{&t.Min}, live, "The oldest version: 1.0, 1.1, 1.2 or 1.3. Empty = 1.2."},
		{"tls.max", version{&t.Max}, live, "The newest. Empty = the newest that there is."},
		{"tls.protocols", protocols(&t.Protocols), live, "What is agreed to speak (ALPN), such as h2. Empty = nothing is said."},
	}
}

// timeSettings are how long things may last.
func (l *RelayListener) timeSettings() table {
	return table{
		{"hello", duration{to: &l.Hello, least: time.Millisecond}, live, "Time for a PROXY header and the handshake of TLS together."},
		{"connect", duration{to: &l.Connect, least: time.Millisecond}, live, "Time for one try of a remote."},
		{"tries", count{&l.Tries, 1, maxTries}, live, "Remotes that are tried for a client."},
		{"within", duration{to: &l.Within, least: time.Millisecond}, live, "Time for all tries of a client, and for its place in the queue."},
		{"idle", duration{to: &l.Idle, least: time.Millisecond, zero: true}, live, "A session without a byte from either side ends after so long. 0s = never."},
		{"half_close", orNever{&l.HalfClose}, live, "When one side has ended, the other may go on for so long without a byte. 0s = without end."},
	}
}

// socketSettings are the options of a session's sockets.
func (l *RelayListener) socketSettings() table {
	return table{
		{"no_delay", assumed{&l.NoDelay}, live, "Whether small pieces are sent at once (TCP_NODELAY)."},
		{"keepalive.probes", either{&l.KeepAlive.Off, "off", "on"}, live, "Whether quiet connections are probed by TCP."},
		{"keepalive.idle", duration{to: &l.KeepAlive.Idle, least: time.Second, most: maxKeepAlive, zero: true}, live, "After so long. 0s = as the system has it."},
		{"keepalive.interval", duration{to: &l.KeepAlive.Interval, least: time.Second, most: maxKeepAlive, zero: true}, live, "Again after so long. 0s = as the system has it."},
		{"keepalive.count", count{&l.KeepAlive.Count, 0, 127}, live, "So many without an answer end the connection. 0 = as the system has it."},
		{"dscp", count{&l.DSCP, 0, 63}, live, "Mark of the packets to clients (DSCP). 0 = none."},
		{"buffer", buffer{&l.Buffer, true}, live, "Bytes that are kept for a side that does not take them, at most, each way. 0 = relay.buffer."},
	}
}

// settings binds the keys below a pool's name to its fields.
func (p *RelayPool) settings() table {
	return slices.Concat(table{
		{"remotes", remotes(&p.Remotes), live, "Where sessions are sent: HOST:PORT, sctp://HOST:PORT, unix:PATH or srv:_SERVICE._tcp.DOMAIN, and options. Each address of a name is a remote. Necessary."},
		{"balance", choice[pool.Balance]{&p.Balance, []string{"least", "round-robin", "two-choices", "random", "source", "maglev", "first"}}, live, "Which remote a client gets: the one with the fewest sessions for its weight, in turn, the better of two by chance, by chance, by the client's address, likewise so that few change when a remote goes, the first with room."},
		{"queue", orNone{&p.Queue, maxCount}, live, "Clients that may wait for room when all remotes are full. 0 = none."},
		{"slow_start", duration{to: &p.SlowStart}, live, "A remote that has come back has its whole weight only after so long. 0s = at once."},
		{"rebalance", count{&p.Rebalance, 0, maxCount}, live, "After so many choices, remotes that were left out count as good again. 0 = never."},
		{"eject.fails", orNone{&p.Eject.Fails, maxCount}, live, "A remote that has refused so many clients in a row is left out for a while. 0 = never."},
		{"eject.for", duration{to: &p.Eject.For, least: time.Millisecond}, live, "For so long at first; doubled each time."},
		{"eject.max", duration{to: &p.Eject.Max, least: time.Millisecond}, live, "For so long at most."},
		{"eject.share", count{&p.Eject.Share, 1, 100}, live, "Percent of the remotes that may be left out at once, one at least."},
		{"sticky.period", duration{to: &p.Sticky.Period}, live, "A client is sent where it was sent before, for so long. 0s = it is not."},
		{"sticky.size", count{&p.Sticky.Size, 1, maxSticky}, live, "Clients that are remembered."},
	}, p.checkSettings(), table{
		{"proxy", choice[relay.ProxyOut]{&p.Proxy, []string{"off", "v1", "v2"}}, live, "The PROXY header that remotes get first."},
		{"from", address{&p.From}, live, "The address that connections come from. Empty = the system's choice."},
	}, p.TLS.settings())
}

// checkSettings are how remotes are asked whether they are well.
func (p *RelayPool) checkSettings() table {
	c := &p.Check
	return table{
		{"check.type", choice[health.Kind]{&c.Kind, []string{"off", "tcp", "tls", "http", "https", "talk"}}, live, "How remotes are asked whether they are well: not at all, by a connection, a handshake, GET, GET over TLS, or by sending and expecting something."},
		{"check.port", port{&c.Port}, live, "Port that is asked. 0 = that of the remote."},
		{"check.every", duration{to: &c.Every, least: 10 * time.Millisecond}, live, "How often."},
		{"check.timeout", duration{to: &c.Timeout, least: time.Millisecond}, live, "How long an answer may take."},
		{"check.rise", count{&c.Rise, 1, maxSmall}, live, "Good answers in a row until a remote is up again."},
		{"check.fall", count{&c.Fall, 1, maxSmall}, live, "Bad ones until it is down."},
		{"check.path", checked{&c.Path, checkPath, "path"}, live, "http, https: what is asked for. Empty = /."},
		{"check.host", checked{&c.Host, checkHostField, "text"}, live, "http, https: the host that is asked for. Empty = the address."},
		{"check.status", statuses(&c.Status), live, "http, https: good answers. Empty = 200 to 399."},
		{"check.send", bytesText{&c.Send}, live, "talk: what is sent; \\r, \\n, \\t, \\\\ and \\xHH are one byte each. Empty = nothing."},
		{"check.expect", bytesText{&c.Expect}, live, "talk: what stands in the answer. Empty = any byte."},
		{"check.from", address{&c.From}, live, "The address that checks come from. Empty = the system's choice."},
		{"check.on_down", either{&p.EndDown, "close", "keep"}, live, "What becomes of the sessions of a remote that is found down."},
	}
}

// settings are how remotes are spoken to when it is encrypted.
func (t *RelayRemoteTLS) settings() table {
	return table{
		{"tls.enabled", boolean{&t.Enabled}, live, "Whether remotes are spoken to over TLS."},
		{"tls.name", checked{&t.Name, checkRemoteName, "name"}, live, "Name that is asked for, and looked for in the certificate. Empty = the host of the remote, or its address."},
		{"tls.ca", path{&t.CA}, live, "File of CAs (PEM) that are believed. Empty = the system's."},
		{"tls.verify", boolean{&t.Verify}, live, "Whether the certificate must be good."},
		{"tls.certificate", certificate(&t.Certificate), live, "Certificate that is shown to the remote, with its options. Empty = none."},
		{"tls.min", version{&t.Min}, live, "The oldest version. Empty = 1.2."},
		{"tls.max", version{&t.Max}, live, "The newest. Empty = the newest that there is."},
		{"tls.protocols", protocols(&t.Protocols), live, "What is offered to speak (ALPN). Empty = nothing is said."},
	}
}
