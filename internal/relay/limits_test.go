package relay

import (
	"net/netip"
	"testing"
	"time"

	"sluice/internal/flow"
)

func ip(text string) flow.Addr {
	return flow.Addr{IP: netip.AddrPortFrom(netip.MustParseAddr(text), 1)}
}

func rule(text string) Rule {
	r := Rule{}
	for _, word := range []struct {
		text string
		set  func()
	}{{"deny ", func() { r.Deny = true }}, {"not ", func() { r.Not = true }}} {
		if n := len(word.text); len(text) > n && text[:n] == word.text {
			word.set()
			text = text[n:]
		}
	}
	r.Prefix = netip.MustParsePrefix(text)
	return r
}

// Line 25 of the acceptance list: in order, default deny once there is a rule, IPv6.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		rules  []string
		client flow.Addr
		want   bool
	}{
		{nil, ip("192.0.2.1"), true},
		{[]string{"192.0.2.0/24"}, ip("192.0.2.1"), true},
		{[]string{"192.0.2.0/24"}, ip("::ffff:192.0.2.1"), true},
		{[]string{"192.0.2.0/24"}, ip("198.51.100.1"), false},
		{[]string{"fe80::/10"}, ip("fe80::1%2"), true},
		{[]string{"not fe80::/10"}, ip("fe80::1%2"), false},
		{[]string{"deny 192.0.2.1/32", "192.0.2.0/24"}, ip("192.0.2.1"), false},
		{[]string{"192.0.2.0/24", "deny 192.0.2.1/32"}, ip("192.0.2.1"), true},
		{[]string{"deny 192.0.2.1/32"}, ip("192.0.2.2"), false},
		{[]string{"not 192.0.2.0/24"}, ip("198.51.100.1"), true},
		{[]string{"deny not 192.0.2.0/24", "0.0.0.0/0"}, ip("198.51.100.1"), false},
		{[]string{"deny not 192.0.2.0/24", "0.0.0.0/0"}, ip("192.0.2.9"), true},
		{[]string{"2001:db8::/32"}, ip("2001:db8::1"), true},
		{[]string{"2001:db8::/32"}, ip("2001:db9::1"), false},
		{[]string{"2001:db8::/32"}, ip("192.0.2.1"), false},
		{[]string{"deny 0.0.0.0/0"}, flow.Addr{Network: flow.Unix}, true},
	} {
		var rules []Rule
		for _, r := range c.rules {
			rules = append(rules, rule(r))
		}
		if got := permitted(rules, c.client); got != c.want {
			t.Errorf("%q lets %s in: %v", c.rules, c.client, got)
		}
	}
}

func TestBucket(t *testing.T) {
	now := time.Unix(1, 0)
	var b bucket
	took := func(after time.Duration, rate float64) (n int) {
		now = now.Add(after)
		for b.take(now, rate) {
			n++
		}
		return n
	}
	if n := took(0, 5); n != 5 {
		t.Errorf("a full bucket of 5 a second lets %d begin", n)
	}
	if n := took(400*time.Millisecond, 5); n != 2 {
		t.Errorf("0.4 s at 5 a second: %d", n)
	}
	if n := took(time.Hour, 5); n != 5 {
		t.Errorf("an hour later: %d", n)
	}
	if n := took(-time.Hour, 5); n != 0 {
		t.Errorf("a clock that goes back fills nothing: %d", n)
	}
	b = bucket{}
	if n := took(0, 0.1); n != 1 {
		t.Errorf("one every ten seconds: %d at once", n)
	}
	if n := took(9*time.Second, 0.1); n != 0 {
		t.Errorf("after 9 s: %d", n)
	}
	if n := took(2*time.Second, 0.1); n != 1 {
		t.Errorf("after 11 s: %d", n)
	}
}

// Line 55: limits of one source; in IPv6 a /64 is one.
func TestSources(t *testing.T) {
	now := time.Unix(1, 0)
	var a tally
	c := &Listener{PerSource: 1}
	first, ok := a.enterSource(c, netip.MustParseAddr("2001:db8::1"), now)
	if !ok {
		t.Fatal("the first is not let in")
	}
	if _, ok := a.enterSource(c, netip.MustParseAddr("2001:db8::2"), now); ok {
		t.Error("two of one /64 are let in")
	}
	other, ok := a.enterSource(c, netip.MustParseAddr("2001:db8:0:1::1"), now)
	if !ok {
		t.Error("another /64 is not let in")
	}
	if _, ok := a.enterSource(c, netip.Addr{}, now); !ok {
		t.Error("a client without an address is limited")
	}
	a.leave(first)
	a.leave(other)
	if len(a.sources) != 0 {
		t.Errorf("left behind: %v", a.sources)
	}

	c = &Listener{RatePerSource: 1}
	for i, want := range []bool{true, false, true} {
		who := []string{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"}[i]
		if _, ok := a.enterSource(c, netip.MustParseAddr(who), now); ok != want {
			t.Errorf("%s is let in: %v", who, ok)
		}
	}
}

func TestRatesAreForgotten(t *testing.T) {
	now := time.Unix(1, 0)
	var r sourceRates
	of := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	for i := range maxSources + 10 {
		r.take(of(i), now, 1)
	}
	if len(r.known) != maxSources || r.recent.Len() != maxSources {
		t.Errorf("%d sources and %d in order, want %d", len(r.known), r.recent.Len(), maxSources)
	}
	if r.take(of(maxSources), now, 1) {
		t.Error("one of the last is forgotten")
	}
	if !r.take(of(0), now, 1) {
		t.Error("the first is not forgotten")
	}
}

func TestListenerLimits(t *testing.T) {
	now := time.Unix(1, 0)
	var a tally
	c := &Listener{Max: 1, Rate: 2}
	in := func() bool { return a.enter(c, now) }
	if !in() || in() {
		t.Error("Max 1 does not let one in")
	}
	a.leave(netip.Prefix{})
	if !in() {
		t.Error("no room after one has left")
	}
	a.leave(netip.Prefix{})
	if in() {
		t.Error("three begin in a second, at 2 a second")
	}
	if a.count() != 0 {
		t.Errorf("count is %d", a.count())
	}
}
