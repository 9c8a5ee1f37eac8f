//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// again sends HUP to a module and waits for the next line like expr.
func again(t *testing.T, proc *testkit.Proc, expr string) (line string) {
	t.Helper()
	re := regexp.MustCompile(`(?m)^.*` + expr + `.*$`)
	before := len(re.FindAllString(proc.Output(), -1))
	proc.Signal(syscall.SIGHUP)
	testkit.Eventually(t, func() error {
		all := re.FindAllString(proc.Output(), -1)
		if len(all) <= before {
			return fmt.Errorf("no line like %s after HUP:\n%s", expr, proc.Output())
		}
		line = all[len(all)-1]
		return nil
	})
	return line
}

// testReload reads the file again and again while somebody watches.
func testReload(t *testing.T) {
	group := newGroup()
	send(t, h264, "udp", group)
	p := startDuo(t, "")
	p.wants(404, "/$news")
	v := watch(t, p.url("/udp/"+group))
	for n := range 10 {
		p.write(fmt.Sprintf("channels: {news: {source: %q, linger: %ds}}\nlog: {level: debug}\nrenew: %ds\n", "udp://"+group, n+2, n+10))
		line := again(t, p.gws, `configuration read again`)
		if n == 0 && !(strings.Contains(line, "channels") && strings.Contains(line, "log.level")) {
			t.Errorf("gws does not say what has changed: %s", line)
		}
		line = again(t, p.gng, `configuration read again`)
		if !strings.Contains(line, "renew") || strings.Contains(line, "WARN") {
			t.Errorf("gng does not say what has changed: %s", line)
		}
		v.more(10_000)
	}
	p.wants(200, "/$news")
	p.gng.WaitLine(`level=DEBUG .*client ended`)
	v.unbroken()
}

// testBrokenReload breaks the file of each module and of `sluice run`.
func testBrokenReload(t *testing.T) {
	group := newGroup()
	send(t, h264, "udp", group)
	good := fmt.Sprintf("channels: {news: {source: \"udp://%s\"}}\n", group)
	for _, c := range []struct{ name, text, want string }{
		// Three lines are before these, of the duo.
		{"no YAML", good + "linger: [\n", `:[45]:\d+: `},
		{"an unknown key", "colour: red\n", `:4:1: unknown key \\"colour\\"`},
		{"a bad value", good + "\nlinger: soon\n", `:6:9: linger: bad time \\"soon\\"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startDuo(t, good)
			v := watch(t, p.url("/$news"))
			p.write(c.text)
			for _, proc := range []*testkit.Proc{p.gws, p.gng} {
				again(t, proc, `level=ERROR .*configuration not read again: the one before stays" .*`+regexp.QuoteMeta(p.config)+c.want)
			}
			p.wants(200, "/$news")
			p.wants(404, "/$sports")
			v.more(10_000)
			v.unbroken()

			p.write(good + fmt.Sprintf("  sports: {source: \"udp://%s\"}\n", newGroup()))
			p.write(strings.Replace(good, "}}", "}, sports: {source: \"udp://"+newGroup()+"\", no_data: 300ms}}", 1))
			again(t, p.gws, `configuration read again`)
			p.wants(504, "/$sports") // it is known now
		})
	}
	t.Run("sluice run", func(t *testing.T) {
		t.Parallel()
		p := run(t, settings{config: good})
		v := watch(t, p.url("/$news"))
		line := p.reread("# broken\n"+good+"linger: soon\n", keptLine)
		if !strings.Contains(line, "role=run") || !regexp.MustCompile(regexp.QuoteMeta(p.config)+`:3:9: linger: bad time`).MatchString(line) {
			t.Errorf("the log does not say where: %s", line)
		}
		p.wants(200, "/$news")
		v.more(10_000)
		v.unbroken()
	})
}

func testOrderlyEnd(t *testing.T) {
	group := source(t)
	for name, sig := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDuo(t, "")
			p.startGWS("-p", p.path("pid"))
			p.startGNG()
			p.attached(p.gng.PID())
			v := watch(t, p.url("/udp/"+group))
			stopNow(t, p.gws, sig)
			if err := p.gng.Wait(); err != nil {
				t.Errorf("the engine: %v", err)
			}
			_ = v.end()
			for _, path := range []string{p.path("pid"), filepath.Join(p.dir, "handoff.socket")} {
				if _, err := os.Lstat(path); !os.IsNotExist(err) {
					t.Errorf("%s after %s: %v", path, name, err)
				}
			}
			p.nothingLeft()
			p.gws.WaitLine(`role=gws.*|msg=stopped reason="signal: `)
			if strings.Contains(p.gws.Output(), "goroutine ") {
				t.Errorf("it ended with a dump:\n%s", p.gws.Output())
			}
		})
	}
}

