package tools

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"sluice/internal/netx"
	"sluice/internal/uri"
)

//go:embed demo/clip.ts
var clip []byte

// Clip is the demo channel's transport stream: 9.6 s of colour bars with a clock, H.264
// and AAC, that a loop joins without a seam. demo/make-clip.sh makes it. It must not be
// changed.
func Clip() []byte { return clip }

// DemoSource sends the clip to end, in a loop, until ctx is done, which is no error.
// iface is where a group is sent to; "" = the system's choice.
func DemoSource(ctx context.Context, end uri.End, iface string) error {
	if _, err := Send(ctx, bytes.NewReader(Clip()), SendOptions{To: end, Interface: iface, Loop: true}); err != nil {
		return fmt.Errorf("send the demo clip: %w", err)
	}
	return nil
}

// demoGroup is where the demo channel is: in the block for private use (RFC 2365).
var demoGroup = netip.MustParseAddr("239.255.42.42")

// The ports that are tried; a demo that runs already holds one.
const (
	demoPort  = 5004
	demoPorts = 8 // every other one, as RTP ports are (RFC 3550, 11)
)

// DemoEnd finds out where the demo channel can be on this machine: a group on the
// loopback interface that nobody sends to, which leaves the machine unchanged and the
// network in peace; where the system does not permit that, a free port of 127.0.0.1.
// Sender and receiver both use iface ("" = the system's choice). The note tells people
// what was chosen and why.
func DemoEnd() (end uri.End, iface, note string, err error) {
	group, iface, groupErr := demoOnLoopback()
	if groupErr == nil {
		return uri.End{Scheme: uri.UDP, Addr: group}, iface, fmt.Sprintf("multicast group %s on interface %s", group, iface), nil
	}
	addr, err := freePort()
	if err != nil {
		return uri.End{}, "", "", fmt.Errorf("find a place for the demo channel: %w", errors.Join(groupErr, err))
	}
	note = fmt.Sprintf("unicast to %s: this machine cannot send multicast to itself (%v)", addr, groupErr)
	return uri.End{Scheme: uri.UDP, Addr: addr}, "", note, nil
}

// MulticastOnLoopback tries whether this machine can send multicast to itself on its
// loopback interface: it joins a group, sends to it and waits for the datagram, at
// most a second. It needs no route and changes no setting.
func MulticastOnLoopback() error {
	_, _, err := demoOnLoopback()
	return err
}

func demoOnLoopback() (group netip.AddrPort, iface string, err error) {
	if iface, err = loopback(); err != nil {
		return netip.AddrPort{}, "", err
	}
	for i := range uint16(demoPorts) {
		group = netip.AddrPortFrom(demoGroup, demoPort+2*i)
		if err = tryGroup(group, iface); !errors.Is(err, errBusy) {
			return group, iface, err
		}
	}
	return netip.AddrPort{}, "", err
}

// loopback is the name of the loopback interface.
func loopback() (string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return i.Name, nil
		}
	}
	return "", errors.New("no loopback interface is up")
}

// errBusy says that somebody sends to a group already.
var errBusy = errors.New("somebody sends there already")

// A datagram to oneself takes microseconds; a second is for a machine under load.
// A stream sends several in a tenth of one.
const (
	ownTimeout   = time.Second
	othersWindow = 100 * time.Millisecond
)

// tryGroup sends a group one datagram on an interface and waits for it, then listens
// whether there are others.
func tryGroup(group netip.AddrPort, iface string) error {
	socket, err := netx.OpenUDP(netx.UDPConfig{Addr: group, Interface: iface, ReceiveBuffer: 64 << 10})
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(socket.FD()), group.String()) // owns the descriptor from here on
	defer file.Close()
	conn, err := netx.DialUDP(netx.SendConfig{Addr: group, Interface: iface})
	if err != nil {
		return err
	}
	defer conn.Close()
	word := []byte("sluice demo?")
	if _, err := conn.Write(word); err != nil {
		return fmt.Errorf("send to %s on %s: %w", group, iface, err)
	}
	switch n, err := readOther(file, word, ownTimeout); {
	case err != nil:
		return fmt.Errorf("a datagram to %s on %s did not come back: %w", group, iface, err)
	case n > 0:
		return fmt.Errorf("%s on %s: %w", group, iface, errBusy)
	}
	if _, err := readOther(file, word, othersWindow); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s on %s: %w", group, iface, errBusy)
	}
	return nil
}

// readOther reads one datagram and returns its length, 0 when it is the word expected.
func readOther(file *os.File, word []byte, timeout time.Duration) (int, error) {
	if err := file.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	got := make([]byte, 64)
	n, err := file.Read(got)
	if err != nil {
		return 0, err
	}
	if bytes.Equal(got[:n], word) {
		return 0, nil
	}
	return max(n, 1), nil
}

// freePort is an address of this machine that nobody receives on at the moment.
func freePort() (netip.AddrPort, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer conn.Close()
	addr := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), nil
}
