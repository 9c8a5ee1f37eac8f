//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// links is a directory with links to the program, called gws and gng.
func links(t *testing.T) (gws, gng string) {
	t.Helper()
	dir := t.TempDir()
	gws, gng = filepath.Join(dir, "gws"), filepath.Join(dir, "gng")
	for _, path := range []string{gws, gng} {
		if err := os.Symlink(program(), path); err != nil {
			t.Fatal(err)
		}
	}
	return gws, gng
}

func testLinksAreModules(t *testing.T) {
	gws, gng := links(t)
	p := newDuo(t, "")
	p.gws = startStopped(t, gws, "-T", "-C", p.config)
	p.gng = startStopped(t, gng, "-T", "-C", p.config)
	p.attached(p.gng.PID())
	p.gws.WaitLine(`msg=ready role=gws listen=http://` + p.user)
	p.gng.WaitLine(`msg="attached to gws" role=gng`)
	if a := request(t, "GET", p.adminURL("/ping")); a.code != 200 {
		t.Errorf("/ping: %d", a.code)
	}
	if strings.Contains(p.gng.Output(), "listen=") {
		t.Errorf("gng listens:\n%s", p.gng.Output())
	}
	p.wants(200, "/udp/"+source(t))
}

// testGuide traces the program: what the kernel was asked tells of sockets.
func testGuide(t *testing.T) {
	testkit.Need(t, "strace")
	gws, gng := links(t)
	calls := filepath.Join(t.TempDir(), "calls")
	trace := func(args ...string) (stdout, stderr string, code int) {
		return output("strace", append([]string{"-f", "-qq", "-e", "trace=socket,socketpair,bind,listen", "-e", "signal=none", "-o", calls}, args...)...)
	}
	for _, module := range []string{gws, gng} {
		guide, _, _ := trace(module, "-h")
		if want := "Usage:\n  sluice " + filepath.Base(module); !strings.Contains(guide, want) {
			t.Errorf("%s -h does not say %q:\n%s", module, want, guide)
		}
		for _, option := range []string{"-h", "-?", "--help", "--options"} {
			stdout, stderr, code := trace(module, option)
			if code != 0 || stdout != guide || stderr != "" {
				t.Errorf("%s %s: exit %d, %q, %q", module, option, code, stdout, stderr)
			}
			if asked := readFile(t, calls); asked != "" {
				t.Errorf("%s %s opens sockets:\n%s", module, option, asked)
			}
		}
	}
	// A start that fails at its port: here sockets are seen.
	trace(gws, "-T", "--run-dir", filepath.Join(shortDir(t), "run"), "--listen", "192.0.2.1:1")
	if asked := readFile(t, calls); !strings.Contains(asked, "bind(") {
		t.Errorf("sockets are not seen:\n%q", asked)
	}
}

// defaultPorts are of one test at a time.
var defaultPorts sync.Mutex

// ofDefaults is what is reached at the default ports.
func ofDefaults(t *testing.T) *product {
	t.Helper()
	defaultPorts.Lock()
	t.Cleanup(defaultPorts.Unlock)
	return &product{t: t, user: "127.0.0.1:4046", admin: "127.0.0.1:4047", web: http.DefaultClient, engines: 1}
}

// testNoOptions starts the modules as a user other than root does: what root starts without
// an option is a daemon, which needs a log file (line 9).
func testNoOptions(t *testing.T) {
	p := ofDefaults(t)
	m := newMachine(t)
	testkit.NeedUsers(t)
	nobody := []string{"--reuid=65534", "--regid=65534", "--clear-groups"}
	m.sh(`mkdir -m 700 /run/nobody; chown 65534:65534 /run/nobody`)
	m.put("/run/start", "cd /run/nobody; XDG_RUNTIME_DIR=/run/nobody exec $0\n")
	gws := m.start("setpriv", append(nobody, "sh", "-c", ". /run/start", "gws")...)
	gws.WaitLine(`no configuration file: defaults`)
	gws.WaitLine(`ready.* listen=http://127.0.0.1:4046 admin=http://127.0.0.1:4047`)
	gng := m.start("setpriv", append(nobody, "sh", "-c", ". /run/start", "gng")...)
	gng.WaitLine(`no configuration file: defaults`)
	p.eventually(func(st report.Status) error {
		if len(st.Engines) != 1 || st.Engines[0].PID != gng.PID() {
			return fmt.Errorf("engines %+v", st.Engines)
		}
		return nil
	})
	p.wants(200, "/udp/"+source(t))
	stopNow(t, gws, syscall.SIGTERM)
	if err := gng.Wait(); err != nil {
		t.Errorf("gng: %v", err)
	}
}

func testVersionLine(t *testing.T) {
	gws, gng := links(t)
	for _, module := range []string{gws, gng} {
		stdout, stderr, code := output(module, "-V")
		if code != 0 || stderr != "" || !regexp.MustCompile(`^sluice \S+ \(go\S+, linux/\w+\)\n$`).MatchString(stdout) {
			t.Errorf("%s -V: exit %d, %q, %q", module, code, stdout, stderr)
		}
	}
}

