package pool

import (
	"container/list"
	"net/netip"
	"time"
)

// sticky remembers where clients were sent. The zero sticky is empty. Clients without an
// address are not remembered.
type sticky struct {
	byClient map[netip.Addr]*list.Element // of recent
	recent   list.List                    // of *stuck: the client that began a session last is in front
}

// stuck is one client.
type stuck struct {
	client netip.Addr
	remote *remote
	begun  time.Time // its last session
}

// find is the remote of client, or nil. A client whose period is over is forgotten.
func (s *sticky) find(client netip.Addr, now time.Time, period time.Duration) *remote {
	e := s.byClient[client]
	if e == nil {
		return nil
	}
	k := e.Value.(*stuck)
	if now.Sub(k.begun) >= period {
		s.forget(e)
		return nil
	}
	return k.remote
}

// remember notes that a session of client begins at r. Beyond size the client goes whose
// last session is the longest ago.
func (s *sticky) remember(client netip.Addr, r *remote, now time.Time, size int) {
	if !client.IsValid() {
		return
	}
	if e := s.byClient[client]; e != nil {
		k := e.Value.(*stuck)
		k.remote, k.begun = r, now
		s.recent.MoveToFront(e)
		return
	}
	if s.byClient == nil {
		s.byClient = make(map[netip.Addr]*list.Element)
	}
	s.byClient[client] = s.recent.PushFront(&stuck{client, r, now})
	s.shrink(size)
}

// shrink forgets those who are too many.
func (s *sticky) shrink(size int) {
	for s.recent.Len() > size {
		s.forget(s.recent.Back())
	}
}

func (s *sticky) forget(e *list.Element) {
	delete(s.byClient, e.Value.(*stuck).client)
	s.recent.Remove(e)
}
