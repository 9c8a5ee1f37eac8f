//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// twoSources is a channel called news with a first source and a back-up that carries
// quite another time.
type twoSources struct {
	*product
	first *testkit.Proc
}

func runTwoSources(t *testing.T) twoSources {
	t.Helper()
	first, backup := newGroup(), newGroup()
	p := run(t, settings{config: fmt.Sprintf(`
channels:
  news: {source: "udp://%s", backup: ["rtp://%s"], no_data: 3s}
`, first, backup)})
	send(t, h264, "rtp", backup, "--pcr-wrap", "20m")
	s := twoSources{p, send(t, h264, "udp", first)}
	flows(t, first)
	flows(t, backup)
	return s
}

// flows waits until something comes to a group.
func flows(t *testing.T, group string) {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenMulticastUDP("udp4", lo, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(group)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(testkit.Patience))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// fails stops the first source and waits until the back-up is on air.
func (s twoSources) fails() {
	s.t.Helper()
	s.first.Signal(syscall.SIGSTOP)
	s.onAir("news", 1, "backup")
}

// recovers lets the first source go on and waits until it is on air again.
func (s twoSources) recovers() {
	s.t.Helper()
	s.first.Signal(syscall.SIGCONT)
	s.onAir("news", 0, "live")
}

// onAir waits until a source of a channel is the one on air and the channel in a state.
func (p *product) onAir(name string, source int, state string) {
	p.t.Helper()
	p.eventually(func(st report.Status) error {
		c, err := named(st, name)
		if err == nil && (c.Sources[source].State != "on air" || c.State != state) {
			err = fmt.Errorf("channel %s is %s, sources %+v; want %d on air, %s", name, c.State, c.Sources, source, state)
		}
		return err
	})
}

// named finds a channel of the status by its name.
func named(st report.Status, name string) (report.Channel, error) {
	for _, e := range st.Engines {
		for _, c := range e.Channels {
			if c.Name == name {
				return c, nil
			}
		}
	}
	return report.Channel{}, fmt.Errorf("no channel %s", name)
}

// named is the channel of that name, which must be there.
func (p *product) named(name string) report.Channel {
	p.t.Helper()
	c, err := named(p.status(), name)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// record is watch for a viewer that keeps all it gets, up to 8 MiB.
func record(t *testing.T, url string) *viewer {
	t.Helper()
	v, err := tryKeep(t, url, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// recorded is what a viewer has kept, in whole packets.
func (v *viewer) recorded() []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.head[:len(v.head)/ts.PacketSize*ts.PacketSize]
}

func testPlayersKeepPlayingThroughSwitches(t *testing.T) {
	s := runTwoSources(t)
	v := record(t, s.url("/$news"))
	v.untilStart()
	players := play(t, s.url("/$news"))
	s.fails()
	moreFrames(75, players)
	s.proc.WaitLine(`another source is on air.*reason="no data"`)
	s.recovers()
	moreFrames(75, players)
	s.proc.WaitLine(`another source is on air.*reason="first source recovered"`)
	stillPlay(players)
	v.more(50_000)

	b := v.recorded()
	switches := seams(b)
	if len(switches) != 2 {
		t.Fatalf("the stream shows %d switches, want 2", len(switches))
	}
	for _, at := range switches {
		beginsCleanly(t, b, at)
	}
	// What a seam does not begin with may be cut in the middle: the sound and the SDT.
	if n := v.gaps(); n > uint64(2*len(switches)) {
		t.Errorf("%d continuity errors at %d switches, want at most two each: %+v", n, len(switches), s.named("news").Sources)
	}
}

// gaps is how many continuity errors a viewer has met.
func (v *viewer) gaps() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tracker.Stats().Continuity
}

// seams are the offsets in whole packets at which another source begins: there a packet
// of the PAT's PID has no payload and announces a discontinuity.
func seams(b []byte) (offsets []int) {
	for at := 0; at < len(b); at += ts.PacketSize {
		if p := ts.Packet(b[at : at+ts.PacketSize]); p.PID() == 0 && announces(p) {
			offsets = append(offsets, at)
		}
	}
	return offsets
}

func announces(p ts.Packet) bool { return !p.HasPayload() && p.Discontinuity() }

// beginsCleanly wants the tables at a seam, and a key frame right behind them.
func beginsCleanly(t *testing.T, b []byte, at int) {
	t.Helper()
	var tracker ts.Tracker
	starts := map[int64]ts.StartKind{}
	for _, s := range tracker.Scan(b, 0) {
		starts[s.Offset] = s.Kind
	}
	for announces(ts.Packet(b[at : at+ts.PacketSize])) {
		at += ts.PacketSize
	}
	if pid := ts.Packet(b[at : at+ts.PacketSize]).PID(); pid != 0 {
		t.Errorf("a switch begins with PID %d, want the PAT", pid)
	}
	for tracker.CarriesTables(ts.Packet(b[at : at+ts.PacketSize]).PID()) {
		at += ts.PacketSize
	}
	if starts[int64(at)] != ts.KeyFrame {
		t.Errorf("no key frame behind the tables of a switch")
	}
}

func testSwitchIsTheSameForAll(t *testing.T) {
	const viewers, behind = 50, 100_000
	s := runTwoSources(t)
	list := recordMany(t, s.url("/$news"), viewers)
	moreOfAll(20_000, list)
	allUnbroken(list)
	s.fails()
	moreOfAll(behind, list)
	s.recovers()
	moreOfAll(behind, list)

	var want []byte
	for i, v := range list {
		b := v.recorded()
		switches := seams(b)
		if len(switches) != 2 {
			t.Fatalf("client %d met %d switches, want 2", i, len(switches))
		}
		got := b[switches[0]:]
		if want == nil {
			want = got
		}
		n := min(len(want), len(got))
		if got = got[:n]; !bytes.Equal(got, want[:n]) || n < 2*behind-10_000 {
			t.Errorf("client %d: %d bytes from the first switch on are not those of the first client", i, n)
		}
		select {
		case <-v.done:
			t.Errorf("client %d was interrupted: %v", i, v.end())
		default:
		}
	}
	if n := len(s.named("news").Clients); n != viewers {
		t.Errorf("%d clients after the switches, want %d", n, viewers)
	}
}

func recordMany(t *testing.T, url string, n int) []*viewer {
	t.Helper()
	list := make([]*viewer, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() { list[i], errs[i] = tryKeep(t, url, 4<<20) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return list
}

// testFlappingSource has a first source that is never healthy for long: after its first
// silence the back-up stays on air, and when it is steady it is taken back.
func testFlappingSource(t *testing.T) {
	s := runTwoSources(t)
	neighbour := startNeighbour(t, s.product)
	v := watch(t, s.url("/$news"))
	v.untilStart()
	s.fails()
	for range 4 {
		before := s.named("news").Sources[0].Legs[0].Datagrams
		s.first.Signal(syscall.SIGCONT)
		s.eventually(func(st report.Status) error {
			c, err := named(st, "news")
			if err == nil && (len(c.Sources[0].Legs) == 0 || c.Sources[0].Legs[0].Datagrams < before+10) {
				err = fmt.Errorf("the first source delivers nothing: %+v", c.Sources[0])
			}
			return err
		})
		s.first.Signal(syscall.SIGSTOP)
		v.more(100_000) // of the back-up, two seconds
		if c := s.named("news"); c.State != "backup" || c.Sources[1].State != "on air" {
			t.Fatalf("a source that flaps is on air: %+v", c)
		}
	}
	s.recovers()
	v.more(50_000)
	s.proc.WaitLine(`another source is on air.*reason="first source recovered"`)
	if n := strings.Count(s.proc.Output(), "another source is on air"); n != 2 {
		t.Errorf("%d switches told, want 2: to the back-up and back", n)
	}
	neighbour.unnoticed()
}

// testFlappingAlone has a source without a back-up come and go: the channel says so, and
// its client is kept.
func testFlappingAlone(t *testing.T) {
	p := run(t, settings{config: "no_data: 60s\n"})
	neighbour := startNeighbour(t, p)
	group := newGroup()
	source := send(t, h264, "udp", group)
	v := watch(t, p.url("/udp/"+group))
	v.more(20_000)
	for range 4 {
		source.Signal(syscall.SIGSTOP)
		p.state(group, "silent")
		source.Signal(syscall.SIGCONT)
		p.state(group, "live")
		v.more(5_000)
	}
	v.unbroken()
	neighbour.unnoticed()
}

// testWorseBackup has back-ups that are worse than nothing: noise in place of a stream is
// passed over.
func testWorseBackup(t *testing.T) {
	first, noise, good := newGroup(), newGroup(), newGroup()
	p := run(t, settings{config: fmt.Sprintf(`
channels:
  news: {source: "udp://%s", backup: ["udp://%s", "udp://%s"], no_data: 3s}
  poor: {source: "udp://%[1]s|udp://239.78.0.1:5000", backup: ["udp://%[2]s"], no_data: 0s}
`, first, noise, good)})
	neighbour := startNeighbour(t, p)
	sender := send(t, h264, "rtp", first)
	send(t, h264, "udp", good)
	sendNoise(t, noise)
	for _, group := range []string{first, noise, good} {
		flows(t, group)
	}
	v, poor := watch(t, p.url("/$news")), watch(t, p.url("/$poor"))
	moreOfAll(50_000, []*viewer{v, poor})
	sender.Signal(syscall.SIGSTOP)
	p.onAir("news", 2, "backup")
	v.more(50_000)
	p.eventually(func(st report.Status) error {
		c, err := named(st, "poor")
		if err == nil && (c.State != "silent" || c.Sources[1].State != "trial" || c.Sources[1].Legs[0].Datagrams == 0) {
			err = fmt.Errorf("with noise alone the channel is %s, %+v; want silent and the noise on trial", c.State, c.Sources)
		}
		return err
	})
	sender.Signal(syscall.SIGCONT)
	p.onAir("poor", 0, "live")
	p.onAir("news", 0, "live")
	moreOfAll(50_000, []*viewer{v, poor})
	poor.unbroken()
	for _, w := range []*viewer{v, poor} {
		if n := w.framer.Skipped(); n != 0 {
			t.Errorf("%s: %d bytes of noise", w.name, n)
		}
	}
	neighbour.unnoticed()
}

// neighbour is a healthy channel beside one that is in trouble.
type neighbour struct {
	*product
	group  string
	viewer *viewer
}

func startNeighbour(t *testing.T, p *product) neighbour {
	t.Helper()
	n := neighbour{p, newGroup(), nil}
	send(t, h264, "udp", "127.0.0.1@"+n.group) // from there also while there are other interfaces
	n.viewer = watch(t, p.url("/udp/"+n.group))
	n.viewer.untilStart()
	return n
}

// unnoticed checks that the neighbour has met nothing, and that `sluice probe` calls it
// valid.
func (n neighbour) unnoticed() {
	n.t.Helper()
	n.viewer.more(10_000)
	n.viewer.unbroken()
	n.state(n.group, "live")
	c, _, err := channel(n.status(), n.group)
	if err != nil {
		n.t.Fatal(err)
	}
	if c.Health == nil || *c.Health != (report.Health{}) || c.Sources[0].Legs[0].KernelLost != 0 {
		n.t.Errorf("the channel beside it is %s, health %+v, source %+v", c.State, c.Health, c.Sources[0])
	}
	if out, msg, code := output(program(), "probe", n.url("/udp/"+n.group), "--duration", "2s"); code != 0 {
		n.t.Errorf("probe of the channel beside it: exit %d\n%s%s", code, out, msg)
	}
}

func testStates(t *testing.T) {
	patient, impatient, backup, pinned := newGroup(), newGroup(), newGroup(), newGroup()
	p := run(t, settings{config: fmt.Sprintf(`
linger: 60s
channels:
  patient:   {source: "udp://%s", no_data: 0s}
  impatient: {source: "udp://%s", no_data: 300ms}
  pinned:    {source: "udp://%s", pinned: true}
  second:    {source: "udp://%s", backup: ["udp://239.78.0.2:5000"], no_data: 1s}
`, patient, impatient, pinned, backup)})
	// Pinned: joined without a client, and live without one.
	joined(t, pinned)
	p.named("pinned")
	send(t, h264, "udp", pinned)
	p.state(pinned, "live")
	// No data: who asks for the one is refused while the other waits for ever.
	waiting := ask(t, p.url("/$patient"))
	joined(t, patient)
	p.state(patient, "joining")
	for range 3 {
		if a := request(t, "GET", p.url("/$impatient")); a.code != 504 {
			t.Errorf("a silent channel answers %d %q, want 504", a.code, a.body)
		}
		waiting.unanswered()
	}
	sender := send(t, h264, "udp", patient)
	v := waiting.answered()
	p.state(patient, "live")
	sender.Signal(syscall.SIGSTOP)
	p.state(patient, "silent")
	sender.Signal(syscall.SIGCONT)
	p.state(patient, "live")
	v.more(10_000)
	v.unbroken()
	v.close()
	p.state(patient, "lingering")
	watch(t, p.url("/$patient")).more(10_000)
	p.state(patient, "live")

	// The first source never came, so the back-up is on air.
	send(t, h264, "udp", "239.78.0.2:5000")
	watch(t, p.url("/$second")).more(10_000)
	p.onAir("second", 1, "backup")
	if c := p.named("pinned"); !c.Pinned || len(c.Clients) != 0 || c.State != "live" || members(t, pinned) != 1 {
		t.Errorf("the pinned channel is %s with %d clients and %d memberships", c.State, len(c.Clients), members(t, pinned))
	}
}

// testClosedState ends a channel of which a client has not taken all.
func testClosedState(t *testing.T) {
	p := run(t, settings{config: "no_data: 3s\nstall: 60s\n"})
	group := newGroup()
	sender := send(t, h264, "udp", group, "--bitrate", "20M")
	flows(t, group)
	slow := askSlowly(t, p, "/udp/"+group)
	slow.untilLag(1)
	sender.Signal(syscall.SIGSTOP)
	p.state(group, report.ChannelClosed)
	slow.rest()
	p.eventually(func(st report.Status) error {
		if c, _, err := channel(st, group); err == nil {
			return fmt.Errorf("the channel is still there: %s", c.State)
		}
		return nil
	})
}
