package relay

import (
	"context"
	"crypto/tls"
	"reflect"
	"time"

	"sluice/internal/flow"
	"sluice/internal/health"
	"sluice/internal/proxyproto"
)

// check is a remote that is checked.
type check struct {
	addr   flow.Addr
	conf   *backendConf
	cancel context.CancelFunc
	done   chan struct{}
}

// checkLocked checks all members as the configuration wants it, and no others. A check that stays
// as it was goes on: what it knows is kept.
func (b *backend) checkLocked(members []member) {
	wanted := make(map[string]member, len(members))
	for _, m := range members {
		wanted[m.Name] = m
	}
	b.uncheckLocked(func(name string) bool {
		m, there := wanted[name]
		c := b.checks[name]
		return !there || m.Addr != c.addr || !sameCheck(c.conf, b.conf)
	})
	if b.conf.Check.Kind == health.Off {
		return
	}
	for _, m := range members {
		if c := b.checks[m.Name]; c == nil || c.cancel == nil {
			b.checkOneLocked(m, c)
		}
	}
}

// sameCheck says whether remotes are asked in the same way.
func sameCheck(a, b *backendConf) bool {
	return a == b || (reflect.DeepEqual(a.Check, b.Check) && reflect.DeepEqual(a.TLS, b.TLS) && a.Proxy == b.Proxy && a.From == b.From)
}

// uncheckLocked ends checks. Those that end stay known until they have, so that the next of the
// same remote can wait for them: what they say last must not come after it.
func (b *backend) uncheckLocked(gone func(remote string) bool) {
	for name, c := range b.checks {
		if gone(name) && c.cancel != nil {
			c.cancel()
			c.cancel = nil
		}
	}
}

// checkOneLocked checks a remote, after an earlier check of it.
func (b *backend) checkOneLocked(m member, before *check) {
	ctx, cancel := context.WithCancel(b.running)
	c := &check{addr: m.Addr, conf: b.conf, cancel: cancel, done: make(chan struct{})}
	b.checks[m.Name] = c
	how := checkOf(b.conf, b.outward.Load(), m)
	b.tasks.Go(func() {
		defer close(c.done)
		defer cancel()
		if before != nil {
			<-before.done
		}
		health.Run(ctx, how, m.Addr, func(err error) {
			if ctx.Err() == nil {
				b.found(m.Name, err)
			}
		})
		b.unchecked(m.Name, c)
	})
}

// unchecked forgets a check that has ended, if no other has taken its place. A remote that
// is checked no more counts as up.
func (b *backend) unchecked(remote string, c *check) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.checks[remote] != c {
		return
	}
	delete(b.checks, remote)
	if b.conf.Check.Kind == health.Off {
		b.pool.SetUp(time.Now(), remote, true, "")
	}
}

// found takes the outcome of a check.
func (b *backend) found(remote string, err error) {
	if err == nil {
		b.pool.SetUp(time.Now(), remote, true, "")
	} else {
		b.pool.SetUp(time.Now(), remote, false, err.Error())
	}
	b.turned()
}

// checkOf is the check of one remote: from the address of its sessions, with a PROXY
// header if they have one. Where sessions are not encrypted here, a check with TLS asks only
// whether somebody answers, and takes any certificate.
func checkOf(c *backendConf, o *outward, m member) health.Check {
	how := c.Check
	if !how.From.IsValid() {
		how.From = c.From
	}
	if c.Proxy != ProxyNone {
		how.Prelude = proxyproto.Append(nil, o.local())
	}
	if how.TLS = o.client(m.Name, m.Addr); how.TLS == nil {
		how.TLS = &tls.Config{ServerName: o.names[m.Name], InsecureSkipVerify: true}
	}
	return how
}
