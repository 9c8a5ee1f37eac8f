package relay

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"

	"sluice/internal/certs"
	"sluice/internal/duplex"
	"sluice/internal/flow"
	"sluice/internal/logs"
)

// server is how a listener decrypts.
func (t *TLS) server() certs.Server {
	s := certs.Server{
		ClientCA: t.ClientCA, ClientNeeded: t.ClientNeeded,
		Min: t.Min, Max: t.Max, Protocols: t.Protocols,
	}
	for _, c := range t.Certificates {
		s.Certificates = append(s.Certificates, certs.Files(c))
	}
	return s
}

// client is how the remotes of a pool are spoken to.
func (t *RemoteTLS) client() certs.Client {
	return certs.Client{
		CA: t.CA, NoVerify: t.NoVerify, Certificate: certs.Files(t.Certificate),
		Min: t.Min, Max: t.Max, Protocols: t.Protocols,
	}
}

// tellFiles logs what became of files that have changed.
func tellFiles(log *slog.Logger) certs.Changed {
	return func(file string, err error) {
		if err != nil {
			log.Error("a changed file is of no use: what it said before holds", logs.File, file, logs.Error, err)
			return
		}
		log.Info("a changed file was read", logs.File, file)
	}
}

// made is a backendConf of a pool of the configuration.
func (p *Pool) made(c *Config, log *slog.Logger) (*backendConf, error) {
	b := &backendConf{Pool: *p, resolve: c.Resolve, outward: outward{proxy: p.Proxy, from: p.From}}
	if p.TLS == nil {
		return b, nil
	}
	var err error
	if b.outward.tls, err = p.TLS.client().Configs(tellFiles(log)); err != nil {
		return nil, fmt.Errorf("pool %s: %w", p.Name, err)
	}
	return b, nil
}

// Take implements flow.Desk.
func (k *desk) Take(s *flow.Session, client net.Conn) {
	k.taken.Go(func() { k.serve(s, client) })
}

// serve carries a session with TLS to its end. The first try waits until the group knows the
// session: only then can a pool wake it.
func (k *desk) serve(s *flow.Session, client net.Conn) {
	st := s.Keep.(*session)
	st.taken = true
	conn := client.(duplex.Conn) // all that is accepted is a TCP or a UNIX socket
	if st.decrypt {
		secure, err := k.handshake(st, client)
		if err != nil {
			s.Cause, s.Err = flow.CauseHello, err
			if k.life.Err() != nil {
				s.Cause = flow.CauseDrain
			}
			k.Close(s)
			return
		}
		conn = secure
	}
	k.group.Start(k.life, s, conn, flow.Plan{Step: flow.Wait})
	s.Wake()
}

func (k *desk) handshake(st *session, client net.Conn) (*tls.Conn, error) {
	ctx, cancel := context.WithDeadline(k.life, st.until)
	defer cancel()
	secure, err := duplex.Server(ctx, client, st.door.tls)
	if err != nil {
		return nil, err
	}
	if st.backend.outward.Load().proxy == ProxyV2 {
		state := secure.ConnectionState()
		st.known().tls = &state
	}
	return secure, nil
}
