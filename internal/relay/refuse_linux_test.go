package relay

import "testing"

// A process that is killed in an overload leaves its sockets shut: the next one that has them opens them again.
func TestSocketsThatWereLeftShut(t *testing.T) {
	s := serve(t, named("a"))
	file, at := listening(t)
	defer file.Close()
	if err := refuse(file); err != nil {
		t.Fatal(err)
	}
	c := one(s.remote("a"))
	c.Listeners[0].Addrs = []Socket{{Addr: at}}
	open(t, c, inheriting(t, map[string]int{at.String(): int(file.Fd())}))
	if got := talk(t, dial(t, at), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
}
