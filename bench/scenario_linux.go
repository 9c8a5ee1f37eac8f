package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// scenario is one situation and the targets that hold in it.
type scenario struct {
	name     string
	about    string
	channels int           // multicast groups; the clients take them in turn
	clients  int           // that are checked
	fewer    int           // memory only: the number that clients is compared with
	stalled  int           // further clients that never read
	busy     bool          // beside them a busy loop of normal priority on each core
	rate     int64         // bits a second of each channel
	mtu      int           // of the loopback; 0 is what the options say
	settle   time.Duration // from the last client's first packet to the measurement; 0 is 2 s
	visits   bool          // also measure clients that come while all this runs
	measure  func(*scenario, context.Context, contestant, options) (measured, error)
	yards    []yard                                          // the first one is the measure
	field    func(self, sluice string) ([]contestant, error) // who takes part, of the scenarios of front; nil is sluice and the yards
	cell     *cell                                           // of the TCP relay, and of the origin
	targets  []target
}

// yard is a yardstick and its arguments.
type yard struct {
	name string
	args []string
}

// tv is the bit rate of an ordinary channel.
const tv = 8_000_000

func scenarios() []*scenario {
	zero := target{figure: gaps}
	whole := target{figure: delivered, limit: 99, atLeast: true}
	sendfile := yard{"sendfile 48 KiB", []string{"-block", "49152", "-sendfile"}}
	relay200 := scenario{
		name: "relay-200", about: "one 8 Mbit/s channel to 200 clients",
		channels: 1, clients: 200, rate: tv, visits: true, measure: (*scenario).relay,
		yards: []yard{{"write 13 KiB", []string{"-block", "13312"}}},
		targets: []target{
			{figure: cpuPerGB, limit: 1.3, perYardstick: true},
			{figure: ageP50, limit: 15},
			{figure: warmPicture, limit: 10},
			zero, whole,
		},
	}
	relay1000 := scenario{
		name: "relay-1000", about: "one 8 Mbit/s channel to 1000 clients",
		channels: 1, clients: 1000, rate: tv, visits: true, measure: (*scenario).relay,
		yards: []yard{sendfile, {"write 48 KiB", []string{"-block", "49152"}}},
		targets: []target{
			{figure: cpuPerGB, limit: 1, perYardstick: true},
			{figure: ageP50, limit: 50},
			{figure: warmPicture, limit: 10},
			zero, whole,
		},
	}
	stalled := scenario{
		name: "stalled-50", about: "200 clients beside 50 that never read",
		channels: 1, clients: 200, stalled: 50, rate: tv, measure: (*scenario).relay,
		targets: []target{zero, whole},
	}
	return append([]*scenario{
		&relay200, relay200.ethernet(), &relay1000, relay1000.ethernet(),
		{
			name: "clients-max", about: "how many clients of 8 Mbit/s one core holds (-clients: where the search begins)",
			channels: 1, clients: 3400, rate: tv, settle: 4 * time.Second, measure: (*scenario).most,
			yards:   []yard{sendfile},
			targets: []target{{figure: mostClients, limit: 3400, atLeast: true}},
		},
		{
			name: "channels-100", about: "100 channels of 8 Mbit/s, one client each",
			channels: 100, clients: 100, rate: tv, measure: (*scenario).relay,
			settle:  12 * time.Second, // until histories are full: before that a relay with one takes new memory all the time
			yards:   []yard{{"bare relay 20 ms", []string{"-bare-relay"}}},
			targets: []target{{figure: cpuPerGB, limit: 1.5, perYardstick: true}, {figure: cpuPerGB, limit: 1.9}, zero, whole},
		},
		&stalled, stalled.besideBusyLoops(),
		{
			name: "fast-800", about: "one 800 Mbit/s channel to one client",
			channels: 1, clients: 1, rate: 100 * tv, measure: (*scenario).relay,
			targets: []target{zero, whole},
		},
		{
			name: "cold", about: "first packet of channels that nobody watches yet",
			measure: (*scenario).cold,
			targets: []target{
				{figure: coldPacket, limit: 5},
				{figure: slowPacket, limit: 1.2 * datagramSize * 8 / (slowRate / 1e3)},
			},
		},
		{
			name: "zap", about: "one client that changes between ten 8 Mbit/s channels every second",
			channels: 10, rate: tv, measure: (*scenario).zap,
			targets: []target{{figure: zapPictures, limit: 100, atLeast: true}},
		},
		{
			name: "memory", about: "the slope from 200 to 2000 clients of one 1 Mbit/s channel",
			channels: 1, clients: 2000, fewer: 200, rate: tv / 8, measure: (*scenario).memory,
			targets: []target{{figure: clientMemory, limit: 4}},
		},
		{
			name: "memory-100", about: "the slope from 10 to 100 channels of 1 Mbit/s, one client each",
			channels: 100, clients: 100, fewer: 10, rate: tv / 8, measure: (*scenario).memory,
			targets: []target{{figure: channelExtra, limit: 256}},
		},
	}, slices.Concat(frontScenarios(), tcpScenarios(), originScenarios())...)
}

