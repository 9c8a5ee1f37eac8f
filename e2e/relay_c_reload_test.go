//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// testTcprelaySCTP: where the kernel has no SCTP, that listener and that remote are in the log, and
// everything else goes on. SCTP itself is TestAcceptance45SCTP of internal/sctptest, in a
// virtual machine.
func testTcprelaySCTP(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err == nil {
		unix.Close(fd)
	}
	remote, door, sctp := newRemote(t, echoes), freePort(t), freePort(t)
	file := tcprelayFile(tcprelayListen(sctp, "protocol = SCTP")+tcprelayListen(door),
		tcprelayRemote(freePort(t), "protocol = SCTP")+tcprelayRemote(remote.addr))
	p := startTcprelay(t, file)
	c := call(t, door)
	says(t, c, "by TCP")
	hears(t, c, "by TCP")
	const none = `this system has no SCTP \(on Linux it is a module of the kernel: .modprobe sctp.\)`
	if err != nil {
		p.WaitLine(`level=ERROR msg="listener down".* listen=sctp://` + regexp.QuoteMeta(sctp) + ` error=.*` + none)
		p.WaitLine(`msg="remote ejected".* remote=sctp://.*` + none)
	} else {
		p.WaitLine(`msg="listener up".* listen=sctp://` + regexp.QuoteMeta(sctp))
	}
}

// What a tcprelay says when it has read its file again, and when it has not.
var (
	tcprelayRereadLine = regexp.MustCompile(`(?m)^.*msg="configuration in use".*$`)
	tcprelayKeptLine   = regexp.MustCompile(`(?m)^.*msg="configuration not read again.*$`)
)

// tcprelayed is a `sluice tcprelay` whose file changes.
type tcprelayed struct {
	t    *testing.T
	proc *testkit.Proc
	path string
}

func startTcprelayed(t *testing.T, file string, args ...string) *tcprelayed {
	t.Helper()
	r := &tcprelayed{t: t, path: put(t, filepath.Join(shortDir(t), "tcprelay.cfg"), file)}
	r.proc = startRelayOf(t, append(append([]string{"tcprelay", "-f", "-D"}, args...), r.path)...)
	r.proc.WaitLine(`msg=ready`)
	return r
}

// reread has it read another file and waits until it has said one more line like that.
func (r *tcprelayed) reread(file string, line *regexp.Regexp) (said string) {
	r.t.Helper()
	before := len(line.FindAllString(r.proc.Output(), -1))
	put(r.t, r.path, file)
	r.proc.Signal(syscall.SIGHUP)
	testkit.Eventually(r.t, func() error {
		all := line.FindAllString(r.proc.Output(), -1)
		if len(all) <= before {
			return fmt.Errorf("no line like %s after HUP:\n%s", line, r.proc.Output())
		}
		said = all[len(all)-1]
		return nil
	})
	return said
}

// testTcprelayReloads is line 46 with a master and its worker, and with one process.
func testTcprelayReloads(t *testing.T) {
	t.Run("two processes", func(t *testing.T) { t.Parallel(); testReloads(t, 10_000) })
	t.Run("-1", func(t *testing.T) { t.Parallel(); testReloads(t, 2_000, "-1") })
}

// testReloads has clients come all the time while the file is read again and again: with another
// remote, with a listener more, and with mistakes. Nobody may be refused, and every client is
// served to the end.
func testReloads(t *testing.T, clients int64, args ...string) {
	a, b := newRemote(t, echoes), newRemote(t, echoes)
	door, second := freePort(t), freePort(t)
	files := []string{
		tcprelayFile(tcprelayListen(door), tcprelayRemote(a.addr)),
		tcprelayFile(tcprelayListen(second)+tcprelayListen(door), "idle timeout = 3600\n"+tcprelayRemote(b.addr)),
	}
	r := startTcprelayed(t, files[0], args...)
	old := call(t, door)
	says(t, old, "at the start")
	hears(t, old, "at the start")

	come := newThrong(door, 4)
	times := 0
	for ; times < 4 || come.served.Load() < clients; times++ {
		r.reread(files[(times+1)%2], tcprelayRereadLine)
		if times%3 == 0 {
			said := r.reread("id = spawnd { listen = { port = 1 }\n}\nid = tcprelay {\n nonsense\n}\n", tcprelayKeptLine)
			if !regexp.MustCompile(regexp.QuoteMeta(r.path) + `:4: 'nonsense' unexpected`).MatchString(said) {
				t.Errorf("about a file with a mistake: %s", said)
			}
		}
	}
	if err := come.wait(); err != nil {
		t.Errorf("during %d reloads: %v", times, err)
	}
	if a.calls.Load() == 0 || b.calls.Load() == 0 {
		t.Errorf("%d reloads; %d clients at one remote and %d at the other", times, a.calls.Load(), b.calls.Load())
	}
	r.reread(files[0], tcprelayRereadLine)
	refusesSoon(t, second)
	says(t, old, "at the end")
	hears(t, old, "at the end")
	t.Logf("%d reloads", times)
}

// throng are clients that come one after the other, several at once.
type throng struct {
	served atomic.Int64 // or not: whoever has come and gone
	over   atomic.Bool  // nobody comes any more
	wg     sync.WaitGroup
	mu     sync.Mutex
	errs   []error // guarded by mu
}

func newThrong(addr string, atOnce int) *throng {
	th := &throng{}
	for range atOnce {
		th.wg.Go(func() {
			for ; !th.over.Load(); th.served.Add(1) {
				if err := comeAndGo(addr); err != nil {
					th.mu.Lock()
					th.errs = append(th.errs, err)
					th.mu.Unlock()
				}
			}
		})
	}
	return th
}

// wait waits until those who are there have gone, and nobody comes any more; the error is of those who were not served.
func (th *throng) wait() error {
	th.over.Store(true)
	th.wg.Wait()
	th.mu.Lock()
	defer th.mu.Unlock()
	if n := len(th.errs); n > 0 {
		return fmt.Errorf("%d clients were not served: %w", n, errors.Join(th.errs[:min(n, 5)]...))
	}
	return nil
}

// comeAndGo has one client speak, hear, and go with a reset, so that its port is free again.
func comeAndGo(addr string) error {
	c, err := tryCall("", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetLinger(0); err != nil {
		return err
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, len("hello"))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("heard %q: %w", got[:n], err)
	}
	return nil
}
