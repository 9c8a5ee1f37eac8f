//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// runOriginRereadLine is what `sluice run` says of its origin when that has read its configuration again.
var runOriginRereadLine = regexp.MustCompile(`(?m)^.*"configuration read again" role=origin.*$`)

// originAt is the origin of a product, at one of its addresses.
func (p *product) originAt(addr, admin string) *originRun {
	return &originRun{t: p.t, proc: p.proc, addr: addr, url: "http://" + addr, admin: admin, web: originClient}
}

// originPID is the process that is the origin of a product.
func (p *product) originPID() (pid int) {
	p.t.Helper()
	testkit.Eventually(p.t, func() error {
		b, err := os.ReadFile(filepath.Join(p.dir, "origin.lock"))
		if err == nil {
			_, err = fmt.Sscan(string(b), &pid)
		}
		return err
	})
	return pid
}

// testModesOnOnePort: directories, uploads, a channel under a path, one that is written into a file, uploads that are
// channels and a push are all of one origin.
func testModesOnOnePort(t *testing.T) {
	group, dir, addr, admin := newGroup(), t.TempDir(), freePort(t), freePort(t)
	target, copies := startOriginDir(t)
	p := run(t, settings{config: fmt.Sprintf(`origin:
  listen: %s
  admin: %s
  rdirs: %s
  wdir: %[3]s
  sources: [/ingest/]
  sinks: {live: {channel: 'udp://%s', path: /live.ts}}
  records: {rec: {channel: 'udp://%[4]s', path: /rec/now.ts}}
  push: {mirror: {from: %[3]s, to: '%[5]s/mirror/'}}
`, addr, admin, dir, group, target.url)})
	o := p.originAt(addr, admin)
	send(t, h264, "udp", group)

	o.put("/a/one.m4s", "one", 201)
	if a := o.get("/a/one.m4s", 200); a.body != "one" {
		t.Errorf("an upload reads %q", a.body)
	}
	var viewers []*viewer
	o.appears("/rec/now.ts")
	for _, path := range []string{"/live.ts", "/rec/now.ts"} {
		v := watch(t, o.url+path)
		v.more(50_000)
		viewers = append(viewers, v)
	}
	f := newUploader(t, o, "/ingest/cam.ts")
	f.more(1)
	v := watch(t, p.url("/upload/ingest/cam.ts"))
	f.more(3)
	v.until(groupBytes)
	seen(t, filepath.Join(dir, "ingest"), false)
	seen(t, filepath.Join(copies, "mirror/a/one.m4s"), true)
	testkit.Eventually(t, func() error {
		if a := target.ask(http.MethodGet, "/mirror/a/one.m4s", ""); a.body != "one" {
			return fmt.Errorf("what was pushed reads %s %q", a.Status, a.body)
		}
		return nil
	})
	o.eventually(func(st report.Origin) error {
		if st.Uploads != 1 || len(st.Sinks) != 1 || st.Sinks[0].Clients != 1 || len(st.Pushes) != 1 {
			return fmt.Errorf("it tells of %+v", st)
		}
		return nil
	})
	allUnbroken(append(viewers, v))
}

// testOneAddress: the user ports of gws, plain and over TLS, carry the origin besides the requests of gws.
func testOneAddress(t *testing.T) {
	ca, group, dir, admin := newAuthority(t), newGroup(), t.TempDir(), freePort(t)
	p := run(t, settings{tls: ca, config: fmt.Sprintf(`origin:
  user_port: true
  admin: %s
  rdirs: %s
  wdir: %[2]s
  reqlog: "*"
  sinks: {live: {channel: 'udp://%s', path: /live.ts}}
`, admin, dir, group)})
	send(t, h264, "udp", group)
	plain := p.originAt(p.user, admin)
	secure := p.originAt(p.secure, admin)
	secure.url, secure.web = "https://"+p.secure, ca.client()
	viewers := []*viewer{watch(t, p.url("/udp/"+group)), watch(t, p.url("/live.ts"))}

	for name, o := range map[string]*originRun{"plain": plain, "secure": secure} {
		t.Run(name, func(t *testing.T) {
			one := *o
			one.t = t
			path := "/" + name + "/seg-1.m4s"
			u := one.beginSeen(path, "one")
			f := one.follow(path)
			f.hears("one")
			u.says("two")
			f.hears("two")
			u.ends(201)
			f.hearsEnd(false)
			one.get(path, 206, "Range", "bytes=1-3").has(t, "Content-Range", "bytes 1-3/6")
			a := one.get(path, 200)
			one.get(path, 304, "If-None-Match", a.Header.Get("Etag"))
			one.put(path, "again", 200)

			broken := one.beginSeen(path+"-2", "one")
			f = one.follow(path + "-2")
			f.hears("one")
			broken.breaks()
			f.hearsEnd(true)
			one.get(path+"-2", 404)
			one.ask(http.MethodOptions, path, "", "Origin", "http://other.example", "Access-Control-Request-Method", "PUT").has(t, "Access-Control-Allow-Origin", "http://other.example")
			if a := one.ask(http.MethodDelete, path, ""); a.StatusCode != 200 {
				t.Errorf("DELETE: %s", a.Status)
			}
			if a := one.ask(http.MethodGet, "/udp/nonsense", ""); a.StatusCode != 400 {
				t.Errorf("what is a request of gws, and a bad one: %s %q", a.Status, a.body)
			}
		})
	}
	p.proc.WaitLine(`127\.0\.0\.1 PUT /plain/seg-1\.m4s`) // the client, not gws
	moreOfAll(50_000, viewers)
	allUnbroken(viewers)
}

