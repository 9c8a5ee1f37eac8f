package relay

import (
	"testing"
	"time"
	"unsafe"

	"sluice/internal/flow"
)

// Line 60: a quiet session keeps the record of the core, flow.Session, this and its visit
// of the pool, and they are to be a KiB together.
func TestSessionIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 160 {
		t.Errorf("a session is %d bytes", n)
	}
}

// BenchmarkDesk is all decisions about one session, without its bytes.
func BenchmarkDesk(b *testing.B) {
	c := one(Remote{Addr: ip("192.0.2.1")}, Remote{Addr: ip("192.0.2.2")})
	r, err := New(c, quiet())
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	l := r.listeners[0].door.listener(flow.Addr{})
	b.ReportAllocs()
	for b.Loop() {
		s := &flow.Session{Listener: l, Peer: ip("192.0.2.3"), Begun: time.Now(), ClientFD: -1, RemoteFD: -1}
		s.Client = s.Peer
		if p := r.desk.Open(s); p.Step != flow.Dial {
			b.Fatalf("%+v", p)
		}
		s.Connected = time.Now()
		r.desk.Connected(s)
		s.Cause = flow.CauseClient
		r.desk.Close(s)
	}
}
