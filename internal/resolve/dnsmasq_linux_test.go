package resolve_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/resolve"
	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainInNamespace(m) }

// server is where dnsmasq answers: the network is the test's own.
const server = "127.0.0.1:5353"

// serve starts dnsmasq with records.
func serve(t *testing.T, records ...string) *testkit.Proc {
	t.Helper()
	testkit.Need(t, "dnsmasq")
	args := []string{
		"--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--local=/test/", "--user=", "--group=",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--port=5353", "--log-queries",
	}
	p := testkit.Start(t, "dnsmasq", append(args, records...)...)
	p.WaitLine("started, version")
	return p
}

// stop ends a server; another may be started then.
func stop(t *testing.T, p *testkit.Proc) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done(): // its code is not 0 when it has only just begun
	case <-time.After(testkit.Patience):
		t.Fatal("dnsmasq does not end")
	}
}

// text is answers in short: address, host, weight and backup.
func text(answers []resolve.Answer) string {
	var all []string
	for _, a := range answers {
		s := fmt.Sprintf("%v %s %d", a.Addr, a.Host, a.Weight)
		if a.Backup {
			s += " backup"
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

func TestOnce(t *testing.T) {
	serve(
		t, "--host-record=web.test,192.0.2.7,2001:db8::7", "--host-record=web.test,192.0.2.5",
		"--host-record=four.test,192.0.2.1", "--cname=alias.test,four.test",
		"--srv-host=_imap._tcp.test,four.test,143,10,3", "--srv-host=_imap._tcp.test,web.test,1143,10,0",
		"--srv-host=_imap._tcp.test,four.test,144,20,7", "--srv-host=_imap._tcp.test,gone.test,143,5,9",
		"--srv-host=_gone._tcp.test,gone.test,143,1,1", "--srv-host=_none._tcp.test",
	)
	host := func(name string) resolve.Name { return resolve.Name{Host: name, Port: 80} }
	service := func(name string) resolve.Name { return resolve.Name{Host: "test", Service: name} }
	for _, c := range []struct {
		name   resolve.Name
		family string
		want   string // the error when it begins with !
	}{
		{host("web.test"), "", "192.0.2.5:80 web.test 0, 192.0.2.7:80 web.test 0, [2001:db8::7]:80 web.test 0"},
		{host("web.test"), "4", "192.0.2.5:80 web.test 0, 192.0.2.7:80 web.test 0"},
		{host("web.test"), "6", "[2001:db8::7]:80 web.test 0"},
		{host("four.test"), "6", "!resolve four.test:80: no such name, or it has no address (name server 127.0.0.1:5353)"},
		{host("alias.test"), "", "192.0.2.1:80 alias.test 0"},
		{host("gone.test"), "", "!resolve gone.test:80: no such name, or it has no address (name server 127.0.0.1:5353)"},
		{host("192.0.2.9"), "6", "192.0.2.9:80 192.0.2.9 0"},
		{host("::ffff:192.0.2.9"), "", "192.0.2.9:80 ::ffff:192.0.2.9 0"},
		// The best priority has gone.test only, which is left out.
		{service("_imap._tcp"), "4", "192.0.2.1:143 four.test 3, 192.0.2.5:1143 web.test 1, 192.0.2.7:1143 web.test 1, 192.0.2.1:144 four.test 7 backup"},
		{service("_gone._tcp"), "", "!resolve _gone._tcp.test: no such service, or its targets have no address (name server 127.0.0.1:5353)"},
		{service("_none._tcp"), "", "!resolve _none._tcp.test: the domain says that it has no such service"},
		{service("_nothing._tcp"), "", "!resolve _nothing._tcp.test: no such service, or its targets have no address (name server 127.0.0.1:5353)"},
	} {
		conf := resolve.Config{Server: server, IPv4: c.family == "4", IPv6: c.family == "6"}
		answers, err := resolve.Once(t.Context(), conf, c.name)
		got := text(answers)
		if err != nil {
			got = "!" + err.Error()
		}
		if got != c.want {
			t.Errorf("%v, family %q:\n got %s\nwant %s", c.name, c.family, got, c.want)
		}
	}
}

// TestServerIsSilent: a name server that is not there, and one that does not answer: nobody goes on waiting for it.
func TestServerIsSilent(t *testing.T) {
	testkit.NoLeaks(t)
	_, err := resolve.Once(t.Context(), resolve.Config{Server: server}, resolve.Name{Host: "web.test", Port: 80})
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("no server: %v", err)
	}
	p := serve(t)
	p.Signal(syscall.SIGSTOP)
	_, err = resolve.Once(t.Context(), resolve.Config{Server: server, Timeout: 50 * time.Millisecond}, resolve.Name{Host: "web.test", Port: 80})
	if want := "resolve web.test:80: no answer in 50ms (name server 127.0.0.1:5353)"; err == nil || err.Error() != want {
		t.Errorf("silent server: %v, want %s", err, want)
	}
}

// told is what Follow tells, as it comes.
type told struct {
	answers chan string
	failed  chan error
}

// follow follows a name until the test is over.
func follow(t *testing.T, name resolve.Name) told {
	w := told{make(chan string, 100), make(chan error, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		conf := resolve.Config{Server: server, Every: 20 * time.Millisecond, Timeout: 200 * time.Millisecond}
		resolve.Follow(ctx, conf, name, func(a []resolve.Answer) { w.answers <- text(a) }, func(err error) {
			select {
			case w.failed <- err:
			default: // nobody looks
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return w
}

func (w told) next(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-w.answers:
		if got != want {
			t.Fatalf("answer:\n got %s\nwant %s", got, want)
		}
	case <-time.After(testkit.Patience):
		t.Fatal("no answer is told")
	}
}

// fails waits until one more try has failed.
func (w told) fails(t *testing.T) {
	t.Helper()
	for range len(w.failed) + 1 {
		select {
		case <-w.failed:
		case <-time.After(testkit.Patience):
			t.Fatal("no failure is told")
		}
	}
}

// TestFollow is line 53 of the acceptance list: names are resolved again, and a name server
// that is gone, or an answer without an address, leaves the last good answer.
func TestFollow(t *testing.T) {
	testkit.NoLeaks(t)
	p := serve(t, "--host-record=web.test,192.0.2.1", "--host-record=web.test,192.0.2.2")
	w := follow(t, resolve.Name{Host: "web.test", Port: 80})
	w.next(t, "192.0.2.1:80 web.test 0, 192.0.2.2:80 web.test 0")
	stop(t, p)
	w.fails(t)
	p = serve(t, "--host-record=web.test,192.0.2.2", "--host-record=web.test,192.0.2.1")
	p.WaitLine("config web.test is 192.0.2.2")
	stop(t, p)
	p = serve(t)
	p.WaitLine("config web.test is NXDOMAIN")
	w.fails(t)
	stop(t, p)
	serve(t, "--host-record=web.test,192.0.2.3")
	w.next(t, "192.0.2.3:80 web.test 0") // nothing was told in between
}

// TestFollowService: weights of SRV (line 53), and a target that is gone stands for what it did.
func TestFollowService(t *testing.T) {
	testkit.NoLeaks(t)
	records := []string{"--srv-host=_x._tcp.test,a.test,1,10,3", "--srv-host=_x._tcp.test,b.test,2,10,0"}
	a, b := "--host-record=a.test,192.0.2.1", "--host-record=b.test,192.0.2.2"
	p := serve(t, append(slices.Clone(records), a, b)...)
	w := follow(t, resolve.Name{Host: "test", Service: "_x._tcp"})
	w.next(t, "192.0.2.1:1 a.test 3, 192.0.2.2:2 b.test 1")
	stop(t, p)
	w.fails(t)
	p = serve(t, append(slices.Clone(records), "--host-record=b.test,192.0.2.3")...)
	w.next(t, "192.0.2.1:1 a.test 3, 192.0.2.3:2 b.test 1")
	stop(t, p)
	serve(t, "--srv-host=_x._tcp.test,b.test,2,20,5", b)
	w.next(t, "192.0.2.2:2 b.test 5")
}

func TestFollowLiteral(t *testing.T) {
	var got []resolve.Answer
	resolve.Follow(t.Context(), resolve.Config{Server: "192.0.2.1:1"}, resolve.Name{Host: "2001:db8::1", Port: 80},
		func(a []resolve.Answer) { got = a }, func(err error) { t.Error(err) })
	want := []resolve.Answer{{Addr: netip.MustParseAddrPort("[2001:db8::1]:80"), Host: "2001:db8::1"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
