package netx

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

func openReporter(t *testing.T) *Reporter {
	t.Helper()
	r, err := OpenReporter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// memberships are the kinds there are, of the two hosts.
func memberships(h *testkit.Hosts) []struct{ name, group, source, join, report, leave string } {
	one4, one6 := third(h.There.V4), third(h.There.V6)
	return []struct{ name, group, source, join, report, leave string }{
		{"IGMP, any source", "239.1.2.3", "", "to_ex{}", "is_ex{}", "to_in{}"},
		{"IGMP, one source", "232.1.2.3", one4, "allow{" + one4 + "}", "is_in{" + one4 + "}", "block{" + one4 + "}"},
		{"MLD, any source", "ff15::1", "", "to_ex{}", "is_ex{}", "to_in{}"},
		{"MLD, one source", "ff35::1", one6, "allow{" + one6 + "}", "is_in{" + one6 + "}", "block{" + one6 + "}"},
	}
}

// TestReportsKeepTheStream: behind a switch that forgets and does not ask, a member
// that reports loses nothing over three times what the switch remembers, and the switch
// sees no leave. Without reports the stream stops there, and a report brings it back.
func TestReportsKeepTheStream(t *testing.T) {
	const lasts = 8 // packets
	for i := range memberships(testkit.TwoHosts(t)) {
		h := testkit.TwoHosts(t)
		tt := memberships(h)[i]
		t.Run(tt.name, func(t *testing.T) {
			c := UDPConfig{Addr: group(tt.group, freePort(t)), Interface: h.Here.Interface}
			if tt.source != "" {
				c.Source = netip.MustParseAddr(tt.source)
			}
			s := newForgetful(t, h, c.Addr, lasts)
			u, err := OpenUDP(c)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if u != nil {
					u.Close()
				}
			}()
			s.await(t, tt.join)
			r, b, number := openReporter(t), newBatch(t, 4), 0
			through := func(packets int) {
				t.Helper()
				for range packets {
					number++
					want := fmt.Sprint("packet ", number)
					if did := s.pass(t, want); did != passed {
						t.Fatalf("the switch %s %s", did, want)
					}
					if got := payloads(receive(t, b, u.FD(), 1, 1316)); got != want {
						t.Fatalf("received %q, want %q", got, want)
					}
				}
			}
			report := func() {
				t.Helper()
				if err := r.Report(u.Joined()); err != nil {
					t.Fatal(err)
				}
				s.await(t, tt.report)
			}
			for range 7 {
				through(lasts / 2)
				report()
			}
			through(lasts)
			if did := s.pass(t, "one too many"); did != dropped {
				t.Errorf("without reports the switch still %s a packet", did)
			}
			report()
			through(1)
			if i := slices.IndexFunc(s.seen, func(e string) bool { return isLeave(e) || strings.HasPrefix(e, "bad") }); i >= 0 {
				t.Errorf("the switch has seen %s", s.seen[i])
			}
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			u = nil
			s.await(t, tt.leave) // this is how it would have looked
		})
	}
}

