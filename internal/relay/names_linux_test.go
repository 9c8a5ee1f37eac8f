package relay

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/resolve"
	"sluice/internal/testkit"
)

// nameServer is where dnsmasq answers: the network is the test's own.
const nameServer = "127.0.0.1:5353"

func serveNames(t *testing.T, records ...string) (stop func()) {
	t.Helper()
	testkit.Need(t, "dnsmasq")
	args := []string{
		"--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--local=/test/", "--user=", "--group=",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--port=5353", "--local-ttl=0",
	}
	p := testkit.Start(t, "dnsmasq", append(args, records...)...)
	p.WaitLine("started, version")
	return func() {
		p.Signal(syscall.SIGTERM)
		<-p.Done()
	}
}

// remotes are the names and weights of the remotes of the only pool, in one line.
func (h *house) remotes() string {
	var all []string
	for _, r := range h.Status().Pools[0].Remotes {
		text := fmt.Sprintf("%s %d", r.Name, r.Weight)
		if r.Backup {
			text += " backup"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (h *house) waitRemotes(want string) {
	h.t.Helper()
	testkit.Eventually(h.t, func() error {
		if got := h.remotes(); got != want {
			return fmt.Errorf("the remotes are %q, want %q", got, want)
		}
		return nil
	})
}

// Line 53: names are resolved again and again; an answer that fails leaves the last good one.
func TestNames(t *testing.T) {
	a := serve(t, named("a"))
	port := a.addr.IP.Port()
	serveAt(t, "tcp", fmt.Sprintf("127.0.0.2:%d", port), named("b"))
	stop := serveNames(t, "--host-record=app.test,127.0.0.1")
	c := one(Remote{Host: resolve.Name{Host: "app.test", Port: port}, Weight: 2})
	c.Resolve = resolve.Config{Server: nameServer, Every: 50 * time.Millisecond, Timeout: time.Second, IPv4: true}
	h := open(t, c)
	if got := talk(t, h.dial(0), "x"); got != "a:x" { // the first client is there before the first answer
		t.Errorf("got %q", got)
	}
	name := func(addr string) string {
		return fmt.Sprintf("app.test:%d/%s", port, net.JoinHostPort(addr, fmt.Sprint(port)))
	}
	h.waitRemotes(name("127.0.0.1") + " 2")
	stop()
	h.log.wait(t, "a name cannot be resolved", "remote=app.test")
	h.waitRemotes(name("127.0.0.1") + " 2")
	serveNames(t, "--host-record=app.test,127.0.0.2")
	h.waitRemotes(name("127.0.0.2") + " 2")
	if got := talk(t, h.dial(0), "x"); got != "b:x" {
		t.Errorf("got %q", got)
	}
}

// Line 53: weights and priorities of SRV; a reload takes a name away and brings another.
func TestServices(t *testing.T) {
	a := serve(t, named("a"))
	port := a.addr.IP.Port()
	serveNames(
		t, "--host-record=a.test,127.0.0.1", "--host-record=b.test,127.0.0.2",
		fmt.Sprintf("--srv-host=_app._tcp.test,a.test,%d,10,5", port), fmt.Sprintf("--srv-host=_app._tcp.test,b.test,%d,20,1", port),
	)
	c := one(Remote{Name: "app", Host: resolve.Name{Host: "test", Service: "_app._tcp"}})
	c.Resolve = resolve.Config{Server: nameServer, IPv4: true}
	h := open(t, c)
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	h.waitRemotes(fmt.Sprintf("app/127.0.0.1:%d 5, app/127.0.0.2:%d 1 backup", port, port))

	next := one(Remote{Name: "other", Host: resolve.Name{Host: "a.test", Port: port}})
	next.Resolve = c.Resolve
	if err := h.Reload(next, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := h.remotes(), fmt.Sprintf("other/127.0.0.1:%d 1", port); got != want { // at no time there is none
		t.Errorf("the remotes are %q, want %q", got, want)
	}
	h.backends[0].mu.Lock()
	defer h.backends[0].mu.Unlock()
	if len(h.backends[0].answers) != 1 || len(h.backends[0].follows) != 1 {
		t.Errorf("left behind: %v", h.backends[0].answers)
	}
}

// A name that nobody knows is no reason not to run.
func TestUnknownName(t *testing.T) {
	serveNames(t)
	a := serve(t, named("a"))
	c := one(Remote{Host: resolve.Name{Host: "gone.test", Port: 80}}, a.remote("a"))
	c.Resolve = resolve.Config{Server: nameServer}
	h := open(t, c)
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	h.log.wait(t, "a name cannot be resolved", "remote=gone.test")
	if got := h.remotes(); got != "a 1" {
		t.Errorf("the remotes are %q", got)
	}
}
