package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// most measures how many clients a contestant holds: each size is a relay of its own,
// with a fresh process. The other figures are those of the largest size that held.
func (s *scenario) most(ctx context.Context, c contestant, o options) (measured, error) {
	var best, worst measured // of the largest size that held, of the one above
	size, failed, err := climb(s.clients, mostStep, func(n int) (bool, error) {
		one := *s
		one.clients = n
		m, err := one.relay(ctx, c, o)
		if err != nil && !errors.Is(err, errNotAll) {
			return false, err
		}
		if err == nil && keepsUp(m) {
			best = m
			fmt.Fprintf(os.Stderr, "  %d clients hold: %s\n", n, strainText(m))
			return true, nil
		}
		worst = m
		fmt.Fprintf(os.Stderr, "  %d clients do not hold: %s\n", n, strainText(m))
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	m := measured{}
	for f, v := range best {
		m[f] = v
	}
	m[mostClients] = float64(size)
	switch {
	case failed == 0:
	case strained(worst):
		m[loadGaveUp] = float64(failed)
	default:
		m[serverGaveUp] = float64(failed)
	}
	return m, nil
}

// strainText is what decides on a size, for the person who waits.
func strainText(m measured) string {
	if _, played := m[delivered]; !played {
		return fmt.Sprintf("not all of them play, lag of the clients %s ms", number(m[crowdLag]))
	}
	return fmt.Sprintf("gaps %s, delivered %s %%, latency p99 %s ms, lag of the clients %s ms, sent %s %%",
		number(m[gaps]), number(m[delivered]), number(m[ageP99]), number(m[crowdLag]), number(m[pace]))
}
