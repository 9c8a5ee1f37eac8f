package relay

import (
	"regexp"
	"testing"
)

func TestRelays(t *testing.T) {
	s := serve(t, named("a"))
	h := open(t, one(s.remote("a")))
	if got := talk(t, h.dial(0), "hello"); got != "a:hello" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "listener=in", "pool=app remote=a up=5 down=7", "cause=client")
	line := regexp.MustCompile(`^time=\S+ id=\d+ listener=in peer=127.0.0.1:\d+ client=127.0.0.1:\d+ pool=app remote=a up=5 down=7 queue=0.000 connect=\d+\.\d{3} total=\d+\.\d{3} cause=client error=-\n$`)
	if got := h.records.String(); !line.MatchString(got) {
		t.Errorf("session log: %q", got)
	}
}

func TestSecondRemoteIsTried(t *testing.T) {
	s := serve(t, named("b"))
	c := one(Remote{Name: "gone", Addr: nobody(t)}, s.remote("b"))
	h := open(t, c)
	for range 3 {
		if got := talk(t, h.dial(0), "x"); got != "b:x" {
			t.Errorf("got %q", got)
		}
	}
	h.log.wait(t, "remote ejected", "pool=app remote=gone")
}

func TestNoRemote(t *testing.T) {
	h := open(t, one(Remote{Name: "gone", Addr: nobody(t)}))
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "remote=gone", "cause=no-remote", "connection refused")
	h.log.wait(t, "all remotes of a pool are down")
}
