package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/flow"
	"sluice/internal/netx"
	"sluice/internal/relay"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// relayText is a configuration with a relay between addresses.
func relayText(listen []string, remote string, more ...string) string {
	return fmt.Sprintf("relay:\n  admin: 127.0.0.1:0\n  drain: 5s\n%s\n  listeners: {web: {listen: ['%s'], pool: p}}\n  pools: {p: {remotes: ['%s']}}\n",
		strings.Join(more, "\n"), strings.Join(listen, "', '"), remote)
}

// relayStatus asks an admin port.
func relayStatus(t *testing.T, url string) (st report.Relay) {
	t.Helper()
	resp, err := http.Get(url + "/status?format=json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		t.Fatal(err)
	}
	return st
}

// The relay alone: it relays, tells of itself and of each session, reads its configuration again and ends.
func TestRelayAlone(t *testing.T) {
	remote, first, second := echoServer(t), testkit.FreePort(t), testkit.FreePort(t)
	dir := runDirOf(t)
	sessions, socket := filepath.Join(filepath.Dir(dir), "sessions"), filepath.Join(filepath.Dir(dir), "web.sock")
	log := "  session_log: {file: " + sessions + "}"
	file := fileWith(t, "sluice.yaml", relayText([]string{first, "unix:" + socket}, remote, log))
	p := sluice(t, roleRelay, "-T", "-C", file, "--run-dir", dir)
	admin := p.WaitLine(`ready.* listen=` + first + `,unix:` + socket + ` admin=(\S+)$`)[1]
	answers(t, "tcp", first)
	answers(t, "unix", socket)
	testkit.Eventually(t, func() error {
		text, err := os.ReadFile(sessions)
		if err == nil && strings.Count(string(text), " cause=") != 2 {
			err = fmt.Errorf("the session log: %s", text)
		}
		return err
	})
	if st := relayStatus(t, admin); st.PID != p.PID() || len(st.Listeners) != 1 || st.Totals.Accepted != 2 {
		t.Errorf("%+v", st)
	}
	other := sluice(t, roleRelay, "-T", "-C", fileWith(t, "sluice.yaml", relayText([]string{"127.0.0.1:0"}, remote)), "--run-dir", dir)
	other.WaitLine(`^sluice: another relay is active in ` + dir + ` \(pid ` + strconv.Itoa(p.PID()) + `\)`)

	write(t, file, relayText([]string{second}, remote, log))
	p.Signal(syscall.SIGHUP)
	answers(t, "tcp", second)
	refuses(t, first)
	write(t, file, "relay: {listeners: {web: {pool: none}}}\n")
	p.Signal(syscall.SIGHUP)
	p.WaitLine(readNot)
	answers(t, "tcp", second)
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Errorf("after TERM: %v", err)
	}
	for _, path := range []string{socket, filepath.Join(dir, relayLock)} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