// testRunReloadsOrigin: what is being uploaded, read and watched goes on; what is wrong changes nothing.
func testRunReloadsOrigin(t *testing.T) {
	addr, admin, one, other := freePort(t), freePort(t), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "new.txt"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(dir, more string) string {
		return fmt.Sprintf("origin:\n  listen: %s\n  admin: %s\n  rdirs: %s\n  wdir: %s\n%s", addr, admin, dir, one, more)
	}
	p := run(t, settings{config: config(one, "")})
	o := p.originAt(addr, admin)
	v := viewed(t, p)
	pid := p.originPID()
	u := o.beginSeen("/seg-1.m4s", "one")
	f := o.follow("/seg-1.m4s")
	f.hears("one")
	o.get("/", 403)

	p.reread(config(other, "  dlist: true\n"), runOriginRereadLine)
	if a := o.get("/", 200); !strings.Contains(a.body, "new.txt") {
		t.Errorf("the new directory lists %q", a.body)
	}
	o.get("/seg-1.m4s", 404)
	u.says("two")
	f.hears("two")
	u.ends(201)
	f.hearsEnd(false)

	if said := p.reread(config(other, "  cors: perhaps\n"), keptLine); !strings.Contains(said, "cors") {
		t.Errorf("a wrong configuration: %s", said)
	}
	if a := o.get("/new.txt", 200); a.body != "new" {
		t.Errorf("after a wrong configuration it reads %q", a.body)
	}
	if now := p.originPID(); now != pid {
		t.Errorf("process %d is the origin, it was %d", now, pid)
	}
	v.more(50_000)
	v.unbroken()
}

// testOriginDies: the supervisor holds its ports, so who comes meanwhile waits; streams of gws go on.
func testOriginDies(t *testing.T) {
	addr, admin, dir, group := freePort(t), freePort(t), t.TempDir(), newGroup()
	p := run(t, settings{config: fmt.Sprintf(`origin:
  listen: %s
  admin: %s
  user_port: true
  rdirs: %s
  wdir: %[3]s
  sinks: {live: {channel: 'udp://%s', path: /live.ts}}
`, addr, admin, dir, group)})
	o := p.originAt(addr, admin)
	send(t, h264, "udp", group)
	v := watch(t, p.url("/udp/"+group))
	v.more(50_000)
	o.put("/whole.m4s", "whole", 201)
	u := o.beginSeen("/part.m4s", "part")
	f := o.follow("/part.m4s")
	f.hears("part")
	engines := p.status().Engines

	kill(t, p.originPID())
	f.hearsEnd(true)
	u.breaks()
	o.get("/whole.m4s", 200) // it waits for the next one, which has the socket
	o.get("/part.m4s", 404)  // nothing is left of what was broken off
	p.originAt(p.user, admin).get("/whole.m4s", 200)
	again := watch(t, o.url+"/live.ts")
	again.more(50_000)
	v.more(50_000)
	allUnbroken([]*viewer{v, again})
	if now := p.status().Engines; len(now) != 1 || now[0].PID != engines[0].PID {
		t.Errorf("the engines are %+v, they were %+v", now, engines)
	}
}

// testRecordGoesOn: a record whose engine dies, or is ended, goes on with the next one, in the same object. Who reads it waits meanwhile.
func testRecordGoesOn(t *testing.T) {
	addr, admin, dir, group := freePort(t), freePort(t), t.TempDir(), newGroup()
	config := fmt.Sprintf("origin:\n  listen: %s\n  admin: %s\n  rdirs: %s\n", addr, admin, dir)
	p := run(t, settings{config: config + fmt.Sprintf("  records: {rec: {channel: 'udp://%s', path: /now.ts}}\n", group)})
	o := p.originAt(addr, admin)
	send(t, h264, "udp", group)
	o.appears("/now.ts")
	v := watch(t, o.url+"/now.ts")
	v.more(50_000)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		engine := p.status().Engines[0].PID
		if err := syscall.Kill(engine, signal); err != nil {
			t.Fatal(err)
		}
		p.eventually(func(st report.Status) error {
			for _, e := range st.Engines {
				if e.PID != engine && len(e.Channels) == 1 {
					return nil
				}
			}
			return fmt.Errorf("after %v the engines are %+v", signal, st.Engines)
		})
		v.more(50_000)
	}
	p.reread(config, runOriginRereadLine)
	if err := v.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the record is %v to a reader, want in good order", err)
	}
	seen(t, filepath.Join(dir, "now.ts"), true) // readers have all of it a little before the disk has
	if file := readFile(t, filepath.Join(dir, "now.ts")); int64(len(file)) != v.received() {
		t.Errorf("the file has %d bytes, its reader %d", len(file), v.received())
	}
	onlyThere(t, dir, "now.ts")
}

// testRecordOfKilledOrigin: what an origin has recorded until it is killed is a file when the next one has begun.
func testRecordOfKilledOrigin(t *testing.T) {
	addr, admin, dir, group := freePort(t), freePort(t), t.TempDir(), newGroup()
	p := run(t, settings{config: fmt.Sprintf("origin:\n  listen: %s\n  admin: %s\n  rdirs: %s\n  records: {rec: {channel: 'udp://%s', path: /now.ts}}\n", addr, admin, dir, group)})
	o := p.originAt(addr, admin)
	send(t, h264, "udp", group)
	o.appears("/now.ts")
	v := watch(t, o.url+"/now.ts")
	v.more(50_000)
	kill(t, p.originPID())
	if err := v.end(); errors.Is(err, io.EOF) {
		t.Error("to a reader the record has ended in good order")
	}
	v.unbroken()
	seen(t, filepath.Join(dir, "now.ts"), true)
	if file := readFile(t, filepath.Join(dir, "now.ts")); int64(len(file)) < v.received() || file[0] != 0x47 {
		t.Errorf("the file has %d bytes, its reader got %d", len(file), v.received())
	}
}
