package pool

import (
	"math/bits"
	"slices"
	"sort"
)

// homes say where a client's address leads to. Backups are nobody's home.
type homes struct {
	remotes []*remote
	upTo    []uint64 // Source: sums of the weights
	table   []uint32 // Maglev: indexes of remotes
}

// newHomes makes the homes that a way of balancing needs; none for those that do not look
// at addresses.
func newHomes(b Balance, all []*remote) homes {
	h := homes{}
	if b != Source && b != Maglev {
		return h
	}
	for _, r := range all {
		if !r.Backup {
			h.remotes = append(h.remotes, r)
		}
	}
	switch {
	case len(h.remotes) == 0:
	case b == Maglev:
		h.table = newTable(h.remotes)
	default:
		sum := uint64(0)
		for _, r := range h.remotes {
			sum += uint64(r.weight())
			h.upTo = append(h.upTo, sum)
		}
	}
	return h
}

func (h *homes) any() bool { return len(h.remotes) > 0 }

// of is the home of the client whose address has that hash.
func (h *homes) of(hash uint64) *remote {
	if h.table != nil {
		return h.remotes[h.table[hash%uint64(len(h.table))]]
	}
	place := hash % h.upTo[len(h.upTo)-1]
	return h.remotes[sort.Search(len(h.upTo), func(i int) bool { return place < h.upTo[i] })]
}

// The size of a table. It stays the same as long as the number of remotes does not grow
// much, or all clients would move.
const (
	slotsPerRemote = 100 // at least
	minSlots       = 65537
)

// newTable fills a table as Maglev does: in their turn, which come as often as their weights
// say, the remotes take the first free slot of an order that is each remote's own and
// depends on its name. It takes some milliseconds.
func newTable(remotes []*remote) []uint32 {
	size := primeFrom(max(minSlots, slotsPerRemote<<bits.Len(uint(len(remotes)-1))))
	type order struct {
		next, step uint64
		credit     int // a turn costs the largest weight
	}
	heaviest := slices.MaxFunc(remotes, func(a, b *remote) int { return a.weight() - b.weight() }).weight()
	orders := make([]order, len(remotes))
	for i, r := range remotes {
		h := hashOfName(r.Name)
		orders[i] = order{h % uint64(size), 1 + again(h)%uint64(size-1), heaviest / 2}
	}
	const free = ^uint32(0)
	table := slices.Repeat([]uint32{free}, size)
	for taken := 0; ; {
		for i := range orders {
			o := &orders[i]
			if o.credit += remotes[i].weight(); o.credit < heaviest {
				continue
			}
			o.credit -= heaviest
			for table[o.next] != free {
				o.next = (o.next + o.step) % uint64(size)
			}
			table[o.next] = uint32(i)
			if taken++; taken == size {
				return table
			}
		}
	}
}

// primeFrom is the smallest prime that is at least n.
func primeFrom(n int) int {
	for !isPrime(n) {
		n++
	}
	return n
}

func isPrime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}
