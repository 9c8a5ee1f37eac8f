package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	soakName  = "soak"
	soakAbout = "half an hour of churn, faults, slow and stalled clients and source restarts, with a verdict (never part of all)"
)

// The set-up of a soak. The sources' silence is longer than the 5 s after which sluice
// ends a channel.
const (
	soakChannels = 8
	soakRate     = 4_000_000
	soakViewers  = 120
	restartEvery = 30 * time.Second
	restartFirst = 10 * time.Second
	restartRest  = 7 * time.Second
	soakFull     = 15 * time.Second // surely longer than a history is deep
	soakLeast    = 40 * time.Second
	settleMost   = 40 * time.Second // from the last client to no channel and no descriptor of theirs
)

// trial is one soak.
type trial struct {
	server  *server
	feed    *feed
	book    *book
	ledger  ledger
	pids    []int
	began   time.Time
	length  time.Duration
	before  sample   // without a client
	samples []sample // with all of them, once the histories are full
}

// soak runs sluice in everyday trouble and judges it: nothing may be lost that the
// sources sent, and nothing may grow.
func soak(ctx context.Context, o options) (err error) {
	length := time.Duration(cmp.Or(o.seconds, 1800)) * time.Second
	if length < soakLeast {
		return fmt.Errorf("-seconds %d: a soak takes %v at least, of which the histories need %v to fill", o.seconds, soakLeast, soakFull)
	}
	config, err := writeConfig()
	if err != nil {
		return err
	}
	defer os.Remove(config)
	server, err := sluiceOf(o.sluice, config).start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	feed, err := startFeed(soakChannels, soakRate)
	if err != nil {
		return err
	}
	defer feed.Close()
	t := &trial{
		server: server, feed: feed, book: &book{missing: map[place]bool{}},
		length: length, began: time.Now(),
	}
	fmt.Printf("%s\n%d RTP channels of %d Mbit/s, %d viewers, for %v; each datagram is dropped, sent late or sent twice with a chance of 1/%d each\n\n",
		machine(), soakChannels, soakRate/1_000_000, cmp.Or(o.clients, soakViewers), t.length, faultEvery)
	if err := t.warm(ctx); err != nil {
		return err
	}
	if err := t.endure(ctx, cmp.Or(o.clients, soakViewers)); err != nil {
		return err
	}
	after, err := t.settle(ctx)
	if err != nil {
		return err
	}
	return t.judge(after)
}

// soakConfig is all that is not by default: memberships are renewed so often that a
// soak sees it, and that the socket for it is open before anything is counted.
const soakConfig = "renew: 2s\n"

