package testkit

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestInNamespace(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	ifaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	want := net.FlagUp | net.FlagMulticast | net.FlagLoopback
	if len(ifaces) != 1 || ifaces[0].Flags&want != want {
		t.Errorf("interfaces %+v, want lo alone, up, with multicast", ifaces)
	}
	for _, network := range []string{"udp4", "udp6"} {
		group := map[string]string{"udp4": "239.1.1.1:5000", "udp6": "[ff15::1]:5000"}[network]
		c, err := net.Dial(network, group)
		if err != nil {
			t.Errorf("no way out for %s: %v", group, err)
			continue
		}
		c.Close()
	}
}

// TestInNamespaceFailure runs this test binary on a test that fails only inside,
// and finds that failure outside.
func TestInNamespaceFailure(t *testing.T) {
	const ask = "TESTKIT_FAIL_INSIDE"
	if os.Getenv(ask) != "" {
		if InNamespace(t) {
			t.Error("failed as asked")
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(ask, "1")
	p := Start(t, self, "-test.run=^"+t.Name()+"$")
	if err := p.Wait(); err == nil {
		t.Errorf("a test that failed inside passed outside")
	}
	if out := p.Output(); strings.Count(out, "--- FAIL: "+t.Name()) != 2 || !strings.Contains(out, "failed as asked") {
		t.Errorf("the output does not tell what failed:\n%s", out)
	}
}

func TestOuterNetworkIsRefused(t *testing.T) {
	here, err := networkName()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(insideEnv, here)
	if inside, err := isInside(); inside || err == nil {
		t.Errorf("isInside = %v, %v in the outer network", inside, err)
	}
}

func TestTwoHosts(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	NoLeaks(t)
	first, second := TwoHosts(t), TwoHosts(t)
	for _, h := range []*Hosts{first, second} {
		for _, pair := range [][2]netip.Addr{{h.Here.V4, h.There.V4}, {h.Here.V6, h.There.V6}} {
			t.Run(pair[1].String(), func(t *testing.T) { talk(t, h, pair[1]) })
		}
	}
	p := StartCommand(t, first.Command("ip", "-o", "link"))
	p.WaitLine(first.There.Interface)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// talk connects from here to a listener there.
func talk(t *testing.T, h *Hosts, there netip.Addr) {
	var l net.Listener
	h.Do(t, func() {
		var err error
		if l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(there, 0))); err != nil {
			t.Error(err)
		}
	})
	if l == nil {
		return
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
