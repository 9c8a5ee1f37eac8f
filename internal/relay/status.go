package relay

import (
	"cmp"
	"os"
	"slices"
	"time"

	"sluice/internal/flow"
	"sluice/internal/report"
)

// Status is what runs.
func (r *Relay) Status() report.Relay {
	totals, pools := r.sum(), r.poolReports() // before the sessions: one that ends meanwhile is missing for once, and never counted twice
	sessions := append(r.threads.Views(), r.desk.group.Views()...)
	slices.SortFunc(sessions, func(a, b flow.View) int { return cmp.Compare(a.ID, b.ID) })
	sessions = slices.CompactFunc(sessions, func(a, b flow.View) bool { return a.ID == b.ID }) // it has just moved to goroutines
	for _, v := range sessions {
		totals.Up += v.Up
		totals.Down += v.Down
	}
	addRunning(pools, sessions)
	s := report.Relay{
		Name: "sluice relay", Version: r.desk.opt.Version, PID: os.Getpid(), Started: r.started, Now: time.Now(),
		Draining: r.draining.Load(), Totals: totals,
		Listeners: []report.RelayListener{}, Pools: pools, Sessions: []report.RelaySession{},
	}
	for _, v := range sessions[:min(len(sessions), report.MaxRelaySessions)] {
		s.Sessions = append(s.Sessions, sessionReport(v))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.listeners {
		s.Listeners = append(s.Listeners, r.listenerReportLocked(l))
	}
	return s
}

// poolReports are those of all pools, without what the running sessions have carried so far.
func (r *Relay) poolReports() []report.RelayPool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pools, now := make([]report.RelayPool, 0, len(r.backends)), time.Now()
	for _, b := range r.backends {
		pools = append(pools, b.report(now))
	}
	return pools
}

// addRunning adds what sessions have carried so far to their remotes.
func addRunning(pools []report.RelayPool, sessions []flow.View) {
	type name struct{ pool, remote string }
	remotes := make(map[name]*report.RelayRemote)
	for _, p := range pools {
		for i := range p.Remotes {
			remotes[name{p.Name, p.Remotes[i].Name}] = &p.Remotes[i]
		}
	}
	for _, v := range sessions {
		if r := remotes[name{v.Pool, v.Remote}]; r != nil {
			r.Up64 += v.Up
			r.Down64 += v.Down
		}
	}
}

func sessionReport(v flow.View) report.RelaySession {
	return report.RelaySession{
		ID: v.ID, Listener: v.Listener, Client: printable(v.Client.String()), Pool: v.Pool, Remote: v.Remote,
		Since: v.Begun, Quiet: v.Quiet.Seconds(), Up: v.Up, Down: v.Down, TLS: v.TLS,
	}
}

// sum is the totals, without what the running sessions have carried so far.
func (r *Relay) sum() report.RelayTotals {
	t, f := &r.desk.totals, r.threads.Figures()
	sum := report.RelayTotals{
		Sessions: r.desk.gate.count(), Accepted: t.accepted.Load(), Connected: t.connected.Load(),
		Up: t.up.Load(), Down: t.down.Load(), Ended: make(map[string]uint64),
		ConnectFails: t.failed.Load(), AcceptErrors: f.AcceptErrors,
		Spliced: f.Spliced, Copied: f.Copied, Pipes: f.Pipes,
		ConnectSeconds: time.Duration(t.took.Load()).Seconds(),
	}
	for _, c := range flow.Causes() {
		sum.Ended[c.String()] = t.ended[c].Load()
	}
	n := uint64(0)
	for i := range t.buckets {
		n += t.buckets[i].Load()
		sum.ConnectTime = append(sum.ConnectTime, n)
	}
	return sum
}

func (r *Relay) listenerReportLocked(l *listener) report.RelayListener {
	t := l.door.tally
	out := report.RelayListener{
		Name: l.door.conf.Name, Paused: r.shut, Sessions: t.count(), Accepted: t.accepted.Load(),
		Refused: make(map[string]uint64),
	}
	for _, s := range l.sockets {
		out.Addresses = append(out.Addresses, s.addr.String())
		if s.err != nil {
			out.Error = cmp.Or(out.Error, s.err.Error())
		}
	}
	for _, c := range flow.Causes() {
		if refused(c) {
			out.Refused[c.String()] = t.refused[c].Load()
		}
	}
	return out
}

// views are the remotes of all pools.
func (r *Relay) views() []poolView {
	r.mu.Lock()
	all := slices.Clone(r.backends)
	r.mu.Unlock()
	views := make([]poolView, 0, len(all))
	for _, b := range all {
		remotes, _ := b.pool.Views(time.Now())
		views = append(views, poolView{b.name, remotes})
	}
	return views
}

func (b *backend) report(now time.Time) report.RelayPool {
	b.mu.Lock()
	balance := b.conf.Balance
	b.mu.Unlock()
	views, waiting := b.pool.Views(now)
	out := report.RelayPool{Name: b.name, Balance: balance.String(), Waiting: waiting, Remotes: []report.RelayRemote{}}
	for _, v := range views {
		out.Remotes = append(out.Remotes, report.RelayRemote{
			Name: v.Name, Address: v.Addr.String(), Weight: v.Weight, Ordered: v.Ordered, Backup: v.Backup, MaxConns: v.MaxConns,
			State: v.State.String(), Up: v.Up, Reason: printable(v.Reason), Since: v.Since, Ejected: v.Ejected, Until: v.Until,
			Sessions: v.Sessions, Total: v.Total, Failures: v.Failures, Up64: v.Bytes[0], Down64: v.Bytes[1],
			ConnectTime: v.ConnectTime.Seconds(), LastError: printable(v.LastError),
		})
	}
	return out
}
