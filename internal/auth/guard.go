package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"sluice/internal/logs"
)

const (
	defaultTimeout = 5 * time.Second
	defaultHelpers = 4
	maxHelpers     = 1024
)

// Guard answers Questions as one Config says. It remembers who was denied; a reload makes
// another one, which knows nothing of that.
type Guard struct {
	tokens  []token
	secrets [][]byte
	timeout time.Duration // for hook and helpers together
	hook    *hook         // nil = none
	helpers *pool         // nil = none
	denials *denials
	counted counters
}

// Stats counts since New.
type Stats struct {
	Asked     uint64 // all questions
	Denied    uint64 // answered with 401 or 403
	Cached    uint64 // of these, remembered
	Malformed uint64 // of these, those with a byte that must not reach hook or helper
	TimedOut  uint64 // answered with 504
	Busy      uint64 // of these, those for which the queue had no room
}

type counters struct{ asked, denied, cached, malformed, timedOut, busy atomic.Uint64 }

// New makes the Guard of c. It starts nothing: that is Run's part. A program that is not
// there is an error.
func New(c Config, log *slog.Logger) (*Guard, error) {
	g := &Guard{
		timeout: cmp.Or(c.Timeout, defaultTimeout),
		denials: newDenials(c.DeniedFor, c.DeniedEntries),
		secrets: c.Secrets,
	}
	if c.Timeout < 0 || c.DeniedEntries < 0 || c.Helpers < 0 || c.Helpers > maxHelpers {
		return nil, fmt.Errorf("authorization: bad number: want a time-out and entries of 0 or more, and 0 to %d helpers", maxHelpers)
	}
	names := tokenNames{}
	for _, t := range c.Tokens {
		if err := names.add(t); err != nil {
			return nil, fmt.Errorf("authorization: %w", err)
		}
		g.tokens = append(g.tokens, token{t.Name, sha256.Sum256([]byte(t.Value))})
	}
	for _, s := range c.Secrets {
		if err := checkSecret(s); err != nil {
			return nil, fmt.Errorf("authorization: %w", err)
		}
	}
	limited := logs.Limited(log)
	var err error
	if c.Hook != "" {
		if g.hook, err = newHook(c.Hook, limited); err != nil {
			return nil, fmt.Errorf("authorization: %w", err)
		}
	}
	if len(c.Helper) > 0 {
		if g.helpers, err = newPool(c, g.timeout, limited); err != nil {
			return nil, fmt.Errorf("authorization: %w", err)
		}
	}
	return g, nil
}

// CheckProtocol says whether helpers can be spoken to in that protocol.
func CheckProtocol(name string) error {
	switch name {
	case "a1p":
		return nil
	case "b2p":
		return errors.New("helper protocol b2p: its messages are specified nowhere that we know; use a1p")
	}
	return fmt.Errorf("unknown helper protocol %q: want a1p", name)
}

// Run keeps the helpers running until ctx ends, and returns when they have ended. Who is
// being asked about then is still answered, for up to 2 s: a reload refuses nobody.
func (g *Guard) Run(ctx context.Context) error {
	if g.helpers != nil {
		g.helpers.run(ctx)
	}
	<-ctx.Done()
	if g.hook != nil {
		g.hook.close()
	}
	return nil
}

// Ask decides. It may wait for hook and helper, for Config.Timeout at most, and not
// beyond ctx. Any goroutine may call it. With a helper configured, it wants Run.
func (g *Guard) Ask(ctx context.Context, q Question) Answer {
	g.counted.asked.Add(1)
	q.Peer = netip.AddrPortFrom(q.Peer.Addr().Unmap().WithZone(""), q.Peer.Port())
	a := g.askHere(&q, time.Now())
	if a.Code == 0 && (g.hook != nil || g.helpers != nil) {
		user := a.User
		a = g.askOthers(ctx, &q)
		a.User = user
	}
	switch a.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		g.counted.denied.Add(1)
	case http.StatusGatewayTimeout:
		g.counted.timedOut.Add(1)
	}
	return a
}

// askHere is about tokens and signatures.
func (g *Guard) askHere(q *Question, now time.Time) Answer {
	if len(g.tokens) == 0 && len(g.secrets) == 0 {
		return Answer{}
	}
	hasToken := len(g.tokens) > 0 && q.Query.Has(paramToken)
	if hasToken {
		if name := nameOf(g.tokens, q.Query.Get(paramToken)); name != "" {
			return Answer{User: name}
		}
	}
	switch {
	case len(g.secrets) > 0 && q.Query.Has(paramSign):
		return checkSigned(g.secrets, q, now)
	case hasToken:
		return refused("unknown token")
	case len(g.secrets) == 0:
		return Answer{Code: http.StatusUnauthorized, Reason: "no token"}
	case len(g.tokens) == 0:
		return Answer{Code: http.StatusUnauthorized, Reason: "no signature"}
	}
	return Answer{Code: http.StatusUnauthorized, Reason: "neither token nor signature"}
}

// askOthers asks hook and helper, unless their answer is remembered.
func (g *Guard) askOthers(ctx context.Context, q *Question) Answer {
	if !q.printable() {
		g.counted.malformed.Add(1)
		return refused("bad character in the request")
	}
	subject := q.subject()
	if a, found := g.denials.find(subject, time.Now()); found {
		g.counted.cached.Add(1)
		a.Reason += " (remembered)"
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	remember := func(a Answer) {
		if a.Code == http.StatusUnauthorized || a.Code == http.StatusForbidden {
			g.denials.add(subject, a, time.Now())
		}
	}
	if g.helpers != nil {
		defer g.helpers.come()()
	}
	if g.hook != nil {
		if a := g.hook.ask(ctx, q); a.Code != 0 {
			remember(a)
			return a
		}
	}
	if g.helpers == nil {
		return Answer{}
	}
	a, busy := g.helpers.ask(ctx, q, remember)
	if busy {
		g.counted.busy.Add(1)
	}
	return a
}

// Stats returns what was counted until now.
func (g *Guard) Stats() Stats {
	c := &g.counted
	return Stats{
		Asked: c.asked.Load(), Denied: c.denied.Load(), Cached: c.cached.Load(),
		Malformed: c.malformed.Load(), TimedOut: c.timedOut.Load(), Busy: c.busy.Load(),
	}
}

func refused(reason string) Answer { return Answer{Code: http.StatusForbidden, Reason: reason} }

func unanswered(reason string) Answer {
	return Answer{Code: http.StatusGatewayTimeout, Reason: reason}
}

// gone is for a client that did not wait: nobody reads it but the log.
func gone() Answer { return unanswered("the client is gone") }
