package gws

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestAddressOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "::1": "::/64",
	} {
		if got := addressOf(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", in, got, want)
		}
	}
	if addressOf(netip.Addr{}).IsValid() {
		t.Error("no address counts as one")
	}
	var y tally
	y.enter("a", netip.Addr{})
	y.enter("a", netip.Addr{})
	if x := y.load("a", netip.Addr{}); x.address != 0 || x.clients != 2 {
		t.Errorf("clients without an address: %+v", x)
	}
	y.leave("a", netip.Addr{})
	y.leave("a", netip.Addr{})
	if y.clients != 0 || len(y.channels) != 0 || len(y.addresses) != 0 {
		t.Errorf("something is left: %+v", y)
	}
}

// TestTallyIsTheSum: whatever comes and goes, the sums are what counting anew would give.
func TestTallyIsTheSum(t *testing.T) {
	type watcher struct {
		tag  string
		addr netip.Addr
	}
	rapid.Check(t, func(t *rapid.T) {
		var y tally
		var clients []watcher
		holds := make(map[string]int)
		rates := make(map[string]uint64)
		tags := rapid.SampledFrom([]string{"a", "b", "c"})
		addrs := rapid.SampledFrom([]netip.Addr{
			netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
			netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"),
			{},
		})
		there := func(tag string) bool {
			n := holds[tag]
			for _, c := range clients {
				if c.tag == tag {
					n++
				}
			}
			return n > 0
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				c := watcher{tags.Draw(t, "tag"), addrs.Draw(t, "addr")}
				y.enter(c.tag, c.addr)
				clients = append(clients, c)
			},
			"leave": func(t *rapid.T) {
				if len(clients) == 0 {
					t.Skip("nobody is there")
				}
				i := rapid.IntRange(0, len(clients)-1).Draw(t, "who")
				y.leave(clients[i].tag, clients[i].addr)
				clients = append(clients[:i], clients[i+1:]...)
			},
			"hold": func(t *rapid.T) {
				tag := tags.Draw(t, "tag")
				y.hold(tag)
				holds[tag]++
			},
			"drop": func(t *rapid.T) {
				tag := tags.Draw(t, "tag")
				if holds[tag] == 0 {
					t.Skip("no engine has it")
				}
				y.drop(tag)
				holds[tag]--
			},
			"rate": func(t *rapid.T) {
				tag := tags.Draw(t, "tag")
				rate := rapid.Uint64Range(0, 1<<40).Draw(t, "rate")
				y.setRate(tag, rate)
				if there(tag) {
					rates[tag] = rate
				}
			},
			"": func(t *rapid.T) {
				var egress uint64
				byAddress := make(map[netip.Prefix]int)
				byTag := make(map[string]int)
				for _, c := range clients {
					egress += rates[c.tag]
					byAddress[addressOf(c.addr)]++
					byTag[c.tag]++
				}
				delete(byAddress, netip.Prefix{})
				channels := 0
				for _, tag := range []string{"a", "b", "c"} {
					if there(tag) {
						channels++
					} else {
						delete(rates, tag)
					}
				}
				if len(y.addresses) != len(byAddress) {
					t.Fatalf("%d addresses, want %d", len(y.addresses), len(byAddress))
				}
				for _, tag := range []string{"a", "b", "c"} {
					a := addrs.Draw(t, "of")
					want := load{
						clients: len(clients), address: byAddress[addressOf(a)], channels: channels, egress: egress,
						open: there(tag), channelClients: byTag[tag], rate: rates[tag],
					}
					if got := y.load(tag, a); got != want {
						t.Fatalf("%s of %v: %+v, want %+v", tag, a, got, want)
					}
				}
			},
		})
	})
}

// A request costs the same however many there are.
func BenchmarkLoad(b *testing.B) {
	var y tally
	for i := range 100_000 {
		y.enter(fmt.Sprint(i%1000), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	limits := Limits{MaxClients: 1 << 20, MaxPerAddress: 5, MaxPending: 1024, MaxChannels: 2000, MaxEgress: 1 << 40}
	a := netip.MustParseAddr("10.0.0.7")
	own := channelOf("", tag).Settings
	for b.Loop() {
		if l, _ := limits.exceeded(y.load("7", a), own); l != noLimit {
			b.Fatal(l)
		}
	}
}