// testOnlyThatFile has files in all places that are looked at without -C.
func testOnlyThatFile(t *testing.T) {
	m := newMachine(t)
	elsewhere := freePort(t)
	for _, name := range []string{"gws", "gng", "gigapxy"} {
		m.put("/etc/"+name+".conf", fmt.Sprintf("run_dir = \"/run/wrong\"; admin = %q; no_data = \"3s\"; reconnect = { attempts = 1; }\n", elsewhere))
	}
	p := newDuo(t, "")
	for _, module := range []string{"gws", "gng"} {
		said, code := m.run(module, "-T", "-C", "/etc/missing.conf")
		if code != 1 || said != "sluice: configuration: open /etc/missing.conf: no such file or directory\n" {
			t.Errorf("%s without its file: exit %d, %q", module, code, said)
		}
		proc := m.start(module, "-T", "-C", p.config, "-v")
		proc.WaitLine(`configuration read.* file=` + p.config)
		said, code = m.run(program(), "check", "-C", p.config, "--for", module)
		if code != 0 || !regexp.MustCompile(`(?m)^no_data +default +5s$`).MatchString(said) {
			t.Errorf("%s: exit %d, no_data is not the default one:\n%s", module, code, said)
		}
		defer proc.Signal(syscall.SIGTERM)
	}
	p.eventually(oneEngine)
	if _, err := os.Stat(m.path("/run/wrong")); err == nil {
		t.Error("another file was read: its run_dir is there")
	}
}

// testWhichFile has a file in every place, and takes the one away that won.
func testWhichFile(t *testing.T) {
	for _, module := range []string{"gws", "gng", "run"} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			for _, dir := range []string{"/run/here", "/usr/local/etc"} {
				m.sh(`mkdir -p "$1"`, dir)
			}
			names := []string{"sluice.yaml", "sluice.conf", "gigapxy.conf"}
			if module != "run" {
				names = append([]string{module + ".conf"}, names...)
			}
			var places []string
			for _, name := range names {
				for _, dir := range []string{"/run/here", "/etc", "/usr/local/etc"} {
					path := filepath.Join(dir, name)
					places = append(places, path)
					m.put(path, settingsIn(t, path, fmt.Sprint(len(places))))
				}
			}
			for i, path := range places {
				what := []string{module, "-T"}
				if module == "run" {
					what = []string{"run"}
				}
				m.put("/run/start", "cd /run/here && exec sluice \"$@\"\n")
				proc := m.start("sh", append([]string{"-c", `. /run/start`, "sh"}, what...)...)
				log := m.path(fmt.Sprintf("/run/log-%d", i+1)) // it is named by the file
				awaitLog(t, log, `configuration read file=`+strings.TrimPrefix(path, "/run/here/")+"\n")
				stopNow(t, proc, syscall.SIGTERM)
				m.sh(`rm "$1"`, path)
			}
		})
	}
}

// settingsIn is a configuration in the format of a file's name.
func settingsIn(t *testing.T, path, number string) string {
	t.Helper()
	user, admin := freePort(t), freePort(t)
	format := "listen: %q\nadmin: %q\nengines: 1\nrun_dir: /run/%[3]s\nlog: {file: /run/log-%[3]s}\n"
	if strings.HasSuffix(path, ".conf") {
		format = "listen = %q; admin = %q; engines = 1; run_dir = \"/run/%[3]s\"; log : { file = \"/run/log-%[3]s\"; };\n"
	}
	return fmt.Sprintf(format, user, admin, number)
}

func testOptionsBeatTheFile(t *testing.T) {
	for _, module := range []string{"gws", "gng"} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			p := newDuo(t, "reconnect: {attempts: 1000, delay: 20ms}\n")
			args := []string{"-l", p.path("yes.log"), "-p", p.path("yes.pid"), "-w", p.path("yes.socket"), "-C", p.path("no.yaml")}
			put(t, args[len(args)-1], readFile(t, p.config)+
				fmt.Sprintf("log: {file: %s}\npid_file: %s\nsocket: %s\n", p.path("no.log"), p.path("no.pid"), p.path("no.socket")))
			proc := startModule(t, module, args...)
			awaitLog(t, p.path("yes.log"), module+`: ready`)
			switch module { // the other one is at that socket
			case "gws":
				p.startGNG("-w", p.path("yes.socket"))
				p.attached(p.gng.PID())
			case "gng":
				p.startGWS("-w", p.path("yes.socket"))
				p.attached(proc.PID())
			}
			if text := readFile(t, p.path("yes.pid")); text != fmt.Sprintf("%d\n", proc.PID()) {
				t.Errorf("pid file: %q, want that of %d", text, proc.PID())
			}
			if left, _ := filepath.Glob(p.path("no.[lps]*")); len(left) > 0 {
				t.Errorf("the file was heard: %q", left)
			}
		})
	}
}

// testOneFileForBoth has in each module's section what the other would not start with.
func testOneFileForBoth(t *testing.T) {
	p := newDuo(t, "")
	config := func(ws, ng string) string {
		return put(t, p.path("gigapxy.conf"), fmt.Sprintf(`listen = %q; admin = %q; run_dir = %q;
ws : { ng : { socket_path = %q; pick_method = %q; }; log : { level_default = "info"; file = %q; }; };
ng : { ng_socket_path = %[4]q; log : { level_default = %[7]q; file = %[8]q; }; };
`, p.user, p.admin, p.dir, p.path("one.socket"), ws, p.path("gws.log"), ng, p.path("gng.log")))
	}
	p.gws = startModule(t, "gws", "-C", config("min-clients", "loud"))
	awaitLog(t, p.path("gws.log"), `gws: ready`)
	p.gng = startModule(t, "gng", "-C", config("by-luck", "debug"))
	p.attached(p.gng.PID())
	awaitLog(t, p.path("gng.log"), `gng: attached to gws`)

	for _, c := range []struct{ module, ws, ng, want string }{
		{"gws", "by-luck", "debug", `:2:\d+: .*by-luck`},
		{"gng", "min-clients", "loud", `:3:\d+: .*loud`},
	} {
		file := config(c.ws, c.ng)
		_, stderr, code := output(program(), c.module, "-T", "-C", file)
		if code != 1 || !regexp.MustCompile(regexp.QuoteMeta(file)+c.want).MatchString(stderr) {
			t.Errorf("%s, whose own section is wrong: exit %d, %s", c.module, code, stderr)
		}
	}
}
