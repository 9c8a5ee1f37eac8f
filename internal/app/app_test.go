package app

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/gws"
)

func TestWords(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"sluice run", "run"},
		{"/usr/bin/sluice run -v", "run -v"},
		{"sluice", ""},
		{"gws --listen :1", "gws --listen :1"},
		{"/opt/sluice/bin/gng --id 2", "gng --id 2"},
		{"gngs run", "run"},
		{"", ""},
	} {
		if got := strings.Join(words(strings.Fields(c.args)), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

// call runs a command line that starts nothing.
func call(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestIssue1WrongWordsGetOneLineAndExit2(t *testing.T) {
	for line, want := range map[string]string{
		"rum":                                   `unknown command "rum", did you mean run? (see: sluice -h)`,
		"elephant":                              `unknown command "elephant" (see: sluice -h)`,
		"--colour":                              `unknown flag: --colour (see: sluice -h)`,
		"run --listn :1":                        `unknown flag: --listn, did you mean --listen? (see: sluice run -h)`,
		"run -x":                                `unknown shorthand flag: 'x' in -x (see: sluice run -h)`,
		"run -m eth1":                           `unknown shorthand flag: 'm' in -m: udpxy's is --interface IF (see: sluice run -h)`,
		"run -Sm eth1":                          `unknown shorthand flag: 'S' in -Sm (see: sluice run -h)`,
		"gws -m eth1":                           `unknown shorthand flag: 'm' in -m (see: sluice gws -h)`,
		"run -p 4022":                           `-p is the file for the process id: want --listen :4022 for that port, or -p ./4022 (see: sluice run -h)`,
		"run --listen":                          `flag needs an argument: --listen (see: sluice run -h)`,
		"run now":                               `run takes no argument, got "now" (see: sluice run -h)`,
		"run --engines many":                    `bad number "many": want 0 to 64 (see: sluice run -h)`,
		"demo --listen 4046":                    `write ":4046" for that port on all addresses (see: sluice demo -h)`,
		"gng --id ../x":                         `bad --id "../x": want letters and digits, 32 at most (see: sluice gng -h)`,
		"gng --pin -1":                          `bad --pin -1: want the number of a CPU, 0 or more (see: sluice gng -h)`,
		"run --spread anyhow":                   `bad spread "anyhow": want round-robin, min-channels or min-clients (see: sluice run -h)`,
		"run --pin=2":                           `bad value "2": want true or false (see: sluice run -h)`,
		"run --split-channel":                   `unknown flag: --split-channel, did you mean --split-channels? (see: sluice run -h)`,
		"gws --id 1":                            `unknown flag: --id (see: sluice gws -h)`,
		"version 2":                             `version takes no argument, got "2" (see: sluice version -h)`,
		"help prob":                             `unknown command "prob", did you mean probe? (see: sluice -h)`,
		"send":                                  `send wants a FILE, or - for standard input (see: sluice send -h)`,
		"send a b":                              `send takes one argument, got "b" as well (see: sluice send -h)`,
		"send a":                                `send wants --to udp://GROUP:PORT (see: sluice send -h)`,
		"send a --to tcp://10.0.0.1:1":          `--to: want udp://ADDRESS:PORT or rtp://ADDRESS:PORT (see: sluice send -h)`,
		"send - --loop --to udp://10.0.0.1:1":   `--loop needs a file: the standard input cannot begin again (see: sluice send -h)`,
		"send a --bitrate fast":                 `want bits a second, such as 8M or 500k, up to 8G (see: sluice send -h)`,
		"send a --to udp://10.0.0.1:1 --drop 1": `--drop 1: want 2 or more (every Nth datagram) (see: sluice send -h)`,
		"probe tcp://10.0.0.1:1":                `(see: sluice probe -h)`,
		"probe":                                 `probe wants a URL: http://…, udp://GROUP:PORT or rtp://GROUP:PORT (see: sluice probe -h)`,
		"probe udp://10.0.0.1:1 --duration 0s":  `bad --duration 0s: want more than 0 (see: sluice probe -h)`,
	} {
		code, stdout, stderr := call(strings.Fields(line)...)
		if code != 2 || stdout != "" {
			t.Errorf("sluice %s: exit %d, stdout %q", line, code, stdout)
		}
		if !strings.HasPrefix(stderr, "sluice: ") || !strings.HasSuffix(stderr, want+"\n") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("sluice %s:\ngot  %swant one line with %s", line, stderr, want)
		}
	}
}

func TestFailuresGetOneLineAndExit1(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("engines: 2\nlinger: 10\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "-C", filepath.Join(dir, "none.yaml")}, "no such file"},
		{[]string{"run", "-C", bad}, bad + `:2:9: linger: "10" has no unit`},
		{[]string{"run", "-C", "/dev/null", "--run-dir", bad}, "--run-dir"},
		{[]string{"gng", "-T", "-C", "/dev/null", "--run-dir", dir, "--pin", "1000"}, "pin to CPU 1000: no such CPU for this process (it may use "},
		{
			[]string{"gws", "-T", "-C", "/dev/null", "--run-dir", dir, "--listen", taken.Addr().String()},
			"user port: listen on tcp " + taken.Addr().String(),
		},
		{[]string{"send", filepath.Join(dir, "none.ts"), "--to", "udp://127.0.0.1:1"}, "no such file"},
	} {
		code, stdout, stderr := call(c.args...)
		if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "sluice: ") || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit %d, stdout %q, stderr %q; want %q", c.args, code, stdout, stderr, c.want)
		}
	}
}

