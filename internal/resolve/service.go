package resolve

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

const (
	maxTargets = 256 // of a service; what an answer has beyond it is left out
	asksAtOnce = 8   // for the addresses of targets
)

// service asks for a service, and for the addresses of its targets. A target that cannot be
// resolved stands for what it did before, or is left out; only when nothing is left that is
// an error.
func (r *resolver) service(ctx context.Context, name Name) ([]Answer, error) {
	records, err := r.records(ctx, name)
	if err != nil {
		return nil, err
	}
	err = r.targets(ctx, records)
	var all []Answer
	best := -1 // priority of those that have an address
	for _, s := range records {
		for _, a := range r.known[s.Target] {
			if best < 0 {
				best = int(s.Priority)
			}
			all = append(all, Answer{
				Addr: netip.AddrPortFrom(a, s.Port), Host: strings.TrimSuffix(s.Target, "."),
				Weight: max(int(s.Weight), 1), Backup: int(s.Priority) != best,
			})
		}
	}
	if len(all) > 0 {
		err = nil
	}
	return all, err
}

// records are those of SRV, the best priority first.
func (r *resolver) records(ctx context.Context, name Name) ([]*net.SRV, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	_, records, err := r.net.LookupSRV(ctx, "", "", name.String())
	if len(records) > 0 {
		err = nil // it is about others, which are no host names: they are left out
	}
	if len(records) == 1 && records[0].Target == "." {
		return nil, errors.New("the domain says that it has no such service")
	}
	slices.SortFunc(records, func(a, b *net.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
	})
	return records[:min(len(records), maxTargets)], err
}

// targets asks for the addresses of all targets; known is what they stand for now, or did
// before. The error is that of one that could not be resolved.
func (r *resolver) targets(ctx context.Context, records []*net.SRV) (failed error) {
	known := make(map[string][]netip.Addr)
	var (
		asking sync.WaitGroup
		turns  = make(chan struct{}, asksAtOnce)
		mu     sync.Mutex // guards known and failed
	)
	ask := func(host string) {
		turns <- struct{}{}
		addrs, err := r.host(ctx, host)
		<-turns
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			addrs, failed = r.known[host], err
		}
		known[host] = addrs
	}
	asked := make(map[string]bool)
	for _, s := range records {
		if !asked[s.Target] {
			asked[s.Target] = true
			asking.Go(func() { ask(s.Target) })
		}
	}
	asking.Wait()
	r.known = known
	return failed
}
