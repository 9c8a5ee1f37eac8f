//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// intake is a server that takes what is pushed to it.
type intake struct {
	t      *testing.T
	url    string
	status func(r *http.Request) int // before the body is read; nil or 0 = it is taken

	mu   sync.Mutex // guards what follows
	came []*arrived
}

// arrived is one request.
type arrived struct {
	what   string // PUT /a
	conn   string
	length int64 // -1 = chunked
	header http.Header
	body   []byte // so far
	end    error  // io.EOF = it is all there; nil = it comes
}

// newIntake starts one; addr "" is any address.
func newIntake(t *testing.T, addr string, status func(*http.Request) int) *intake {
	t.Helper()
	in := &intake{t: t, status: status}
	s := httptest.NewUnstartedServer(in)
	if addr != "" {
		s.Listener.Close()
		var err error
		if s.Listener, err = net.Listen("tcp", addr); err != nil {
			t.Fatal(err)
		}
	}
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	in.url = s.URL
	return in
}

func (in *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one := &arrived{what: r.Method + " " + r.URL.Path, conn: r.RemoteAddr, length: r.ContentLength, header: r.Header}
	in.mu.Lock()
	in.came = append(in.came, one)
	in.mu.Unlock()
	if in.status != nil {
		if code := in.status(r); code != 0 {
			w.WriteHeader(code)
			return
		}
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(buf)
		in.mu.Lock()
		one.body = append(one.body, buf[:n]...)
		one.end = err
		in.mu.Unlock()
		if err != nil {
			break
		}
	}
	w.WriteHeader(http.StatusCreated)
}

// list are the requests so far.
func (in *intake) list() (all []arrived) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, one := range in.came {
		all = append(all, *one)
	}
	return all
}

// has waits for a request with that body, to its end or so far.
func (in *intake) has(what, body string, ended bool) (found arrived) {
	in.t.Helper()
	testkit.Eventually(in.t, func() error {
		var all []string
		for _, one := range in.list() {
			if one.what == what && string(one.body) == body && ended == errors.Is(one.end, io.EOF) {
				found = one
				return nil
			}
			all = append(all, fmt.Sprintf("%s %.20q %v", one.what, one.body, one.end))
		}
		return fmt.Errorf("no %s with %q, ended: %v, among %q", what, body, ended, all)
	})
	return found
}

// pushing is an origin whose memory is pushed as the section says.
func pushing(t *testing.T, keep, push string) *originRun {
	t.Helper()
	addr := freePort(t)
	conf := put(t, filepath.Join(shortDir(t), "sluice.yaml"), fmt.Sprintf(`origin:
  listen: %s
  rdirs: gmem
  wdir: gmem
  max_cache_segs: %s
  push: {mirror: {from: gmem, %s}}
`, addr, keep, push))
	return startOriginAt(t, addr, "-C", conf)
}