// ethernet is the same scenario with segments as an Ethernet carries them.
func (s scenario) ethernet() *scenario {
	s.name, s.about, s.mtu = s.name+"-mtu1500", s.about+", MTU 1500", 1500
	return &s
}

// besideBusyLoops is the same scenario on a machine that has other work.
func (s scenario) besideBusyLoops() *scenario {
	s.name, s.about, s.busy = s.name+"-busy", s.about+", and a busy loop on each core", true
	return &s
}

// relay measures one contestant that relays channels to the crowd. When not all clients
// play, all that it measured is how far the crowd was behind.
func (s *scenario) relay(ctx context.Context, c contestant, o options) (m measured, err error) {
	stage, err := s.raise(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	if err := stage.fill(s.clients); err != nil {
		return measured{crowdLag: lagOf(stage.crowd.take(nil))}, err
	}
	if err := pause(ctx, cmp.Or(s.settle, 2*time.Second)); err != nil {
		return nil, err
	}
	pids, err := stage.server.pids()
	if err != nil {
		return nil, err
	}
	before, _, err := stage.read(pids)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, o.length()); err != nil {
		return nil, err
	}
	after, t, err := stage.read(pids)
	if err != nil {
		return nil, err
	}
	if t.bytes == 0 {
		return nil, fmt.Errorf("the clients received nothing for %v", o.length())
	}
	m = s.judge(before, after, t)
	if s.visits && !c.yardstick {
		err = stage.visit(ctx, m)
	}
	return m, err
}

// judge makes the figures of what lay between two readings.
func (s *scenario) judge(before, after reading, t tally) measured {
	slices.Sort(t.ages)
	gb := float64(t.bytes) / 1e9
	sent := float64(after.sent - before.sent)
	wanted := float64(s.rate) / 8 * float64(after.time-before.time) / 1e9
	return measured{
		pace:         100 * sent / wanted,
		cpuPerGB:     float64(after.cpu-before.cpu) / 1e9 / gb,
		serverBusy:   100 * busyShare(after.server-before.server, after.time-before.time),
		loadBusy:     100 * busyShare(after.load-before.load, after.time-before.time),
		ageP50:       float64(percentile(t.ages, 50)) / 1e6,
		ageP99:       float64(percentile(t.ages, 99)) / 1e6,
		crowdLag:     lagOf(t),
		gaps:         float64(t.gaps) + float64(t.ended),
		overflown:    float64(after.overflown - before.overflown),
		delivered:    100 * float64(t.bytes) / (sent * float64(s.clients)),
		packetsPerGB: float64(after.packets-before.packets) / 1e3 / gb,
		segmentsOfGB: float64(after.segments-before.segments) / 1e3 / gb,
	}
}

// lagOf is how far the crowd itself was behind, the 99th percentile in milliseconds.
func lagOf(t tally) float64 {
	slices.Sort(t.lags)
	return float64(percentile(t.lags, 99)) / 1e6
}

// stage is all that runs in a scenario.
type stage struct {
	scenario *scenario
	server   *server
	sender   *sender
	crowd    *crowd
	stalled  []int
	loops    []*exec.Cmd
}