func TestEveryCommandTeaches(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if cmd.Hidden || cmd.Name() == "help" {
			continue
		}
		code, stdout, stderr := call(cmd.Name(), "-h")
		if code != 0 || stderr != "" {
			t.Errorf("sluice %s -h: exit %d, %s", cmd.Name(), code, stderr)
		}
		if cmd.Name() != "version" && !strings.Contains(stdout, "Examples:\n  sluice "+cmd.Name()) {
			t.Errorf("sluice %s -h has no example:\n%s", cmd.Name(), stdout)
		}
		if _, help, _ := call("help", cmd.Name()); help != stdout {
			t.Errorf("sluice help %s differs from -h:\n%s", cmd.Name(), help)
		}
	}
	code, alone, _ := call()
	if code != 0 || !strings.Contains(alone, "Available Commands:") {
		t.Errorf("sluice alone: exit %d, %s", code, alone)
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := call("version")
	if code != 0 || !strings.HasPrefix(stdout, "sluice "+build()+" (go") || build() == "" {
		t.Errorf("exit %d, %q", code, stdout)
	}
}

func TestFlagsBeatTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte("listen: :1\nadmin: :2\nengines: 3\npin: true\nsocket: /s\npid_file: /q\nlog: {level: error, file: /m}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(args ...string) config.Config {
		t.Helper()
		cmd := &cobra.Command{Use: "test"}
		s := addSettings(cmd, config.Run, "listen", "admin", "engines", "spread", "split_channels", "pin", "interface", "log.file", "pid_file", "socket")
		if err := cmd.ParseFlags(append([]string{"-C", path}, args...)); err != nil {
			t.Fatal(err)
		}
		c, err := s.load()
		if err != nil || c.File() != path {
			t.Fatalf("from %q: %v", c.File(), err)
		}
		return c
	}
	c := load("--admin", ":5", "--run-dir", "/r", "-vv")
	if c.Listen[0].Address != ":1" || c.Admin.Address != ":5" || c.Engines != 3 || c.RunDir != "/r" || c.Log.Level != slog.LevelDebug {
		t.Errorf("%+v", c)
	}
	if c.SplitChannels || c.Spread != gws.RoundRobin || !c.Pin {
		t.Errorf("without flags for it: %+v", c)
	}
	if c := load("--split-channels", "--spread", "min-clients", "--pin=false"); !c.SplitChannels || c.Spread != gws.MinClients || c.Pin {
		t.Errorf("%+v", c)
	}
	if c := load("--quiet"); c.Log.Level != slog.LevelError {
		t.Errorf("--quiet makes the log louder than the file: %v", c.Log.Level)
	}
	c = load("-l", "/l", "-p", "/p", "-w", "/w")
	if c.Log.File != "/l" || c.PIDFile != "/p" || c.SocketPath() != "/w" || c.From("log.file").String() != "--logfile" {
		t.Errorf("%+v", c)
	}
	if c := load("--engines", "0"); c.Engines != 0 {
		t.Errorf("--engines 0 does not beat the file: %d", c.Engines)
	}
}

func TestVisit(t *testing.T) {
	for addr, want := range map[string]string{
		":4046": "http://127.0.0.1:4046", "0.0.0.0:1": "http://127.0.0.1:1", "[::]:1": "http://127.0.0.1:1",
		"10.0.0.1:80": "http://10.0.0.1:80", "[::1]:80": "http://[::1]:80", "name:80": "http://name:80",
	} {
		if got := visit(addr, false); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
		if got, want := visit(addr, true), strings.Replace(want, "http:", "https:", 1); got != want {
			t.Errorf("%s over TLS: %s, want %s", addr, got, want)
		}
	}
}

// listenLocal is a listener whose port does not matter.
func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestInheritedDoors(t *testing.T) {
	third, first := listenLocal(t), listenLocal(t)
	d := &doors{}
	if err := d.put(userDoor(2), third); err != nil {
		t.Error(err)
	}
	if err := d.put(doorUser, first); err != nil {
		t.Error(err)
	}
	if len(d.users) != 3 || d.users[0] != first || d.users[1] != nil || d.users[2] != third {
		t.Errorf("TCP listeners as user ports: %v", d.users)
	}
	for _, name := range []string{doorHandoff, "something", "user.", "user.x", "user.0", "user.-1", "user.1000"} {
		l := listenLocal(t)
		if err := d.put(name, l); err == nil {
			t.Errorf("a TCP listener was taken for %s", name)
		}
		if _, err := l.Accept(); err == nil {
			t.Errorf("what is of no use (%s) was left open", name)
		}
	}
	one := config.Default()
	if err := d.openPorts(&one); err == nil {
		t.Error("three ports were inherited for one that is configured")
	}
	d.close()
	if _, err := first.Accept(); err == nil {
		t.Error("close has left the user port open")
	}
}