// testPush: what is uploaded here goes on to other servers, as it comes.
func testPush(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"two":     testPushTwo,
		"whole":   testPushWhole,
		"retry":   testPushRetry,
		"give up": testPushGivesUp,
		"ends":    testPushEnds,
		"stuck":   testPushStuck,
		"channel": testPushChannel,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// testPushTwo: an object is with two servers while it grows, each representation on a connection of its own, and what expires here goes there.
func testPushTwo(t *testing.T) {
	in, dav, files := newIntake(t, "", nil), freePort(t), shortDir(t)
	if err := os.Chmod(files, 0o777); err != nil { //nolint:gosec // the workers of nginx are somebody else
		t.Fatal(err)
	}
	startNginx(t, "server { listen "+dav+"; root "+files+"; location / { dav_methods PUT DELETE; create_full_put_path on; client_body_temp_path "+files+"/tmp; } }")
	o := pushing(t, "2", fmt.Sprintf("to: ['%s/in/', 'http://%s/live/'], headers: [X-Token, abc]", in.url, dav))
	for n := 1; n <= 4; n++ {
		video, audio := fmt.Sprintf("/v-%d.m4s", n), fmt.Sprintf("/a-%d.m4s", n)
		u, w := o.begin(video, "one"), o.begin(audio, "uno")
		in.has("PUT /in"+video, "one", false)
		in.has("PUT /in"+audio, "uno", false) // while the other one grows
		u.says("two")
		in.has("PUT /in"+video, "onetwo", false)
		w.ends(201)
		u.ends(201)
		for _, one := range []arrived{in.has("PUT /in"+video, "onetwo", true), in.has("PUT /in"+audio, "uno", true)} {
			if one.length != -1 || one.header.Get("X-Token") != "abc" || one.header.Get("Content-Type") != "video/iso.segment" ||
				!strings.HasPrefix(one.header.Get("User-Agent"), "sluice/") {
				t.Errorf("%s: length %d, %v", one.what, one.length, one.header)
			}
		}
		seen(t, filepath.Join(files, "live", video), true) // before it expires here
		seen(t, filepath.Join(files, "live", audio), true)
	}
	o.put("/out.m3u8", "#EXTM3U\n", 201)
	if one := in.has("PUT /in/out.m3u8", "#EXTM3U\n", true); one.length != 8 {
		t.Errorf("a manifest has the length %d, want its own", one.length)
	}
	in.has("DELETE /in/v-2.m4s", "", true)
	in.has("DELETE /in/a-2.m4s", "", true)
	for name, there := range map[string]bool{"out.m3u8": true, "v-4.m4s": true, "a-4.m4s": true, "v-3.m4s": true, "v-1.m4s": false, "a-2.m4s": false} {
		seen(t, filepath.Join(files, "live", name), there)
	}
	holds(t, filepath.Join(files, "live/v-4.m4s"), "onetwo")
	conns := map[string]int{}
	for _, one := range in.list() {
		conns[one.conn]++
	}
	if len(conns) > 4 { // one for each representation, one for the manifest, one for what is removed
		t.Errorf("the requests came on %d connections: %v", len(conns), conns)
	}
	o.pushed(func(r report.OriginPush) error {
		if r.Objects != 9 || r.Failed+r.Retries != 0 || r.Error != "" {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
}

// pushed waits until what is told of each server of the pushes satisfies want.
func (o *originRun) pushed(want func(report.OriginPush) error) {
	o.t.Helper()
	o.eventually(func(st report.Origin) error {
		var errs []error
		for _, r := range st.Pushes {
			errs = append(errs, want(r))
		}
		if len(errs) == 0 {
			return errors.New("nothing is pushed")
		}
		return errors.Join(errs...)
	})
}

// testPushWhole: without chunks an object goes when it is complete, with its length; and by POST, if that is wanted.
func testPushWhole(t *testing.T) {
	in := newIntake(t, "", nil)
	o := pushing(t, "5", fmt.Sprintf("to: '%s/', cte: false, post: true", in.url))
	u := o.begin("/v-1.m4s", "one")
	o.put("/a-1.m4s", letters, 201)
	if one := in.has("POST /a-1.m4s", letters, true); one.length != int64(len(letters)) {
		t.Errorf("its length is %d", one.length)
	}
	for _, one := range in.list() {
		if strings.HasSuffix(one.what, "/v-1.m4s") {
			t.Errorf("%s before it is complete", one.what)
		}
	}
	u.says("two")
	u.ends(201)
	if one := in.has("POST /v-1.m4s", "onetwo", true); one.length != 6 {
		t.Errorf("its length is %d", one.length)
	}
}

// testPushRetry: a server that is not there yet, and one that cannot for a moment, have it in the end.
func testPushRetry(t *testing.T) {
	later := freePort(t)
	var mu sync.Mutex
	refusals := 2
	in := newIntake(t, "", func(*http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		if refusals == 0 {
			return 0
		}
		refusals--
		return http.StatusServiceUnavailable
	})
	o := pushing(t, "5", fmt.Sprintf("to: ['%s/', 'http://%s/'], tries: 100", in.url, later))
	o.put("/v-1.m4s", letters, 201)
	in.has("PUT /v-1.m4s", letters, true)
	o.pushed(func(r report.OriginPush) error {
		if r.Retries < 2 {
			return fmt.Errorf("%d times tried again", r.Retries)
		}
		return nil
	})
	newIntake(t, later, nil).has("PUT /v-1.m4s", letters, true)
}

// testPushGivesUp: what a server does not take for the time that it has, or refuses for good, is given up; the next one goes.
func testPushGivesUp(t *testing.T) {
	in := newIntake(t, "", func(r *http.Request) int {
		return map[string]int{"/v-1.m4s": http.StatusServiceUnavailable, "/v-2.m4s": http.StatusForbidden}[r.URL.Path]
	})
	o := pushing(t, "5", fmt.Sprintf("to: '%s/', timeout: 1s, tries: 100", in.url))
	for n := 1; n <= 3; n++ {
		o.put(fmt.Sprintf("/v-%d.m4s", n), letters, 201)
	}
	in.has("PUT /v-3.m4s", letters, true)
	o.pushed(func(r report.OriginPush) error {
		if r.Failed != 2 || r.Objects != 1 || r.Queue != 0 {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	refused := 0
	for _, one := range in.list() {
		if one.what == "PUT /v-2.m4s" {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("a refusal was asked for %d times", refused)
	}
	o.proc.WaitLine(`WARN.*v-1\.m4s`)
}

// testPushEnds: without ka a failure is the end of the push.
func testPushEnds(t *testing.T) {
	in := newIntake(t, "", func(*http.Request) int { return http.StatusForbidden })
	o := pushing(t, "5", fmt.Sprintf("to: '%s/', ka: false", in.url))
	o.put("/v-1.m4s", letters, 201)
	o.proc.WaitLine(`level=ERROR msg="push has ended".*403`)
	o.put("/v-2.m4s", letters, 201)
	if all := in.list(); len(all) != 1 {
		t.Errorf("%d requests have come, want one", len(all))
	}
}

// testPushStuck: a server that takes nothing does not hold up the others, and none holds up who uploads here.
func testPushStuck(t *testing.T) {
	stuck, in := newRemote(t, mute), newIntake(t, "", nil)
	o := pushing(t, "5", fmt.Sprintf("to: ['http://%s/', '%s/']", stuck.addr, in.url))
	for n := 1; n <= 4; n++ {
		path, text := fmt.Sprintf("/v-%d.m4s", n), strings.Repeat(letters, 100_000*n)
		o.put(path, text, 201)
		in.has("PUT "+path, text, true)
	}
	o.get("/v-4.m4s", 200)
}

// testPushChannel: a channel is one upload that goes on, and is begun anew when it breaks off.
func testPushChannel(t *testing.T) {
	group, taken := newGroup(), make(chan int, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b := make([]byte, 100*188)
		if _, err := io.ReadFull(r.Body, b); err == nil && b[0] == 0x47 && b[99*188] == 0x47 && r.Method == http.MethodPut && r.ContentLength == -1 {
			taken <- 1
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	send(t, h264, "udp", group)
	startOrigin(t, "--hmode", "push", "-i", "udp://"+group, "--dst", s.URL+"/live.ts")
	for range 2 {
		<-taken
	}
}
