package main

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"sluice/internal/testkit"
)

// The way of the whole benchmark: channels by multicast, a relay, a crowd.
func TestSenderRelayCrowd(t *testing.T) {
	if !testkit.InNamespace(t) {
		return
	}
	testkit.NoLeaks(t)
	const channels = 3
	var groups []netip.AddrPort
	for i := range channels {
		groups = append(groups, groupAddr(0, i))
	}
	sender, err := startSender(groups, 8_000_000)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	relay, err := newBareRelay(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	var stop atomic.Bool
	ended := make(chan error)
	go func() { ended <- relay.run(stop.Load) }()

	c := testCrowd(t)
	for i := range 2 * channels {
		if err := c.join(localAddr(t, relay.listener), path(0, i%channels)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.await(func() bool { return c.tally.bytes > 1_000_000 }); err != nil {
		t.Fatal(err)
	}
	if got := c.take(nil); got.gaps != 0 || got.ended != 0 {
		t.Errorf("%d gaps, %d clients ended", got.gaps, got.ended)
	}
	stop.Store(true)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
