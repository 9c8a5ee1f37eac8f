//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

func testOneReceive(t *testing.T) {
	const n = 50
	p := run(t, settings{engines: 2})
	group := newGroup()
	send(t, h264, "udp", group)
	viewers := watchMany(t, p.url("/udp/"+group), n)
	moreOfAll(20_000, viewers)

	if got := members(t, group); got != 1 {
		t.Errorf("%d memberships for %d clients, want 1", got, n)
	}
	if got := bound(t, group); got != 1 {
		t.Errorf("%d sockets bound to the group for %d clients, want 1", got, n)
	}
	c, _, err := channel(p.status(), group)
	if err != nil || len(c.Clients) != n {
		t.Errorf("status names %d clients (%v), want %d", len(c.Clients), err, n)
	}
	allUnbroken(viewers)
}

func testGroupsShareAPort(t *testing.T) {
	p := run(t, settings{})
	channels := []struct {
		clip   clip
		group  string
		codecs []string
	}{
		{h264, newGroup(), []string{"h264", "aac"}},
		{mpeg2, newGroup(), []string{"mpeg2video", "mpegaudio"}},
	}
	var viewers []*viewer
	for _, c := range channels {
		send(t, c.clip, "udp", c.group)
		viewers = append(viewers, watch(t, p.url("/udp/"+c.group)))
	}
	moreOfAll(300_000, viewers)
	allUnbroken(viewers)
	for i, c := range channels {
		if got := viewers[i].codecs(); !slices.Equal(got, c.codecs) {
			t.Errorf("%s delivers %v, want %v", c.group, got, c.codecs)
		}
		got, _, err := channel(p.status(), c.group)
		if err != nil || got.Sources[0].Legs[0].Foreign != 0 || got.Sources[0].Continuity != 0 {
			t.Errorf("%s: %+v, %v: want nothing foreign", c.group, got.Sources, err)
		}
	}
}

// testSourceSpecific has two hosts send different channels to the same group and port.
func testSourceSpecific(t *testing.T) {
	hosts := testkit.TwoHosts(t)
	group := newGroup()
	p := run(t, settings{
		args:   []string{"--interface", hosts.Here.Interface},
		config: "no_data: 1h\nchannels: {nobody: {source: 'udp://192.0.2.1@" + group + "', no_data: 1s}}\n",
	})
	send(t, mpeg2, "udp", group, "--interface", hosts.Here.Interface)
	testkit.StartCommand(t, hosts.Command(program(), "send", h264.file(t), "--loop",
		"--to", "udp://"+group, "--interface", hosts.There.Interface))

	senders := []struct {
		addr   string
		codecs []string
	}{
		{hosts.Here.V4.String(), []string{"mpeg2video", "mpegaudio"}},
		{hosts.There.V4.String(), []string{"h264", "aac"}},
	}
	var viewers []*viewer
	for _, s := range senders {
		viewers = append(viewers, watch(t, p.url("/udp/"+s.addr+"@"+group)))
	}
	moreOfAll(200_000, viewers)
	allUnbroken(viewers)
	for i, s := range senders {
		if n := sourceFilter(t, group, s.addr); n != 1 {
			t.Errorf("%d source filters for %s, want 1", n, s.addr)
		}
		if got := viewers[i].codecs(); !slices.Equal(got, s.codecs) {
			t.Errorf("%s delivers %v, want %v", s.addr, got, s.codecs)
		}
	}
	if a := request(t, "GET", p.url("/udp/192.0.2.1@"+group)); a.code != 504 {
		t.Errorf("a source that does not send: %d, want 504", a.code)
	}
}

func testIPv6(t *testing.T) {
	hosts := testkit.TwoHosts(t)
	p := run(t, settings{args: []string{"--interface", hosts.Here.Interface}})
	group := "[ff15::77:1]:5000"
	testkit.StartCommand(t, hosts.Command(program(), "send", h264.file(t), "--loop",
		"--to", "udp://"+group, "--interface", hosts.There.Interface))
	for _, path := range []string{
		"/udp/" + group,
		"/udp/%5Bff15::77:1%5D:5000",
		fmt.Sprintf("/udp/[%s]@%s", hosts.There.V6, group),
	} {
		v := watch(t, p.url(path))
		v.more(50_000)
		v.unbroken()
	}
}

func testLinger(t *testing.T) {
	group, long := newGroup(), newGroup()
	p := run(t, settings{config: "linger: 1s\nchannels: {long: {source: 'udp://" + long + "', linger: 1h}}\n"})
	for _, group := range []string{long, group} {
		send(t, h264, "udp", group)
		v := watch(t, p.url("/udp/"+group))
		v.more(10_000)
		v.close()
	}
	p.state(long, "lingering")
	if n := members(t, long); n != 1 {
		t.Errorf("%d memberships while lingering, want 1", n)
	}
	p.eventually(func(st report.Status) error {
		if st.Totals.Channels != 1 {
			return fmt.Errorf("%d channels", st.Totals.Channels)
		}
		return nil
	})
	if n := members(t, group) + bound(t, group); n != 0 {
		t.Error("the group is still joined after the channel has ended")
	}
	p.proc.WaitLine("channel ended.*" + group + ".*unused")
}

// testReceiveBuffer: who may not have the receive buffer that sluice asks for is told
// what was granted and what to raise; the channel is served all the same.
func testReceiveBuffer(t *testing.T) {
	testkit.Need(t, "setpriv")
	const asked = 8 << 20
	most, err := strconv.Atoi(strings.TrimSpace(readFile(t, "/proc/sys/net/core/rmem_max")))
	if err != nil {
		t.Fatal(err)
	}
	group := newGroup()
	send(t, h264, "udp", group)

	forced := run(t, settings{})
	watch(t, forced.url("/udp/"+group)).more(10_000)
	if strings.Contains(forced.proc.Output(), "receive buffer") {
		t.Errorf("with CAP_NET_ADMIN the whole buffer is granted, but the log says:\n%s", forced.proc.Output())
	}

	limited := run(t, settings{through: []string{"setpriv", "--bounding-set=-net_admin"}})
	watch(t, limited.url("/udp/"+group)).more(10_000)
	if most >= asked {
		return // nothing is lacking, so nothing is to be said
	}
	limited.proc.WaitLine(fmt.Sprintf(`receive buffer smaller.*asked=%d granted=%d hint="sysctl -w net.core.rmem_max=%d"`, asked, most, asked))
}
