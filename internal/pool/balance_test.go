package pool_test

import (
	"fmt"
	"math"
	"testing"

	"sluice/internal/pool"
)

// TestLeast is lines 32 and 33 of the acceptance list, and what follows of them.
func TestLeast(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
		want    string
	}{
		{"two remotes, 1:3, eight held connections", []int{1, 3}, "ABBBABBB"},
		{"ties go to the first", []int{1, 1, 1}, "ABCABCABC"},
		{"less than 1 is 1", []int{0, -7, 1}, "ABCABC"},
		{"3:1", []int{3, 1}, "ABAAABAA"},
		{"integers: 256/300 is 0", []int{300, 300}, "AABBABAB"},
	} {
		k := newKit(t, pool.Config{}, of(c.weights...)...)
		got := ""
		for range c.want {
			name, _ := k.hold(0)
			got += name
		}
		want(t, c.name, got, c.want)
	}
}

func TestLeastFollowsTheEnds(t *testing.T) {
	k := newKit(t, pool.Config{}, of(1, 1)...)
	_, a := k.hold(0)
	k.hold(0)
	k.hold(0)
	a.leave()
	a.leave() // counts once
	want(t, "sessions of A", k.view("A").Sessions, 1)
	k.hold(0)
	want(t, "sessions of A", k.view("A").Sessions, 2)
	want(t, "sessions of B", k.view("B").Sessions, 1)
	want(t, "next", k.pick(0), "B")
}

func TestRoundRobinIsSmooth(t *testing.T) {
	k := newKit(t, pool.Config{Balance: pool.RoundRobin}, of(5, 1, 1)...)
	got := ""
	for range 14 {
		got += k.pick(0)
	}
	want(t, "order", got, "AABACAAAABACAA")
}

func TestFirst(t *testing.T) {
	remotes := of(1, 5)
	remotes[0].MaxConns = 2
	k := newKit(t, pool.Config{Balance: pool.First}, remotes...)
	got := ""
	for range 4 {
		name, _ := k.hold(0)
		got += name
	}
	want(t, "order", got, "AABB")
}

// TestDistribution is line 49 of the acceptance list: 100 000 picks by clients of as many
// addresses follow the weights. By chance and by address, the tenth of all that the
// lightest remote gets is known to 0.1 %.
func TestDistribution(t *testing.T) {
	const picks = 100_000
	for _, c := range []struct {
		balance pool.Balance
		within  float64 // of all picks
	}{
		{pool.RoundRobin, 0.00002},
		{pool.TwoChoices, 0.004},
		{pool.Random, 0.004},
		{pool.Source, 0.004},
		{pool.Maglev, 0.005},
	} {
		for _, weights := range [][]int{{1, 2, 3, 4}, {7, 1, 1, 1, 1, 1, 1, 1, 1, 1}} {
			k := newKit(t, pool.Config{Balance: c.balance}, of(weights...)...)
			counts, sum := map[string]int{}, 0
			for i := range picks {
				counts[k.pick(i+1)]++
			}
			for _, w := range weights {
				sum += w
			}
			for i, r := range of(weights...) {
				share, right := float64(counts[r.Name])/picks, float64(weights[i])/float64(sum)
				if math.Abs(share-right) > c.within {
					t.Errorf("%v %v: %s has %.4f of the picks, want %.4f", c.balance, weights, r.Name, share, right)
				}
			}
		}
	}
}

// TestTwoChoicesSeesLoad: sessions that stay spread better than by chance alone.
func TestTwoChoicesSeesLoad(t *testing.T) {
	k := newKit(t, pool.Config{Balance: pool.TwoChoices}, of(1, 1, 1, 1, 2)...)
	for range 6000 {
		k.hold(0)
	}
	for i, right := range []int{1000, 1000, 1000, 1000, 2000} {
		if n := k.view(string(rune('A' + i))).Sessions; n < right-10 || n > right+10 {
			t.Errorf("%c has %d sessions, want about %d", 'A'+i, n, right)
		}
	}

	k = newKit(t, pool.Config{Balance: pool.TwoChoices}, of(1, 1)...)
	for range 100 { // of two, both are looked at
		first, _ := k.hold(0)
		if second, _ := k.hold(0); second == first {
			t.Fatalf("two sessions at %s", first)
		}
	}
}

// TestByAddress: the same client goes to the same remote, whoever asks.
func TestByAddress(t *testing.T) {
	for _, b := range []pool.Balance{pool.Source, pool.Maglev} {
		one := newKit(t, pool.Config{Balance: b}, of(1, 2, 3)...)
		other := newKit(t, pool.Config{Balance: b}, of(1, 2, 3)...)
		for client := 1; client < 200; client++ {
			name := one.pick(client)
			want(t, fmt.Sprint(b, ": again"), one.pick(client), name)
			want(t, fmt.Sprint(b, ": another process"), other.pick(client), name)
		}
		without := map[string]bool{}
		for range 100 {
			without[one.pick(0)] = true
		}
		want(t, fmt.Sprint(b, ": clients without an address spread"), len(without), 3)
	}
}

// TestFewMove is line 49 of the acceptance list: when one of n remotes goes, at most 1/n + 2 %
// of the clients go elsewhere. Those of a remote that is only down spread over all others.
func TestFewMove(t *testing.T) {
	const clients = 20_000
	for _, b := range []pool.Balance{pool.Source, pool.Maglev} {
		for _, n := range []int{2, 3, 5, 10, 50} {
			remotes := make([]pool.Remote, n)
			for i := range remotes {
				remotes[i].Name = fmt.Sprintf("192.0.2.%d:80", i)
			}
			k := newKit(t, pool.Config{Balance: b}, remotes...)
			before := make([]string, clients)
			for i := range before {
				before[i] = k.pick(i + 1)
			}
			moved := func() (share float64, most int) {
				all, to := 0, map[string]int{}
				for i := range before {
					if now := k.pick(i + 1); now != before[i] {
						all++
						to[now]++
						most = max(most, to[now])
					}
				}
				return float64(all) / clients, most
			}
			gone := remotes[n/2]
			k.setUp(gone.Name, false)
			share, most := moved()
			if share > 1/float64(n)+0.01 {
				t.Errorf("%v, %d remotes, one down: %.3f of the clients move", b, n, share)
			}
			if fair := clients / n / (n - 1); float64(most) > 1.3*float64(fair)+20 {
				t.Errorf("%v, %d remotes, one down: %d clients move to one remote, want about %d", b, n, most, fair)
			}
			k.setUp(gone.Name, true)
			if share, _ := moved(); share != 0 {
				t.Errorf("%v, %d remotes, all back: %.3f of the clients are elsewhere", b, n, share)
			}
			if b != pool.Maglev {
				continue
			}
			k.pool.Update(k.now, pool.Config{Balance: b}, append(append([]pool.Remote{}, remotes[:n/2]...), remotes[n/2+1:]...))
			if share, _ := moved(); share > 1/float64(n)+0.02 {
				t.Errorf("%v, %d remotes, one taken away: %.3f of the clients move", b, n, share)
			}
		}
	}
}