// raise starts the server, the channels and an empty crowd.
func (s *scenario) raise(ctx context.Context, c contestant) (*stage, error) {
	server, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	st := &stage{scenario: s, server: server}
	if st.sender, err = startSender(groupsOf(s.channels), s.rate); err == nil {
		st.crowd, err = newCrowd()
	}
	if err == nil && s.busy {
		err = st.occupy()
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// groupsOf are the first n groups.
func groupsOf(n int) []netip.AddrPort {
	groups := make([]netip.AddrPort, n)
	for i := range groups {
		groups[i] = groupAddr(0, i)
	}
	return groups
}

// mostWaiting is how many clients at once have asked and wait for their first packet:
// what a server needs for more, or whom it refuses, is no figure of this benchmark.
const mostWaiting = 256

// fill brings the crowd to n clients, all of them playing, and the stalled ones first.
func (st *stage) fill(n int) error {
	for len(st.stalled) < st.scenario.stalled {
		fd, err := dial(st.server.addr, path(0, 0))
		if err != nil {
			return err
		}
		st.stalled = append(st.stalled, fd)
	}
	for i := len(st.crowd.clients); i < n; i++ {
		if err := st.crowd.join(st.server.addr, path(0, i%st.scenario.channels)); err != nil {
			return err
		}
		if err := st.crowd.await(func() bool { return st.crowd.playing >= len(st.crowd.clients)-mostWaiting }); err != nil {
			return err
		}
	}
	return st.crowd.wait()
}

// occupy starts a busy loop of normal priority on each core.
func (st *stage) occupy() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, core := range []int{loadCore, serverCore} {
		cmd := exec.Command(self, wordSpin)
		if err := startOn(cmd, core); err != nil {
			return fmt.Errorf("start a busy loop: %w", err)
		}
		st.loops = append(st.loops, cmd)
	}
	return nil
}

// read takes the readings of the machine, the server and the sender, and what the crowd
// received since the last time.
func (st *stage) read(pids []int) (r reading, t tally, err error) {
	t = st.crowd.take(func() {
		r, err = read(pids)
		r.sent = st.sender.sent.Load()
	})
	return r, t, err
}

// visit adds the figures of twenty clients that come to a warm channel.
func (st *stage) visit(ctx context.Context, m measured) error {
	visits := make([]visit, 20)
	for i := range visits {
		var err error
		if visits[i], err = pay(st.server.addr, path(0, 0), true, 5*time.Second); err != nil {
			return err
		}
		// No multiple of a frame or a group of pictures: all phases have their turn.
		if err := pause(ctx, 53*time.Millisecond); err != nil {
			return err
		}
	}
	m[warmPacket] = medianOf(visits, func(v visit) time.Duration { return v.packet })
	m[warmPicture] = medianOf(visits, func(v visit) time.Duration { return v.picture })
	return nil
}

// Close ends all in reverse order.
func (st *stage) Close() error {
	for _, cmd := range st.loops {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // "killed" is its only end
	}
	for _, fd := range st.stalled {
		unix.Close(fd)
	}
	if st.crowd != nil {
		st.crowd.Close()
	}
	if st.sender != nil {
		st.sender.Close()
	}
	return st.server.Close()
}

// path is what a client asks for.
func path(set, n int) string { return fmt.Sprintf("/udp/%s", groupAddr(set, n)) }

// slowRate is a radio channel, in bits a second: a datagram every 82 ms.
const slowRate = 128e3

// cold measures clients that are the first of their channel.
func (s *scenario) cold(ctx context.Context, c contestant, _ options) (m measured, err error) {
	server, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	fast, err := coldVisits(ctx, server, 1, 8_000_000)
	if err != nil {
		return nil, err
	}
	slow, err := coldVisits(ctx, server, 2, slowRate)
	if err != nil {
		return nil, err
	}
	slowest := slices.MaxFunc(slow, func(a, b visit) int { return cmp.Compare(a.packet, b.packet) })
	return measured{
		coldPacket: medianOf(fast, func(v visit) time.Duration { return v.packet }),
		slowPacket: slowest.packet.Seconds() * 1e3,
	}, nil
}

// coldVisits pays ten visits, each to a group of its own that is already being sent.
func coldVisits(ctx context.Context, server *server, set int, rate int64) ([]visit, error) {
	var visits []visit
	for i := range 10 {
		sender, err := startSender([]netip.AddrPort{groupAddr(set, i)}, rate)
		if err != nil {
			return nil, err
		}
		err = pause(ctx, 100*time.Millisecond+time.Duration(i)*9*time.Millisecond)
		if err == nil {
			var v visit
			v, err = pay(server.addr, path(set, i), false, 5*time.Second)
			visits = append(visits, v)
		}
		sender.Close()
		if err != nil {
			return nil, err
		}
	}
	return visits, nil
}

// zap measures a client that stays for a second on each channel, two rounds of them.
func (s *scenario) zap(ctx context.Context, c contestant, _ options) (m measured, err error) {
	stage, err := s.raise(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	stays := 2 * s.channels
	var pictures []visit
	for i := range stays {
		next := time.After(time.Second)
		v, err := pay(stage.server.addr, path(0, i%s.channels), true, time.Second)
		if err == nil {
			pictures = append(pictures, v)
		} else if !errors.Is(err, errLate) {
			return nil, err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return measured{
		zapPictures: 100 * float64(len(pictures)) / float64(stays),
		zapDelay:    medianOf(pictures, func(v visit) time.Duration { return v.picture }),
	}, nil
}

// pause waits, or fails when the benchmark is interrupted.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
