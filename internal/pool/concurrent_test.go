package pool_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"sluice/internal/pool"
)

// TestManyThreads: visits of many goroutines end, all of them, while remotes come, go and
// are full; in the end nothing is counted.
func TestManyThreads(t *testing.T) {
	k := newKit(t, pool.Config{Balance: pool.TwoChoices}, room(3, 2, 1, 0)...)
	k.order("D", pool.Disabled)
	var visits, changes sync.WaitGroup
	stop := make(chan struct{})
	changes.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			k.pool.SetUp(k.now, "B", n%2 == 0, "")
			k.pool.Update(k.now, pool.Config{Balance: pool.Balance(n % 7)}, room(3, 2, 1+n%2, 0)[:3+n%2])
			k.pool.Views(k.now)
		}
	})
	for i := range 16 {
		visits.Go(func() {
			chance := rand.New(rand.NewPCG(uint64(i), 0))
			for range 200 {
				visit(k, chance)
			}
		})
	}
	visits.Wait()
	close(stop)
	changes.Wait()
	all, waiting := k.pool.Views(k.now)
	want(t, "waiting", waiting, 0)
	for _, v := range all {
		want(t, "sessions of "+v.Name, v.Sessions, 0)
	}
}

// visit is one session: it waits for room and may fail, leave early or end well.
func visit(k *kit, chance *rand.Rand) {
	woken := make(chan struct{}, 100)
	v := k.pool.Enter(address(chance.IntN(50)), func() { woken <- struct{}{} })
	defer v.Leave(k.now, 1, 1)
	for {
		_, err := v.Next(k.now)
		switch {
		case errors.Is(err, pool.ErrWait):
			<-woken
		case err != nil || chance.IntN(8) == 0:
			return
		case chance.IntN(8) == 0:
			v.Failed(k.now, errRefused)
		default:
			v.Connected(k.now, time.Millisecond)
			return
		}
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	for b := pool.Least; b <= pool.First; b++ {
		k := newKit(t, pool.Config{Balance: b, Sticky: pool.Sticky{Period: time.Hour}}, of(1, 2, 3)...)
		k.pick(1)
		const runs = 100
		visits := make([]*guest, runs+1) // one more warms up
		for i := range visits {
			visits[i] = k.enter(1)
		}
		i := 0
		n := testing.AllocsPerRun(runs, func() {
			_, _ = visits[i].Next(k.now)
			i++
		})
		want(t, b.String()+": allocations", n, 0)
	}
}

func BenchmarkVisit(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		for way := pool.Least; way <= pool.First; way++ {
			b.Run(fmt.Sprintf("%v-%d", way, n), func(b *testing.B) {
				k := newKit(b, pool.Config{Balance: way})
				remotes := make([]pool.Remote, n)
				for i := range remotes {
					remotes[i].Name = fmt.Sprint(i)
				}
				k.pool.Update(k.now, pool.Config{Balance: way}, remotes)
				client := address(7)
				b.ReportAllocs()
				for b.Loop() {
					v := k.pool.Enter(client, nil)
					_, _ = v.Next(k.now)
					v.Connected(k.now, time.Millisecond)
					v.Leave(k.now, 0, 0)
				}
			})
		}
	}
}

// BenchmarkFullQueue is a session that ends and one that comes while 1024 wait.
func BenchmarkFullQueue(b *testing.B) {
	k := newKit(b, pool.Config{}, room(1)...)
	_, held := k.hold(1)
	current := held.Visit
	var woken *pool.Visit
	enter := func() {
		var v *pool.Visit
		v = k.pool.Enter(address(2), func() { woken = v })
		_, _ = v.Next(k.now)
	}
	for range 1024 {
		enter()
	}
	for b.Loop() {
		current.Leave(k.now, 0, 0)
		current = woken
		_, _ = current.Next(k.now)
		current.Connected(k.now, 0)
		enter()
	}
}

// BenchmarkTable is what a change of a Maglev pool costs.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k := newKit(b, pool.Config{})
			remotes := make([]pool.Remote, n)
			for i := range remotes {
				remotes[i] = pool.Remote{Name: fmt.Sprint(i), Weight: 1 + i%5}
			}
			for b.Loop() {
				k.pool.Update(k.now, pool.Config{Balance: pool.Maglev}, remotes)
			}
		})
	}
}