func testForceShutdown(t *testing.T) {
	group := newGroup()
	send(t, h264, "udp", group)
	t.Run("true", func(t *testing.T) {
		t.Parallel()
		p := startDuo(t, "")
		v := watch(t, p.url("/udp/"+group))
		stopNow(t, p.gws, syscall.SIGTERM)
		if err := p.gng.Wait(); err != nil {
			t.Errorf("the engine: %v", err)
		}
		p.gng.WaitLine(`msg=stopped .*reason="signal: terminated"`)
		_ = v.end()
	})
	t.Run("false", func(t *testing.T) {
		t.Parallel()
		p := startDuo(t, "force_shutdown: false\nreconnect: {attempts: 100000, delay: 20ms}\n")
		v := watch(t, p.url("/udp/"+group))
		v.untilStart()
		stopNow(t, p.gws, syscall.SIGTERM)
		v.more(100_000)
		p.startGWS() // the next one gets the engine and its client
		p.attached(p.gng.PID())
		ch, _, err := channel(p.status(), group)
		if err != nil || len(ch.Clients) != 1 {
			t.Errorf("the next gws knows of %+v, %v", ch, err)
		}
		v.more(10_000)
		v.unbroken()
		p.gng.Signal(syscall.SIGTERM)
		if err := p.gng.Wait(); err != nil {
			t.Errorf("the engine: %v", err)
		}
	})
}

func testEngineReset(t *testing.T) {
	groups := []string{newGroup(), newGroup()}
	p := startDuo(t, "linger: 1h\n")
	var viewers []*viewer
	for _, group := range groups {
		send(t, h264, "udp", group)
		viewers = append(viewers, watchMany(t, p.url("/udp/"+group), 3)...)
	}
	p.gng.Signal(syscall.SIGUSR2)
	for _, v := range viewers {
		_ = v.end()
	}
	p.eventually(func(st report.Status) error {
		if len(st.Engines) != 1 || st.Engines[0].PID != p.gng.PID() || len(st.Engines[0].Channels) > 0 {
			return fmt.Errorf("engines %+v, want one without channels", st.Engines)
		}
		return nil
	})
	for _, group := range groups {
		if n := members(t, group); n != 0 {
			t.Errorf("%d memberships of %s are left", n, group)
		}
	}
	v := watch(t, p.url("/udp/"+groups[0]))
	v.more(10_000)
	v.unbroken()
}

// testEngineBeforeGWS has an engine that finds no gws, and one that does in the end.
func testEngineBeforeGWS(t *testing.T) {
	t.Run("in vain", func(t *testing.T) {
		t.Parallel()
		p := newDuo(t, "reconnect: {attempts: 3, delay: 50ms}\n")
		proc := testkit.Start(t, "strace", "-f", "-qq", "-e", "trace=connect", "-e", "signal=none", "-o", p.path("calls"),
			program(), "gng", "-T", "-C", p.config)
		proc.WaitLine(`level=WARN msg="gws cannot be reached, trying again" .*attempts=3`)
		if err := proc.Wait(); err == nil {
			t.Error("exit code 0")
		}
		proc.WaitLine(`^sluice: gws was not reached in 3 attempts: .*handoff\.socket`)
		if n := strings.Count(readFile(t, p.path("calls")), "handoff.socket"); n != 3 {
			t.Errorf("%d attempts:\n%s", n, readFile(t, p.path("calls")))
		}
	})
	t.Run("in time", func(t *testing.T) {
		t.Parallel()
		p := newDuo(t, "reconnect: {attempts: 100000, delay: 20ms}\n")
		p.startGNG()
		p.gng.WaitLine(`gws cannot be reached, trying again`)
		p.startGWS()
		p.gng.WaitLine(`attached to gws`)
		p.attached(p.gng.PID())
		p.wants(200, "/udp/"+source(t))
	})
}
