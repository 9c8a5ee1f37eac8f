//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testFilesAreKept: files are read and written nowhere but below the directories of the
// configuration, and only what is a regular file there.
func testFilesAreKept(t *testing.T) {
	t.Run("by default", func(t *testing.T) {
		t.Parallel()
		p := run(t, settings{})
		for _, path := range []string{
			pair("file:///etc/passwd", ""), pair("file:///proc/self/environ", ""), pair("file:///dev/zero", ""), pair("file%3A%2F%2F%2Fetc%2Fpasswd", ""),
			pair("udp://"+newGroup(), fileURL(filepath.Join(t.TempDir(), "new.ts"))), pair("udp://"+newGroup(), "file:///etc/passwd?write=truncate"),
		} {
			failed(t, "GET", p.url(path), 403, "")
			failed(t, "HEAD", p.url(path), 403, "")
		}
	})
	t.Run("read", func(t *testing.T) { t.Parallel(); testFilesAreNotRead(t) })
	t.Run("written", func(t *testing.T) { t.Parallel(); testFilesAreNotWritten(t) })
}

// outside is what no request may reach: a directory beside the one that is shared.
func outside(t *testing.T) (shared, other string) {
	t.Helper()
	dir := t.TempDir()
	shared, other = filepath.Join(dir, "shared"), filepath.Join(dir, "shared-not")
	err := errors.Join(os.Mkdir(shared, 0o755), os.Mkdir(other, 0o755), os.WriteFile(filepath.Join(other, "secret.ts"), madeUp(1), 0o600),
		os.Mkdir(filepath.Join(shared, "sub"), 0o755), os.WriteFile(filepath.Join(shared, "sub", "film.ts"), madeUp(1), 0o600),
		os.Symlink(other, filepath.Join(shared, "out")), os.Symlink("../shared-not/secret.ts", filepath.Join(shared, "secret.ts")),
		os.Symlink("sub/film.ts", filepath.Join(shared, "link.ts")), os.Symlink("/dev/zero", filepath.Join(shared, "zero.ts")),
		syscall.Mkfifo(filepath.Join(shared, "fifo.ts"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // else, in a namespace of a user, nobody can make one
		if err := syscall.Mknod(filepath.Join(shared, "device"), syscall.S_IFCHR|0o666, 1<<8|5); err != nil && !errors.Is(err, syscall.EPERM) { // zero
			t.Fatal(err)
		}
	}
	return shared, other
}

func testFilesAreNotRead(t *testing.T) {
	shared, other := outside(t)
	p := run(t, settings{config: "growth: 100ms\nfiles: {read: ['" + shared + "']}\n"})
	for _, name := range []string{"sub/film.ts", "link.ts", "%73ub/film.ts"} { // what is allowed
		stream, err := body(p, pair("file://"+shared+"/"+name, ""))
		if err == nil {
			err = same(stream, madeUp(1))
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for path, code := range map[string]int{
		shared + "/../shared-not/secret.ts":            400,
		shared + "/%2e%2e/shared-not/secret.ts":        400,
		shared + "/%2e%2e%2fshared-not%2fsecret.ts":    400,
		shared + "/sub/../../shared-not/secret.ts":     400,
		other + "/secret.ts":                           403,
		shared + "/out/secret.ts":                      403,
		shared + "/secret.ts":                          403,
		shared + "/zero.ts":                            403,
		shared + "/fifo.ts":                            403,
		shared + "/sub":                                403,
		shared:                                         403,
		shared + "/sub/film.ts/x":                      404,
		shared + "/none.ts":                            404,
		shared + "/../../../../../../../../etc/passwd": 400,
	} {
		failed(t, "GET", p.url(pair("file://"+path, "")), code, "")
	}
	if _, err := os.Stat(shared + "/device"); err == nil {
		failed(t, "GET", p.url(pair("file://"+shared+"/device", "")), 403, "no regular file")
	}
}

func testFilesAreNotWritten(t *testing.T) {
	shared, other := outside(t)
	p := run(t, settings{config: "no_data: 1h\nfiles: {write: ['" + shared + "']}\n"})
	f := newFeed(t, p)
	viewer := f.first(f.path())
	for path, code := range map[string]int{
		shared + "/../new.ts":                    400,
		shared + "/%2e%2e/new.ts":                400,
		other + "/new.ts":                        403,
		shared + "/out/new.ts":                   403,
		shared + "/out/secret.ts?write=truncate": 403,
		shared + "/secret.ts?write=append":       403,
		shared + "/secret.ts":                    409,
		shared + "/zero.ts?write=append":         403,
		shared + "/fifo.ts?write=append":         403,
		shared + "/sub?write=truncate":           403,
		shared + "/none/new.ts":                  404,
		shared + "/sub/film.ts/new.ts":           404,
	} {
		failed(t, "GET", p.url(pair("udp://"+f.group, "file://"+path)), code, "")
	}
	if _, err := os.Stat(shared + "/device"); err == nil {
		failed(t, "GET", p.url(pair("udp://"+f.group, "file://"+shared+"/device?write=append")), 403, "no regular file")
	}
	_, client := started(t, p, pair("udp://"+f.group, "file://"+shared+"/sub/new.ts"))
	f.more(1)
	f.delivered(viewer)
	written(t, shared+"/sub/new.ts", f.sent)
	p.end("UDP://"+f.group, client)
	written(t, other+"/secret.ts", madeUp(1))
	names, err := os.ReadDir(other)
	if err != nil || len(names) != 1 {
		t.Errorf("outside there is %v, %v", names, err)
	}
}

// testNetworksAreKept: nobody is connected to, and nothing is sent, but in the networks of
// the configuration, whatever a name or a redirection says.
func testNetworksAreKept(t *testing.T) {
	t.Run("by default", func(t *testing.T) {
		t.Parallel()
		p := run(t, settings{})
		for _, target := range []string{"tcp://127.0.0.1:9", "http://127.0.0.1:9/x", "https://localhost:9/x", "udp://127.0.0.1:9", "udp://239.1.1.1:9", "rtp://239.1.1.1:9"} {
			failed(t, "GET", p.url(pair("udp://"+newGroup(), target)), 403, "nothing is sent to this target")
		}
		for _, source := range []string{"tcp://127.0.0.1:9", "http://127.0.0.1:9/x", "https://localhost/x", "udp://127.0.0.1:9"} {
			failed(t, "GET", p.url(pair(source, "")), 403, "")
		}
	})
	t.Run("beside the list", func(t *testing.T) {
		t.Parallel()
		met := make(chan string, 100)
		forbidden := listenAt(t, "127.0.0.1:0", func(c net.Conn) { met <- c.RemoteAddr().String() })
		_, port, err := net.SplitHostPort(forbidden)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.2:0")
		if err != nil {
			t.Fatal(err)
		}
		allowed := httptest.NewUnstartedServer(http.RedirectHandler("http://"+forbidden+"/secret?x=1", http.StatusFound))
		allowed.Listener.Close()
		allowed.Listener = l
		allowed.Start()
		defer allowed.Close()

		p := run(t, settings{config: "no_data: 1h\nsources: [127.0.0.2, 239.77.0.0/16]\ntargets: [127.0.0.2, '239.9.0.0/16']\n"})
		f := newFeed(t, p)
		viewer := f.first(f.path())
		for _, target := range []string{
			"tcp://" + forbidden, "tcp://localhost:" + port, "http://" + forbidden + "/x", "http://localhost:" + port + "/x", "tcp://[::ffff:127.0.0.1]:" + port,
			"udp://127.0.0.1:" + port, "udp://239.10.0.1:5000", "tcp://0.0.0.0:" + port, "tcp://[::1]:" + port,
		} {
			failed(t, "GET", p.url(pair("udp://"+f.group, target)), 403, "")
		}
		for _, source := range []string{
			"tcp://" + forbidden, "tcp://localhost:" + port, "http://" + forbidden + "/x", "http://localhost:" + port, "udp://239.78.0.1:5000",
			allowed.URL + "/redirects", "http://user:password@" + forbidden + "/",
		} {
			failed(t, "GET", p.url(pair(source, "")), 403, "")
		}
		to := listenAt(t, "127.0.0.2:0", func(c net.Conn) { _ = (&catch{}).take(c) })
		started(t, p, pair("udp://"+f.group, "tcp://"+to))
		f.more(1)
		f.delivered(viewer)
		select {
		case peer := <-met:
			t.Errorf("somebody was connected to that is in no list, from %s", peer)
		default:
		}
		for _, secret := range []string{"password", "x=1"} {
			if strings.Contains(p.proc.Output(), secret) {
				t.Errorf("the log tells %q", secret)
			}
		}
	})
}

// testLimitsOfSessions: who is above a limit gets 503 and may try again; sessions whose
// stream goes elsewhere count for who has asked for them.
func testLimitsOfSessions(t *testing.T) {
	dir := t.TempDir()
	group, other := newGroup(), newGroup()
	p := run(t, settings{config: fmt.Sprintf("no_data: 1h\nfiles: {write: ['%s']}\nlimits: {clients: 5, per_address: 2}\n"+
		"channels: {a: {source: 'udp://%s', max_clients: 2}}\n", dir, group)})
	sendNumbers(t, group, "1M")
	sendNumbers(t, other, "1M")
	in := func(path, from string) *taker {
		t.Helper()
		k, err := knock(p, path, from)
		if err != nil {
			t.Fatalf("%s from %s: %v", path, from, err)
		}
		t.Cleanup(func() { k.conn.Close() })
		return k
	}
	out := func(path, from string, counts func(report.Refused) uint64) {
		t.Helper()
		before := counts(p.status().Totals.Refused)
		k, err := knock(p, path, from)
		if !refused(t, err) {
			k.conn.Close()
			t.Errorf("%s from %s was let in above the limit", path, from)
		}
		if after := counts(p.status().Totals.Refused); after != before+1 {
			t.Errorf("%s from %s: %d refusals of that limit, want %d", path, from, after, before+1)
		}
	}
	perAddress := func(r report.Refused) uint64 { return r.PerAddress }
	ofChannel := func(r report.Refused) uint64 { return r.ChannelClients }
	inAll := func(r report.Refused) uint64 { return r.Clients }

	session := func(name string) string { return pair("udp://"+other, fileURL(filepath.Join(dir, name))) }
	first := in("/udp/"+other, "127.0.0.2")
	in(session("one.ts"), "127.0.0.2").conn.Close() // which goes on
	out("/udp/"+other, "127.0.0.2", perAddress)
	out(session("two.ts"), "127.0.0.2", perAddress)
	in("/$a", "127.0.0.3")
	in("/udp/"+group, "127.0.0.4")
	out("/$a", "127.0.0.5", ofChannel)
	last := in("/udp/"+other, "127.0.0.5")
	out("/udp/"+other, "127.0.0.6", inAll)
	out(session("three.ts"), "127.0.0.6", inAll)

	last.conn.Close()
	p.eventually(func(st report.Status) error {
		if st.Totals.Clients != 4 {
			return fmt.Errorf("%d clients after one has left, want 4", st.Totals.Clients)
		}
		return nil
	})
	testkit.Eventually(t, func() error {
		_, err := knock(p, "/udp/"+other, "127.0.0.6")
		return err
	})
	p.end("UDP://"+other, "FILE://"+filepath.Join(dir, "one.ts"))
	first.conn.Close()
	testkit.Eventually(t, func() error { // its place is free again
		_, err := knock(p, session("four.ts"), "127.0.0.2")
		return err
	})
	if _, err := os.Stat(filepath.Join(dir, "two.ts")); err == nil {
		t.Error("a session that was refused has made its file")
	}
}
