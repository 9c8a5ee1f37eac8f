package iothread

import (
	"io"
	"testing"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainInNamespace(m) }

func TestRelay(t *testing.T) {
	testkit.NoLeaks(t)
	s := serve(t, "tcp", "127.0.0.1:0", echo)
	d := &desk{target: flow.Target{Name: "echo", Addr: s.addr}}
	addr := listen(t, run(t, Config{}, d), flow.Listener{})
	c := dialTo(t, addr)
	io.WriteString(c, "there and back")
	c.CloseWrite()
	reads(t, c, "there and back")
	end := closed(t, d, 1)[0]
	if end.Up != 14 || end.Down != 14 || end.Cause != flow.CauseClient || end.Err != nil || end.Remote.Name != "echo" || end.Local != addr {
		t.Errorf("%+v", end)
	}
}