// TestReportsOnTheWire lets tcpdump read the reports, in each version of the protocols.
func TestReportsOnTheWire(t *testing.T) {
	testkit.Need(t, "tcpdump")
	h := testkit.TwoHosts(t)
	awaitActive(t, h.Here.Interface)
	for _, tt := range []struct{ name, force, group, source, says string }{
		{"IGMPv3", "", "239.1.2.3", "", `> 224\.0\.0\.22: igmp v3 report, 1 group record\(s\) \[gaddr 239\.1\.2\.3 is_ex \{ \}\]`},
		{"IGMPv3 one source", "", "232.1.2.4", "10.1.1.1", `igmp v3 report, 1 group record\(s\) \[gaddr 232\.1\.2\.4 is_in \{ 10\.1\.1\.1 \}\]`},
		{"IGMPv2", "ipv4/conf/%s/force_igmp_version=2", "239.1.2.5", "", `> 239\.1\.2\.5: igmp v2 report 239\.1\.2\.5`},
		{"IGMPv1", "ipv4/conf/%s/force_igmp_version=1", "239.1.2.6", "", `> 239\.1\.2\.6: igmp v1 report 239\.1\.2\.6`},
		{"MLDv2", "", "ff15::1", "", `fe80::1 > ff02::16: HBH \(rtalert: 0x0000\) \(padn\) \[icmp6 sum ok\] ICMP6, multicast listener report v2, 1 group record\(s\) \[gaddr ff15::1 is_ex \{ \}\]`},
		{"MLDv2 one source", "", "ff35::2", "fd00::7", `\[icmp6 sum ok\] ICMP6, multicast listener report v2, 1 group record\(s\) \[gaddr ff35::2 is_in \{ fd00::7 \}\]`},
		{"MLDv1", "ipv6/conf/%s/force_mld_version=1", "ff15::3", "", `fe80::1 > ff15::3: HBH \(rtalert: 0x0000\) \(padn\) \[icmp6 sum ok\] ICMP6, multicast listener reportmax resp delay: 0 addr: ff15::3`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.force != "" {
				name, value, _ := strings.Cut(fmt.Sprintf(tt.force, h.Here.Interface), "=")
				if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.WriteFile("/proc/sys/net/"+name, []byte("0"), 0) })
			}
			var source netip.Addr
			if tt.source != "" {
				source = netip.MustParseAddr(tt.source)
			}
			here, err := net.InterfaceByName(h.Here.Interface)
			if err != nil {
				t.Fatal(err)
			}
			dump := testkit.StartCommand(t, h.Command("tcpdump", "-i", h.There.Interface, "-vv", "-n", "-l", "--immediate-mode"))
			dump.WaitLine("listening on")
			if err := openReporter(t).Report(netip.MustParseAddr(tt.group), source, here.Index); err != nil {
				t.Fatal(err)
			}
			dump.WaitLine(tt.says)
			if tt.says[0] != '\\' && strings.Contains(tt.name, "IGMP") {
				dump.WaitLine(`tos 0xc0, ttl 1, .*proto IGMP \(2\), length (32|40|44), options \(RA\)`)
			}
			if out := dump.Output(); strings.Contains(out, "bad") || strings.Contains(out, "truncated") {
				t.Errorf("tcpdump complains:\n%s", out)
			}
		})
	}
}

// TestReportWhereTheRoutesLead: without an index, the report goes the group's way.
func TestReportWhereTheRoutesLead(t *testing.T) {
	h := testkit.TwoHosts(t)
	addr := group("239.7.7.7", freePort(t))
	ip(t, "route", "add", "239.7.7.7/32", "dev", h.Here.Interface)
	s := newForgetful(t, h, addr, 1)
	if err := openReporter(t).Report(addr.Addr(), netip.Addr{}, 0); err != nil {
		t.Fatal(err)
	}
	s.await(t, "is_ex{}")
}

func TestReportRefuses(t *testing.T) {
	r := openReporter(t)
	v4, v6 := netip.MustParseAddr("239.1.1.1"), netip.MustParseAddr("ff15::1")
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		group, source netip.Addr
		ifindex       int
		is            error
		says          string
	}{
		{"nothing", netip.Addr{}, netip.Addr{}, lo.Index, nil, "no multicast group"},
		{"unicast", netip.MustParseAddr("10.0.0.1"), netip.Addr{}, lo.Index, nil, "10.0.0.1 is no multicast group"},
		{"mapped", netip.MustParseAddr("::ffff:239.1.1.1"), netip.Addr{}, lo.Index, nil, "no multicast group"},
		{"mixed", v4, netip.MustParseAddr("::1"), lo.Index, nil, "different IP versions"},
		{"no such interface", v4, netip.Addr{}, 9999, ErrNoInterface, "no interface with index 9999"},
		{"no such interface, IPv6", v6, netip.Addr{}, 9999, ErrNoInterface, "no interface with index 9999"},
		{"no link-local address", v6, netip.Addr{}, lo.Index, ErrNoInterface, "no link-local address"},
	} {
		err := r.Report(tt.group, tt.source, tt.ifindex)
		if err == nil || !strings.Contains(err.Error(), tt.says) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
	closed := openReporter(t)
	closed.Close()
	if err := closed.Report(v4, netip.Addr{}, lo.Index); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed: %v", err)
	}
}

// withoutNetRaw runs f on a thread that lacks CAP_NET_RAW.
func withoutNetRaw(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&head, &have[0]); err != nil {
		t.Fatal(err)
	}
	less := have
	less[0].Effective &^= 1 << unix.CAP_NET_RAW
	if err := unix.Capset(&head, &less[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&head, &have[0]); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

func TestReportsNeedARight(t *testing.T) {
	withoutNetRaw(t, func() {
		r, err := OpenReporter()
		if err == nil {
			r.Close()
			t.Fatal("opened without CAP_NET_RAW")
		}
		if !errors.Is(err, ErrNoReports) || !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_RAW") {
			t.Errorf("%v", err)
		}
	})
}
