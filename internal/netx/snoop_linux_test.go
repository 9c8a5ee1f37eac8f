package netx

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// forgetful is a switch that snoops, forgets and never asks, between a sender and a
// member:
//
//	sender (snd0) ── snd0-end  forgetful  there ── here (the member)
//
// It lets the stream through for so many packets after a report of the member. What
// it counts is packets, so that no clock decides a test. A join that is repeated, as
// systems do, is no report to it.
type forgetful struct {
	sender, member int // packet sockets on its two ports
	group          netip.Addr
	fence          netip.Addr // a report of this one, too, is an event, behind all others of its packet
	lasts          int        // packets after a report
	left           int
	joined         bool

	events chan string // one for each packet of the stream and each record of the member
	seen   []string    // what the test has read from events
	conn   *net.UDPConn
}

const (
	passed  = "passed"
	dropped = "dropped"
	fenced  = "fenced"
)

func newForgetful(t *testing.T, h *testkit.Hosts, group netip.AddrPort, fence netip.Addr, lasts int) *forgetful {
	t.Helper()
	for _, line := range []string{
		"link add snd0 type veth peer name snd0-end",
		"link set snd0 addrgenmode none",
		"link set snd0-end addrgenmode none",
		"link set snd0-end up",
		"link set snd0 up",
		"addr add " + third(h.There.V4) + "/24 dev snd0",
		"addr add " + third(h.There.V6) + "/64 dev snd0 nodad",
		"addr add fe80::3/64 dev snd0 nodad",
		"route add " + groupRoute(group.Addr()) + " dev snd0 table local",
	} {
		thereIP(t, h, strings.Fields(line)...)
	}
	awaitActive(t, h.Here.Interface)
	f := &forgetful{group: group.Addr(), fence: fence, lasts: lasts, events: make(chan string, 256)}
	h.Do(t, func() {
		f.sender, f.member = packetSocket(t, "snd0-end"), packetSocket(t, h.There.Interface)
		f.conn = dial(t, SendConfig{Addr: group, Interface: "snd0"})
	})
	stopped, stop, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { f.run(t, int(stopped.Fd())) })
	t.Cleanup(func() {
		stop.Close()
		wg.Wait()
		stopped.Close()
		if t.Failed() {
			t.Logf("seen by the switch: %s", strings.Join(f.seen, ", "))
		}
	})
	return f
}

// groupRoute is what a route to the group is for: the system's own for IPv6 takes a
// moment.
func groupRoute(group netip.Addr) string { return netip.PrefixFrom(group, group.BitLen()).String() }

// awaitActive waits until an interface here sends what it is given.
// The end of a cable that comes up first swallows it until the kernel gets to that.
func awaitActive(t *testing.T, ifname string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		out, err := exec.Command("ip", "link", "show", ifname).CombinedOutput()
		if err == nil && (strings.Contains(string(out), "qdisc noop ") || !strings.Contains(string(out), "LOWER_UP")) {
			err = fmt.Errorf("it is not active:\n%s", out)
		}
		return err
	})
}

// third is another address of the same network.
func third(a netip.Addr) string {
	b := a.AsSlice()
	b[len(b)-1] = 3
	a, _ = netip.AddrFromSlice(b)
	return a.String()
}

func thereIP(t testing.TB, h *testkit.Hosts, args ...string) {
	t.Helper()
	if out, err := h.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// vnetHeader is before each frame: it says that the checksum is not computed yet.
const vnetHeader = 10

func packetSocket(t *testing.T, ifname string) int {
	t.Helper()
	i, err := net.InterfaceByName(ifname)
	if err != nil {
		t.Fatal(err)
	}
	everything := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}) // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: i.Index}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// run is the switch at work.
func (f *forgetful) run(t *testing.T, stopped int) {
	ports := []unix.PollFd{
		{Fd: int32(f.member), Events: unix.POLLIN},
		{Fd: int32(f.sender), Events: unix.POLLIN},
		{Fd: int32(stopped), Events: unix.POLLIN},
	}
	for ports[2].Revents == 0 {
		if _, err := unix.Poll(ports, -1); err != nil && err != unix.EINTR {
			t.Error(err)
			return
		}
		incoming(t, f.member, f.fromMember)
		incoming(t, f.sender, func(frame []byte) { f.fromSender(t, frame) })
	}
}

// incoming takes the frames that wait on a port.
func incoming(t *testing.T, fd int, take func(frame []byte)) {
	buf := make([]byte, 4096)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		if from.(*unix.SockaddrLinklayer).Pkttype != unix.PACKET_OUTGOING && n > vnetHeader+14 {
			take(buf[:n])
		}
	}
}

func (f *forgetful) fromMember(frame []byte) {
	for _, record := range records(frame[vnetHeader:], f.group) {
		switch {
		case isLeave(record):
			f.left = 0
		case isJoin(record):
			if !f.joined {
				f.left = f.lasts
			}
			f.joined = true
		default:
			f.left = f.lasts
		}
		f.events <- record
	}
	if f.fence.IsValid() && len(records(frame[vnetHeader:], f.fence)) > 0 {
		f.events <- fenced
	}
}

