package app

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/process"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// write makes or changes a file.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload asks the program to read its file again, and waits until as many processes as
// there are have said the words.
func (p *program) reload(processes int, words string) {
	p.t.Helper()
	re := regexp.MustCompile(`msg="` + words)
	before := len(re.FindAllString(p.Output(), -1))
	p.Signal(syscall.SIGHUP)
	testkit.Eventually(p.t, func() error {
		if n := len(re.FindAllString(p.Output(), -1)) - before; n != processes {
			return fmt.Errorf("%d processes have said %q, want %d", n, words, processes)
		}
		return nil
	})
}

const (
	readAgain = "configuration read again"
	readNot   = "configuration not read again"
)

// packets is a source on TCP of transport packets that are numbered; it ends with the test.
func packets(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	done := make(chan struct{})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { sendPackets(c, done) })
		}
	})
	t.Cleanup(func() {
		close(done)
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// sendPackets sends packets, a hundred in each tenth of a second, until done is closed.
func sendPackets(c net.Conn, done <-chan struct{}) {
	defer c.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := uint64(0); ; {
		var b []byte
		for range 100 {
			packet := make([]byte, 188)
			copy(packet, []byte{0x47, 0x01, 0x00, 0x10 | byte(n%16)})
			binary.BigEndian.PutUint64(packet[4:], n)
			b = append(b, packet...)
			n++
		}
		if _, err := c.Write(b); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// inOrder reads packets until the connection ends, and says which one is not the next.
func inOrder(r io.Reader, count *atomic.Int64) error {
	in := bufio.NewReader(r)
	packet := make([]byte, 188)
	for n := uint64(0); ; n++ {
		if _, err := io.ReadFull(in, packet); err != nil {
			return err
		}
		number := binary.BigEndian.Uint64(packet[4:])
		if n == 0 {
			n = number
		}
		if packet[0] != 0x47 || number != n {
			return fmt.Errorf("packet %d in place of %d", number, n)
		}
		count.Add(1)
	}
}

// get asks for a stream or whatever else; the answer is closed with the test.
func get(t *testing.T, url string) *http.Response {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// codeOf is the status that a HEAD for url gets: it opens nothing.
func codeOf(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Head(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Acceptance 24: twenty reloads, each of which changes something, and nobody notices who
// watches or comes.
func TestAcceptance24ReloadsDisturbNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	channel := "channels: {news: {source: 'tcp://" + packets(t) + "', start: live}}\n"
	write(t, file, channel)
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0", "-C", file)

	var watched atomic.Int64 // packets
	goesOn := func() {
		t.Helper()
		before := watched.Load()
		testkit.Eventually(t, func() error {
			if watched.Load() == before {
				return errors.New("who watches gets nothing")
			}
			return nil
		})
	}
	ended := make(chan error, 1)
	resp := get(t, p.user+"/$news")
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	go func() { ended <- inOrder(resp.Body, &watched) }()
	for i := range 20 {
		goesOn()
		write(t, file, channel+fmt.Sprintf("limits: {clients: %d}\n", 1000+i))
		p.reload(4, readAgain)
		if other := get(t, p.user+"/$news"); other.StatusCode != http.StatusOK {
			t.Errorf("who came after reload %d got %s", i, other.Status)
		}
	}
	p.WaitLine(readAgain + `" role=run .*changed=limits.clients$`)
	goesOn()
	select {
	case err := <-ended:
		t.Fatalf("the client that watched: %v", err)
	default:
	}
	resp.Body.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "closed") {
		t.Errorf("the client that watched: %v", err)
	}
	p.stop()
}

// Acceptance 25: what is wrong with a file is said with its place, in one line, and what
// held still holds.
func TestAcceptance25BrokenFiles(t *testing.T) {
	for _, ext := range []string{".yaml", ".conf"} {
		files, err := filepath.Glob("../config/testdata/bad/*" + ext)
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		file := filepath.Join(t.TempDir(), "sluice"+ext)
		write(t, file, "")
		p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0", "-C", file)
		held, err := os.ReadFile(settingsPath(p.dir))
		if err != nil {
			t.Fatal(err)
		}
		for i, bad := range files {
			text, err := os.ReadFile(bad)
			if err != nil {
				t.Fatal(err)
			}
			said, err := os.ReadFile(strings.TrimSuffix(bad, ext) + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			write(t, file, string(text))
			p.reload(1, readNot)
			place := regexp.MustCompile(`:\d+:\d+: `).FindString(string(said))
			lines := regexp.MustCompile(`(?m)^.*`+readNot+`.*$`).FindAllString(p.Output(), -1)
			if line := lines[i]; place == "" || !strings.Contains(line, file+place) {
				t.Errorf("%s: %s, want %s%s", bad, line, file, place)
			}
		}
		if now, err := os.ReadFile(settingsPath(p.dir)); err != nil || string(now) != string(held) {
			t.Errorf("the modules' settings are others now: %s, %v", now, err)
		}
		if strings.Contains(p.Output(), readAgain) {
			t.Error("a module has read a broken file")
		}
		p.stop()
	}
}

// What wants a restart is told of, and what is started again later has what held before.
func TestReloadOfWhatWantsARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	write(t, file, "udpxy: false\n")
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0", "-C", file)
	write(t, file, "udpxy: true\ninterface: eth17\nreconnect: {attempts: 7}\n")
	p.reload(4, readAgain)
	p.WaitLine(`level=WARN msg="changed, but in effect only after a restart" role=run keys="interface, reconnect.attempts"`)
	p.WaitLine(readAgain + `" role=run .*changed=udpxy$`)
	text, err := os.ReadFile(settingsPath(p.dir))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("settings", text, config.GWS)
	if err != nil || !c.Udpxy || c.Interface != "" || c.Reconnect.Attempts != 60 {
		t.Errorf("%s, %v", text, err)
	}
	p.kill("gws")
	p.WaitLine(`process ended, starting it again.* process=gws`)
	p.eventually(func(st report.Status) error {
		if len(st.Engines) != 2 {
			return fmt.Errorf("%d engines", len(st.Engines))
		}
		return nil
	})
	if code := codeOf(t, p.user+"/status"); code != http.StatusOK {
		t.Errorf("gws that was started again does not know the new setting: %d", code)
	}
	p.stop()
}

// Lists of channels and files of rights are read again with the configuration; a list also
// when it has changed, and what it had stays when it is broken.
func TestReloadOfListsAndRights(t *testing.T) {
	dir := t.TempDir()
	own := func(name string) string { return filepath.Join(dir, name) }
	write(t, own("channels.conf"), "one udp://239.1.1.1:5000\n")
	write(t, own("tokens"), "a secret-a\n")
	write(t, own("sluice.yaml"), "channels_file: ["+own("channels.conf")+"]\nauth: {tokens: "+own("tokens")+"}\n")
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0", "-C", own("sluice.yaml"))
	want := func(code int, path string) {
		t.Helper()
		if got := codeOf(t, p.user+path); got != code {
			t.Errorf("%s: %d, want %d", path, got, code)
		}
	}
	want(http.StatusOK, "/$one?token=secret-a")
	want(http.StatusNotFound, "/$two?token=secret-a")
	want(http.StatusForbidden, "/$one?token=secret-b")

	write(t, own("channels.conf"), "one udp://239.1.1.1:5000\ntwo udp://239.1.1.2:5000\n") // without a signal
	p.WaitLine(`list of channels read" role=gws file=\S+ channels=2`)
	want(http.StatusOK, "/$two?token=secret-a")

	write(t, own("tokens"), "b secret-b\n")
	write(t, own("channels.conf"), "one udp://239.1.1.1:5000\ntwo nonsense\n")
	p.reload(4, readAgain)
	p.WaitLine(`list of channels not read: .* error="` + own("channels.conf") + `:2:\d+: `)
	want(http.StatusOK, "/$two?token=secret-b")
	want(http.StatusForbidden, "/$one?token=secret-a")

	if err := os.Remove(own("tokens")); err != nil {
		t.Fatal(err)
	}
	p.reload(1, readNot)
	want(http.StatusOK, "/$one?token=secret-b")
	p.stop()
}

// A channel of a list that the configuration has as well is a mistake: nothing changes.
func TestReloadOfNamesThatAreThereTwice(t *testing.T) {
	dir := t.TempDir()
	list, file := filepath.Join(dir, "channels.conf"), filepath.Join(dir, "sluice.yaml")
	write(t, list, "one udp://239.1.1.1:5000\n")
	write(t, file, "channels_file: ["+list+"]\n")
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0", "-C", file)
	write(t, file, "channels_file: ["+list+"]\nudpxy: true\nchannels: {one: {source: udp://239.1.1.9:5000}}\n")
	p.Signal(syscall.SIGHUP)
	p.WaitLine(readNot + `.* role=gws error="channel one is there twice: in \S+ and in \S+"`)
	if code := codeOf(t, p.user+"/status"); code == http.StatusOK {
		t.Error("half of the configuration is in use")
	}
	if code := codeOf(t, p.user+"/$one"); code != http.StatusOK {
		t.Errorf("the channel of the list: %d", code)
	}
	p.stop()
}

// Modules alone read their own files.
func TestModulesAloneReadTheirFiles(t *testing.T) {
	dir, file := moduleDir(t, "")
	common := []string{"-T", "-C", file, "--run-dir", filepath.Join(dir, "run")}
	gws := sluice(t, append([]string{"gws"}, common...)...)
	gws.WaitLine(`ready`)
	gng := sluice(t, append([]string{"gng"}, common...)...)
	gws.WaitLine(`engine attached`)
	write(t, file, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:1\nallow: [10.0.0.0/8]\nlog: {level: debug}\n")
	for role, p := range map[string]*testkit.Proc{"gws": gws, "gng": gng} {
		p.Signal(syscall.SIGHUP)
		p.WaitLine(readAgain + `" role=` + role + ` .*file=` + file + ` changed="allow, log.level"`)
		p.WaitLine(`in effect only after a restart" role=` + role + ` .*keys=admin`)
	}
	gws.Signal(syscall.SIGTERM) // and it ends its engine
	for _, p := range []*testkit.Proc{gws, gng} {
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// What came by the standard input cannot be read again, and is not lost.
func TestReloadOfStandardInput(t *testing.T) {
	s := &settings{role: config.GWS, file: config.Stdin}
	c := config.Default()
	if _, err := s.again(&c); err == nil {
		t.Error("it was read again")
	}
}

// An engine that was taken over reads what its new supervisor says.
func TestTakenOverEnginesReadTheSettings(t *testing.T) {
	dir := runDirOf(t)
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	log := testLog(t, file+".log")
	run := func(stall string) *program {
		write(t, file, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nengines: 1\nstall: "+stall+"\n")
		return &program{t: t, dir: dir, Proc: sluice(t, "run", "-C", file, "--run-dir", dir, "-l", file+".log")}
	}
	p := run("7s")
	t.Cleanup(p.killAll)
	log.wait(`engine attached engine=1`)
	p.kill("supervisor")
	_ = p.Wait()
	next := run("8s")
	log.wait(`NORM  gng: ` + readAgain + ` engine=1 .*changed=stall`)
	next.Signal(syscall.SIGTERM)
	if err := next.Wait(); err != nil {
		t.Error(err)
	}
}

// everybodys is a copy of this program in dir that every user may run.
func everybodys(t *testing.T, dir string) (path string) {
	t.Helper()
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "sluice")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Started by root, sluice run and its modules go on as the user of the configuration.
func TestRunAsAnotherUser(t *testing.T) {
	testkit.NeedRoot(t)
	dir, file := moduleDir(t, "user: nobody\nengines: 1\n")
	own := func(name string) string { return filepath.Join(dir, "own", name) }
	args := []string{"run", "-C", file, "--run-dir", own("run"), "-l", own("log/sluice.log"), "-p", own("sluice.pid")}
	if code, said := once(t, args...); code != 1 || !strings.Contains(said, "permission denied (user 65534 must be able to run it)") {
		t.Errorf("a program that nobody may run but root: exit %d, %s", code, said)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	p := sluiceAt(t, everybodys(t, dir), args...)
	log := testLog(t, own("log/sluice.log"))
	log.wait(`WARN  run: configuration cannot be read again: this user has no right to it file=` + file)
	log.wait(`NORM  gws: engine attached engine=1`)
	for _, lock := range []string{supervisorLock, gwsLock, "engine-1.lock"} {
		pid, err := process.Holder(filepath.Join(own("run"), lock))
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil || !strings.Contains(string(status), "\nUid:\t65534\t65534\t65534\t65534\n") {
			t.Errorf("%s is held by %d, which is not nobody: %s, %v", lock, pid, status, err)
		}
	}
	p.Signal(syscall.SIGHUP)
	log.wait(`ERROR run: ` + readNot + `.*permission denied`)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGHUP)
	log.wait(`NORM  gng: ` + readAgain)
	p.Signal(syscall.SIGUSR1)
	testkit.Eventually(t, func() error {
		_, err := os.Stat(own("log/sluice.log.1"))
		return err
	})
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Errorf("after TERM: %v", err)
	}
	if left, err := os.ReadDir(own("run")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What is odd in a configuration is told by the process that has read it, not once more by each of its modules.
func TestWarningsAreToldOnce(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]bool{"sluice.yaml": true, settingsFile: false} {
		file := filepath.Join(dir, name)
		text := "run_dir: " + dir + "\norigin: {rdirs: [/srv/live], users: /etc/users}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(file, config.Run)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		tellWarnings(logs.New(&log, "test", slog.LevelInfo), &c)
		if got := strings.Contains(log.String(), "no file of rules names them"); got != want {
			t.Errorf("%s: %q", name, log.String())
		}
	}
}
