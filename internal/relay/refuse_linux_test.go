package relay

import (
	"testing"

	"sluice/internal/netx"
)

// A process that is killed in an overload leaves its sockets shut: the next one that has them opens them again.
func TestSocketsThatWereLeftShut(t *testing.T) {
	s := serve(t, named("a"))
	file, at := listening(t)
	held, err := netx.Hold(file)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := refuse(held); err != nil {
		t.Fatal(err)
	}
	c := one(s.remote("a"))
	c.Listeners[0].Addrs = []Socket{{Addr: at}}
	open(t, c, inheriting(t, map[string]int{at.String(): held.FD()}))
	if got := talk(t, dial(t, at), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
}
