//go:build e2e

package e2e

import (
	"syscall"
	"testing"

	"sluice/internal/media/ts"
)

// testStartFromHistory stops the sender: what a new client gets then can only be history.
func testStartFromHistory(t *testing.T) {
	for _, c := range clips {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := run(t, settings{config: "no_data: 60s\n"})
			group := newGroup()
			sender := send(t, c, "udp", group)
			first := watch(t, p.url("/udp/"+group))
			first.untilStart()
			first.more(50_000)
			sender.Signal(syscall.SIGSTOP)

			second := watch(t, p.url("/udp/"+group))
			second.until(3 * ts.PacketSize) // all that is certain when a key frame has just begun
			second.unbroken()
			startsWhereADecoderCan(t, second, c)

			sender.Signal(syscall.SIGCONT)
			moreOfAll(50_000, []*viewer{first, second})
			allUnbroken([]*viewer{first, second})
		})
	}
}

// startsWhereADecoderCan wants PAT, PMT and then, without anything between, the access
// unit that a decoder can start with.
func startsWhereADecoderCan(t *testing.T, v *viewer, c clip) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.head) < 3*ts.PacketSize {
		t.Fatalf("%d bytes of history", len(v.head))
	}
	if pid := ts.Packet(v.head[:ts.PacketSize]).PID(); pid != 0 {
		t.Errorf("the first packet has PID %d, want the PAT's", pid)
	}
	want := ts.KeyFrame
	if c.video == "" {
		want = ts.AudioFrame
	}
	if v.firstAt != 2*ts.PacketSize || v.firstHow != want {
		t.Errorf("the first start point is of kind %d at byte %d, want kind %d right behind PAT and PMT", v.firstHow, v.firstAt, want)
	}
}