func (f *forgetful) fromSender(t *testing.T, frame []byte) {
	if !isFor(frame[vnetHeader:], f.group) {
		return
	}
	if f.left == 0 {
		f.events <- dropped
		return
	}
	f.left--
	if _, err := unix.Write(f.member, frame); err != nil {
		t.Errorf("forward a frame: %v", err)
	}
	f.events <- passed
}

// await waits for one of the events and returns which it was.
func (f *forgetful) await(t *testing.T, events ...string) string {
	t.Helper()
	patience := time.NewTimer(testkit.Patience)
	defer patience.Stop()
	for {
		select {
		case e := <-f.events:
			f.seen = append(f.seen, e)
			if slices.Contains(events, e) {
				return e
			}
		case <-patience.C:
			t.Fatalf("the switch has not seen %q, but %q", events, f.seen)
		}
	}
}

// pass sends a packet of the stream and waits for what the switch did with it.
func (f *forgetful) pass(t *testing.T, payload string) string {
	t.Helper()
	send(t, f.conn, payload)
	return f.await(t, passed, dropped)
}

func isFor(frame []byte, group netip.Addr) bool {
	if group.Is4() {
		return binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IP && netip.AddrFrom4([4]byte(frame[30:34])) == group
	}
	return binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IPV6 && netip.AddrFrom16([16]byte(frame[38:54])) == group
}

var recordNames = map[byte]string{1: "is_in", 2: "is_ex", 3: "to_in", 4: "to_ex", 5: "allow", 6: "block"}

func isJoin(record string) bool {
	return strings.HasPrefix(record, "to_ex") || strings.HasPrefix(record, "allow") || strings.HasPrefix(record, "to_in{") && record != "to_in{}"
}

func isLeave(record string) bool {
	return record == "to_in{}" || strings.HasPrefix(record, "block") || record == "leave"
}

// records is what a frame says of the group: "is_ex{}", "allow{10.0.0.1}", "leave"
// (of IGMPv2 and MLDv1), "report" (theirs), and "bad: " with a reason.
func records(frame []byte, group netip.Addr) []string {
	message, v6, bad := membership(frame)
	switch {
	case message == nil:
		return nil
	case bad != "":
		return []string{"bad: " + bad}
	}
	size := 4
	if v6 {
		size = 16
	}
	switch message[0] {
	case igmp1Report, igmp2Report, mld1Report, 0x17, 132: // leave group, listener done
		if addr, _ := netip.AddrFromSlice(message[len(message)-size:]); addr != group {
			return nil
		}
		if message[0] == 0x17 || message[0] == 132 {
			return []string{"leave"}
		}
		return []string{"report"}
	case igmp3Report, mld2Report:
		return currentRecords(message, size, group)
	}
	return nil
}

func currentRecords(message []byte, size int, group netip.Addr) (all []string) {
	rest := message[8:]
	for range binary.BigEndian.Uint16(message[6:]) {
		kind, sources := rest[0], int(binary.BigEndian.Uint16(rest[2:]))
		addr, _ := netip.AddrFromSlice(rest[4 : 4+size])
		rest = rest[4+size:]
		var names []string
		for range sources {
			s, _ := netip.AddrFromSlice(rest[:size])
			names, rest = append(names, s.String()), rest[size:]
		}
		if addr == group {
			all = append(all, recordNames[kind]+"{"+strings.Join(names, " ")+"}")
		}
	}
	return all
}

// membership is the IGMP or ICMPv6 message of a frame, nil if it has none, and what
// the documents would not have in it.
func membership(frame []byte) (message []byte, v6 bool, bad string) {
	packet := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		head := int(packet[0]&15) * 4
		if packet[9] != unix.IPPROTO_IGMP {
			return nil, false, ""
		}
		message = packet[head:binary.BigEndian.Uint16(packet[2:])]
		if packet[8] != 1 || head != 24 || string(packet[20:24]) != routerAlert || checksum(message) != 0 {
			bad = fmt.Sprintf("TTL, router alert or checksum in %x", packet)
		}
		return message, false, bad
	case unix.ETH_P_IPV6:
		if packet[6] != unix.IPPROTO_HOPOPTS || packet[40] != unix.IPPROTO_ICMPV6 {
			return nil, true, ""
		}
		message = packet[48 : 40+binary.BigEndian.Uint16(packet[4:])]
		pseudo := append([]byte{0, 0, 0, unix.IPPROTO_ICMPV6}, packet[8:40]...)
		pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(message)))
		source := netip.AddrFrom16([16]byte(packet[8:24]))
		if packet[7] != 1 || !source.IsLinkLocalUnicast() || checksum(append(pseudo, message...)) != 0 {
			bad = fmt.Sprintf("hop limit, source or checksum in %x", packet)
		}
		return message, true, bad
	}
	return nil, false, ""
}