// writeConfig writes soakConfig to a file that the caller removes.
func writeConfig() (name string, err error) {
	f, err := os.CreateTemp("", "sluice-soak-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(soakConfig)
	return f.Name(), errors.Join(err, f.Close())
}

// warm visits every channel once and reads what the server occupies afterwards: what it
// needs for its first client and keeps is no leak.
func (t *trial) warm(ctx context.Context) error {
	for i := range t.feed.channels {
		if _, err := pay(t.server.addr, path(0, i), false, 5*time.Second); err != nil {
			return fmt.Errorf("first visit: %w", err)
		}
	}
	var err error
	if t.pids, err = t.server.pids(); err != nil {
		return err
	}
	t.before, err = t.settle(ctx)
	return err
}

// settle waits until the server has no channel and, from the second time on, no more
// descriptors than before, settleMost at the most; then it reads what it occupies.
func (t *trial) settle(ctx context.Context) (sample, error) {
	for end := time.Now().Add(settleMost); ; {
		s, err := ask(ctx, t.server.admin)
		if err != nil {
			return sample{}, err
		}
		open := t.ledger.enter(s)
		now, err := look(t.pids, time.Since(t.began))
		if err != nil {
			return sample{}, err
		}
		if open == 0 && len(left(t.before, now)) == 0 {
			return now, nil
		}
		if time.Now().After(end) {
			if open > 0 {
				return now, fmt.Errorf("%w, %v after the last client: %d", errBusy, settleMost, open)
			}
			return now, nil
		}
		if err := pause(ctx, time.Second); err != nil {
			return sample{}, err
		}
	}
}

// endure brings the viewers, watches for the length of the soak and sends them away.
func (t *trial) endure(ctx context.Context, viewers int) error {
	inner, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for i := range viewers {
		v := &viewer{id: i, manner: mannerOf(i), server: t.server.addr, log: t.server.errs, feed: t.feed, book: t.book, rand: rand.New(rand.NewPCG(1, uint64(i)))}
		all.Go(func() { v.run(inner) })
	}
	all.Go(func() { t.restart(inner) })
	return t.watch(ctx)
}

// mannerOf gives one viewer in six to zapping, one in twelve each to resting and stalling.
func mannerOf(i int) manner {
	switch i % 12 {
	case 3, 9:
		return zapping
	case 5:
		return resting
	case 7:
		return stalling
	}
	return staying
}

// restart stops one source after the other and lets it begin anew, until ctx is done.
func (t *trial) restart(ctx context.Context) {
	err := pause(ctx, restartFirst)
	for i := 0; err == nil; i = (i + 1) % len(t.feed.channels) {
		t.feed.turn(i, false)
		err = pause(ctx, restartRest)
		t.feed.turn(i, true)
		if err == nil {
			err = pause(ctx, restartEvery-restartRest)
		}
	}
}

// watch takes a sample every ten seconds, or nine of a short soak, and prints a line a
// minute.
func (t *trial) watch(ctx context.Context) error {
	every := min(10*time.Second, t.length/12)
	telling := min(time.Minute, t.length/4)
	full := max(soakFull, min(time.Minute, t.length/4))
	begin := time.Now()
	next := telling
	for {
		if err := pause(ctx, every); err != nil {
			return err
		}
		past := time.Since(begin)
		s, err := ask(ctx, t.server.admin)
		if err != nil {
			return err
		}
		t.ledger.enter(s)
		now, err := look(t.pids, past)
		if err != nil {
			return fmt.Errorf("a process of the server is gone: %w: %s", err, t.server.errs.about("level=WARN"))
		}
		if past >= full {
			t.samples = append(t.samples, now)
		}
		if past >= next || past >= t.length {
			next += telling
			fmt.Printf("%8s  %s; %s\n", past.Round(time.Second), now, t.book)
		}
		if past >= t.length {
			return t.same()
		}
	}
}

// same says whether the server still consists of the processes it began with.
func (t *trial) same() error {
	now, err := t.server.pids()
	if err == nil && !slices.Equal(now, t.pids) {
		return fmt.Errorf("processes of the server died: they were %v and are %v: %s", t.pids, now, t.server.errs.about("level=WARN"))
	}
	return err
}

// errVerdict is a soak that found something.
var errVerdict = errors.New("the soak failed")

// judge prints the end of the account and fails when something in it must not be.
func (t *trial) judge(after sample) error {
	t.book.mu.Lock()
	defer t.book.mu.Unlock()
	f, engine := t.book.findings, t.ledger.sum()
	fmt.Printf("\nsources: %s, of datagrams; the engine counted %s\n", t.feed, engine)
	fmt.Printf("viewers: %d joins, %d streams, %d ends by restarts; of %d packets %d missing because dropped, %d because late, %d out of place, %d skips of slow viewers\n",
		t.book.joins, t.book.streams, t.book.ends, f.packets, f.dropped, f.delayed, f.again, f.skips)
	fmt.Printf("before:  %s\nafter:   %s\n\n", t.before, after)
	wrong := append(growth(t.samples), left(t.before, after)...)
	wrong = append(wrong, t.losses(f, engine)...)
	if n := t.book.strange; n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d streams ended or were refused while their source was on", n))
	}
	if n := t.feed.failed.Load(); n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d datagrams could not be sent: the soak itself is at fault", n))
	}
	if f.packets == 0 {
		wrong = append(wrong, "no viewer received anything")
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w:\n  %s", errVerdict, strings.Join(wrong, "\n  "))
	}
	fmt.Println("verdict: passed: no leak, no unexplained gap")
	return nil
}

// losses says what is missing that neither a source nor the kernel's count explains.
func (t *trial) losses(f findings, engine told) []string {
	if f.unexplained() == 0 {
		return nil
	}
	lost := int64(len(t.book.missing))
	if f.unexplained() == f.missing && lost <= engine.kernel {
		fmt.Fprintf(os.Stderr, "%d datagrams that were sent are missing; the kernel dropped %d for want of buffer: the machine was too busy\n", lost, engine.kernel)
		return nil
	}
	return []string{fmt.Sprintf("unexplained packets: %d missing (%d datagrams), %d repeated, %d skips to no key frame, %d broken",
		f.missing, lost, f.repeated, f.misplaced, f.broken)}
}

// String is the middle of a line of progress.
func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.findings
	return fmt.Sprintf("%d streams of %d joins, %d packets, explained: %d dropped %d late %d again %d skips %d ends, unexplained: %d packets %d ends",
		b.streams, b.joins, f.packets, f.dropped, f.delayed, f.again, f.skips, b.ends, f.unexplained(), b.strange)
}
