package relay

import (
	"os"
	"testing"
)

// A remote to which there is no port left is not the only one.
func TestNoPortToOneRemote(t *testing.T) {
	a, b := serve(t, named("a")), serve(t, named("b"))
	h := open(t, one(a.remote("a"), b.remote("b")))
	const ports = "/proc/sys/net/ipv4/ip_local_port_range"
	old, err := os.ReadFile(ports)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ports, []byte("40001 40001"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(ports, old, 0)
	dial(t, a.addr)
	if got := talk(t, h.dial(0), "x"); got != "b:x" {
		t.Errorf("got %q", got)
	}
	h.log.wait(t, "cannot assign requested address")
}
