package creds

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// remembered is how long a good password is not hashed again, and memoryHalf how many of them there are in each of
// the two halves of a memory.
const (
	remembered = 5 * time.Minute
	memoryHalf = 4096
)

// memory knows sums of credentials that were good lately. It has two halves: when the young one is full the old one is
// forgotten, so what is used stays.
type memory struct {
	mu         sync.Mutex // guards all below
	young, old map[sum]time.Time
}

type sum [sha256.Size]byte

func newMemory() *memory { return &memory{young: make(map[sum]time.Time)} }

// has says whether the credentials were good lately.
func (m *memory) has(s sum) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	when, young := m.young[s]
	if !young {
		when = m.old[s]
	}
	fresh := time.Since(when) < remembered
	if fresh && !young {
		m.addLocked(s, when)
	}
	return fresh
}

func (m *memory) add(s sum) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(s, time.Now())
}

func (m *memory) addLocked(s sum, when time.Time) {
	if len(m.young) >= memoryHalf {
		m.old, m.young = m.young, make(map[sum]time.Time)
	}
	m.young[s] = when
}

// sum is what memory keeps of credentials: nothing that could be tried out without the key, which is this process's.
func (u *Users) sum(name, password string) (s sum) {
	mac := hmac.New(sha256.New, u.secrets[:])
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, password)
	mac.Sum(s[:0])
	return s
}

// maxWaiting is how many may wait for their turn; who comes then is told that too many do.
const maxWaiting = 512

var errBusy = errors.New("too many passwords are being compared")

// turns let passwords be hashed on all cores but one, others wait.
type turns struct {
	running, waiting chan struct{}
}

func newTurns() *turns {
	return &turns{running: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)), waiting: make(chan struct{}, maxWaiting)}
}

// take waits for a turn: errBusy at once when too many do, or the error of ctx. What was taken must be given back.
func (t *turns) take(ctx context.Context) error {
	select {
	case t.waiting <- struct{}{}:
		defer func() { <-t.waiting }()
	default:
		return errBusy
	}
	select {
	case t.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turns) give() { <-t.running }