func TestRelayWithoutListener(t *testing.T) {
	code, _, stderr := call(roleRelay, "-T", "-C", "/dev/null", "--run-dir", runDirOf(t))
	if code != 1 || stderr != "sluice: "+errNoListener.Error()+"\n" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	code, _, stderr = call(roleRelay, "-C", "/dev/null", "-l", "127.0.0.1:1")
	if code != 2 || !strings.Contains(stderr, "-l") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// Sockets of a service manager go by the name that the configuration has for them.
func TestRelayInheritsByName(t *testing.T) {
	l := listenLocal(t).(*net.TCPListener)
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file := fileWith(t, "sluice.yaml", relayText([]string{"inherited:web"}, echoServer(t)))
	cmd := exec.Command(os.Args[0], roleRelay, "-T", "-C", file, "--run-dir", runDirOf(t))
	cmd.Env = append(os.Environ(), asSluice+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, netx.InheritEnv([]string{"web"})...)
	cmd.ExtraFiles = []*os.File{f}
	p := testkit.StartCommand(t, cmd)
	p.WaitLine(`ready.* listen=` + l.Addr().String())
	addr := l.Addr().String()
	l.Close()
	answers(t, "tcp", addr)

	without := sluice(t, roleRelay, "-T", "-C", file, "--run-dir", runDirOf(t))
	without.WaitLine(`^sluice: no socket "web" was inherited`)
}

// `sluice run` has the relay beside gws. Its sockets stay when it dies, new ones come with a reload, and the next run
// waits for those of one that was killed.
func TestRunHasTheRelay(t *testing.T) {
	remote, first, second, dir := echoServer(t), testkit.FreePort(t), testkit.FreePort(t), runDirOf(t)
	file := fileWith(t, "sluice.yaml", relayText([]string{first}, remote))
	p := start(t, dir, "127.0.0.1:0", "127.0.0.1:0", "-C", file)
	admin := p.WaitLine(`relay runs.* listen=` + first + ` admin=(\S+)$`)[1]
	answers(t, "tcp", first)
	was := relayStatus(t, admin).PID
	if lock := strings.TrimSuffix(relayLockOf(was), ".lock"); p.pids()[lock] != was {
		t.Errorf("locks are held by %v, the relay is %d", p.pids(), was)
	}

	write(t, file, relayText([]string{first, second}, remote))
	p.reload(5, readAgain)
	answers(t, "tcp", second)
	if err := syscall.Kill(was, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{first, second} { // nobody is refused
		if got, err := through("tcp", addr, "x"); got != "got x" || err != nil {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
	}
	write(t, file, "engines: 2\n")
	p.reload(5, readAgain)
	p.WaitLine(`in effect only after a restart.* keys=relay`)
	answers(t, "tcp", first)

	write(t, file, relayText([]string{first, second}, remote))
	p.kill("supervisor")
	_ = p.Wait()
	next := start(t, dir, "127.0.0.1:0", "127.0.0.1:0", "-C", file)
	answers(t, "tcp", first)
	next.stop()
	refuses(t, first)
}

// A relay that could not be started keeps `sluice run` from starting, and from taking a configuration: its clients
// would wait in the system's queue without end.
func TestRunWantsCertificatesOfTheRelay(t *testing.T) {
	text := relayText([]string{testkit.FreePort(t)}, echoServer(t))
	bad := strings.Replace(text, "pool:", "tls: {certificates: /nowhere/cert.pem}, pool:", 1)
	said := `sluice\.yaml:\d+:\d+: relay\.listeners\.\w+\.tls\.certificates: .*/nowhere/cert\.pem: no such file`
	file := fileWith(t, "sluice.yaml", bad)
	never := sluice(t, "run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--run-dir", runDirOf(t), "-C", file)
	never.WaitLine(`^sluice: .*` + said)
	if err := never.Wait(); err == nil {
		t.Error("a run without the relay's certificate ended well")
	}

	write(t, file, text)
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0", "-C", file)
	held, err := os.ReadFile(settingsPath(p.dir))
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, bad)
	p.reload(1, readNot)
	p.WaitLine(readNot + `.*` + said)
	if now, err := os.ReadFile(settingsPath(p.dir)); err != nil || string(now) != string(held) {
		t.Errorf("the modules' settings are others now: %s, %v", now, err)
	}
	p.stop()
}

func TestRelayDoors(t *testing.T) {
	addr := func(text string) flow.Addr {
		t.Helper()
		a, err := flow.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	socket := filepath.Join(t.TempDir(), "web.sock")
	conf := func(sockets ...relay.Socket) *relay.Config {
		return &relay.Config{Listeners: []relay.Listener{{Name: "web", Addrs: sockets}}}
	}
	port, file := relay.Socket{Addr: addr("[::1]:0")}, relay.Socket{Addr: addr("unix:" + socket)}
	d := newRelayDoors()
	defer d.close()
	if opened, err := d.open(conf(port, file)); err != nil || len(opened) != 2 {
		t.Fatalf("%q, %v", opened, err)
	}
	names, files := d.all()
	if want := []string{relayDoor("[::1]:0"), relayDoor("unix:" + socket)}; !slices.Equal(names, want) || len(files) != 2 {
		t.Errorf("%q, want %q", names, want)
	}
	child := map[string]*os.File{"other": nil}
	for i, name := range names {
		if strings.Contains(name, ":") {
			t.Errorf("%q cannot stand in LISTEN_FDNAMES", name)
		}
		child[name] = files[i]
	}
	if got := slices.Sorted(maps.Keys(named(child))); !slices.Equal(got, []string{"[::1]:0", "other", "unix:" + socket}) {
		t.Errorf("the child has %q", got)
	}
	taken := relay.Socket{Addr: addr(listenLocal(t).Addr().String())}
	third := relay.Socket{Addr: addr("127.0.0.1:0")}
	if opened, err := d.open(conf(port, third, taken)); err == nil || len(d.sockets) != 2 {
		t.Errorf("an address that is taken: %q, %v, %d sockets", opened, err, len(d.sockets))
	}
	taken.Retry = 1
	if opened, err := d.open(conf(port, third, taken)); err != nil || !slices.Equal(opened, []string{"127.0.0.1:0"}) {
		t.Errorf("one that is tried again: %q, %v", opened, err)
	}
	d.drop(d.gone(conf(port)))
	if _, err := os.Stat(socket); err == nil || len(d.sockets) != 1 {
		t.Errorf("left are %d sockets, and the file: %v", len(d.sockets), err)
	}
}
