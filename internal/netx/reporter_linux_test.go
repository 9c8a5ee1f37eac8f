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

// TestReportsKeepTheStream: behind a switch that forgets and does not ask, a member
// that reports loses nothing over three times what the switch remembers, and the switch
// sees no leave. Without reports the stream stops there, and a report brings it back.
func TestReportsKeepTheStream(t *testing.T) {
	for _, tt := range []struct {
		name, group string
		oneSource   bool
	}{
		{"IGMP, any source", "239.1.2.3", false},
		{"IGMP, one source", "232.1.2.3", true},
		{"MLD, any source", "ff15::1", false},
		{"MLD, one source", "ff35::1", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const lasts = 8 // packets
			h := testkit.TwoHosts(t)
			m := newMember(t, h, group(tt.group, freePort(t)), tt.oneSource, lasts)
			for range 7 {
				m.gets(lasts / 2)
				m.reports()
			}
			m.gets(lasts)
			if did := m.pass(t, "one too many"); did != dropped {
				t.Errorf("without reports the switch still %s a packet", did)
			}
			m.reports()
			m.gets(1)
			if i := slices.IndexFunc(m.seen, func(e string) bool { return isLeave(e) || strings.HasPrefix(e, "bad") }); i >= 0 {
				t.Errorf("the switch has seen %s", m.seen[i])
			}
			if err := m.u.Close(); err != nil {
				t.Error(err)
			}
			m.await(t, m.leave) // this is how it would have looked
		})
	}
}

// member is a host behind a forgetful switch that has joined the group.
type member struct {
	*forgetful
	t      *testing.T
	u      *UDP
	r      *Reporter
	b      *Batch
	number int // of the last packet

	report, leave string // what the switch sees of them
}

func newMember(t *testing.T, h *testkit.Hosts, group netip.AddrPort, oneSource bool, lasts int) *member {
	t.Helper()
	m := &member{t: t, r: openReporter(t), b: newBatch(t, 4), report: "is_ex{}", leave: "to_in{}"}
	m.forgetful = newForgetful(t, h, group, netip.Addr{}, lasts)
	c, join := UDPConfig{Addr: group, Interface: h.Here.Interface}, "to_ex{}"
	if oneSource {
		source := third(h.There.V6)
		if group.Addr().Is4() {
			source = third(h.There.V4)
		}
		c.Source = netip.MustParseAddr(source)
		join, m.report, m.leave = "allow{"+source+"}", "is_in{"+source+"}", "block{"+source+"}"
	}
	var err error
	if m.u, err = OpenUDP(c); err != nil {
		t.Fatal(err)
	}
	m.await(t, join)
	return m
}

// gets sends packets and fails the test unless they arrive one by one.
func (m *member) gets(packets int) {
	m.t.Helper()
	for range packets {
		m.number++
		want := fmt.Sprint("packet ", m.number)
		if did := m.pass(m.t, want); did != passed {
			m.t.Fatalf("the switch %s %s", did, want)
		}
		if got := payloads(receive(m.t, m.b, m.u.FD(), 1, 1316)); got != want {
			m.t.Fatalf("received %q, want %q", got, want)
		}
	}
}

func (m *member) reports() {
	m.t.Helper()
	if err := m.r.Report(m.u.Joined()); err != nil {
		m.t.Fatal(err)
	}
	m.await(m.t, m.report)
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
	s := newForgetful(t, h, addr, netip.Addr{}, 1)
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
