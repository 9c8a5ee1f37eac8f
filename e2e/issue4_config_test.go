//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// badFiles are the broken configurations that there are, with the place of the mistake.
func badFiles(t *testing.T, ext string) (texts, places map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "internal", "config", "testdata", "bad", "*"+ext))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d broken files, %v", len(files), err)
	}
	texts, places = map[string]string{}, map[string]string{}
	for _, path := range files {
		name := filepath.Base(path)
		texts[name] = readFile(t, path)
		places[name] = regexp.MustCompile(`^sluice\S+:\d+:\d+: `).FindString(readFile(t, strings.TrimSuffix(path, ext)+".txt"))
		if places[name] == "" {
			t.Fatalf("%s: what is wrong with it is not known", name)
		}
	}
	return texts, places
}

// testBrokenConfigurations gives a running product one broken file after the other: each is
// told with its place, and all goes on as before.
func testBrokenConfigurations(t *testing.T) {
	for _, ext := range []string{".yaml", ".conf"} {
		t.Run(ext, func(t *testing.T) {
			t.Parallel()
			group := source(t)
			good := map[string]string{
				".yaml": "channels:\n  news:\n    source: udp://" + group + "\n",
				".conf": `channels : { news : { source = "udp://` + group + `"; }; };`,
			}[ext]
			config := filepath.Join(shortDir(t), "sluice"+ext)
			if err := os.WriteFile(config, []byte(good), 0o600); err != nil {
				t.Fatal(err)
			}
			p := run(t, settings{engines: 2, args: []string{"-C", config}})
			p.config = config
			k := take(p, "/$news", anyAddress)
			texts, places := badFiles(t, ext)
			for name, text := range texts {
				if said := p.reread(text, keptLine); !strings.Contains(said, "/"+places[name]) || strings.Count(said, "\n") > 0 {
					t.Errorf("%s: the log says %s, want the place %s", name, said, places[name])
				}
			}
			p.wants(200, "/$news")
			goesOn(100, k)
			whole(k)
			p.reload(good + "\n") // and it can be mended
			testkit.Eventually(t, func() error {
				if n := strings.Count(p.proc.Output(), `"configuration read again"`); n != 4 {
					return fmt.Errorf("%d times a process has read a configuration again, want run, gws and both engines once", n)
				}
				return nil
			})
		})
	}
}

// testCheck: good files pass, and list each setting; of broken ones the first mistake is
// told as it stands in their description.
func testCheck(t *testing.T) {
	for _, name := range []string{"sluice.yaml", "sluice.conf"} {
		out, msg, code := output(program(), "check", "-C", filepath.Join("..", "dist", name))
		if code != 0 || msg != "" || !strings.Contains(out, "history.depth") {
			t.Errorf("check of dist/%s: exit %d, %s%.100s", name, code, msg, out)
		}
	}
	for _, ext := range []string{".yaml", ".conf"} {
		texts, places := badFiles(t, ext)
		dir := t.TempDir()
		for name, text := range texts {
			if err := os.WriteFile(filepath.Join(dir, "sluice"+ext), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program(), "check", "-C", "sluice"+ext)
			cmd.Dir = dir
			msg, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(msg), "error: "+places[name]) {
				t.Errorf("check of %s: %v\n%s", name, err, msg)
			}
		}
	}
	missing := write(t, "sluice.yaml", []byte("auth: {tokens: /nowhere/tokens}\nchannels_file: [/nowhere/channels.conf]\n"))
	if _, msg, code := output(program(), "check", "-C", missing); code != 1 || strings.Count(msg, "error: ") != 2 || strings.Count(msg, "/nowhere/") < 2 {
		t.Errorf("check of a file that names others which are missing: exit %d\n%s", code, msg)
	}
}

// testEveryKeyIsTold: what check lists of the sample stands in the reference and in the manual page.
func testEveryKeyIsTold(t *testing.T) {
	out, msg, code := output(program(), "check", "-C", filepath.Join("..", "dist", "sluice.yaml"))
	if code != 0 {
		t.Fatalf("exit %d: %s", code, msg)
	}
	reference := readFile(t, filepath.Join("..", "docs", "reference.md"))
	page := strings.NewReplacer(`\-`, "-", `\&`, "", `\fB`, "", `\fR`, "", `\(aq`, "'").Replace(readFile(t, filepath.Join("..", "docs", "man", "man5", "sluice.conf.5")))
	n := 0
	for line := range strings.Lines(out) {
		key := strings.Fields(line)[0]
		if key == "SETTING" {
			continue
		}
		n++
		if !strings.Contains(reference, "`"+key+"`") {
			t.Errorf("docs/reference.md has no %s", key)
		}
		if !regexp.MustCompile(`(?m)(^|[^\w.])` + regexp.QuoteMeta(key) + `($|[^\w.])`).MatchString(page) {
			t.Errorf("sluice.conf(5) has no %s", key)
		}
	}
	if n < 50 {
		t.Errorf("check lists %d settings:\n%s", n, out)
	}
}

// testRoutes: sessions of the configuration run from the start on. One that is to be
// restarted begins anew when its target goes or somebody drops it, another one does not.
func testRoutes(t *testing.T) {
	group := source(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dir := t.TempDir()
	p := run(t, settings{config: "linger: 1h\nchannels: {news: {source: 'udp://" + group + "'}}\nroutes:\n" +
		"  up: {from: $news, to: 'tcp://" + l.Addr().String() + "', restart: true}\n" +
		"  once: {from: 'udp://" + group + "', to: 'file://" + dir + "/once.ts'}\n"})
	up, once := "TCP://"+l.Addr().String(), "FILE://"+dir+"/once.ts"
	arrives := func() net.Conn {
		t.Helper()
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(testkit.Patience))
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(testkit.Patience))
		if _, err := io.ReadFull(conn, make([]byte, 10*188)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	runs := func(client string) error {
		_, err := p.traffic().client("UDP://"+group, client)
		return err
	}
	first := arrives()
	testkit.Eventually(t, func() error { return runs(once) })
	first.Close() // the target goes
	second := arrives()
	if err := runs(once); err != nil {
		t.Errorf("the other route: %v", err)
	}
	p.drop("UDP://"+group, once)
	testkit.Eventually(t, func() error {
		if runs(once) == nil {
			return fmt.Errorf("%s still runs", once)
		}
		return nil
	})
	p.drop("UDP://"+group, up)
	if _, err := io.Copy(io.Discard, second); err != nil {
		t.Error(err)
	}
	arrives()
	if runs(once) == nil {
		t.Error("a route that is not to be restarted has been")
	}
	if b := []byte(readFile(t, dir+"/once.ts")); len(b) < 188 || b[0] != 0x47 {
		t.Errorf("the route wrote %d bytes", len(b))
	}
}

// testGigapxyConf: a configuration in the structure of gigapxy's manual starts both modules.
func testGigapxyConf(t *testing.T) {
	dir := shortDir(t)
	config := filepath.Join(dir, "gigapxy.conf")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(`# gws and gng read one file
ws : {
  ng : { socket_path = "DIR/gpx-ngcomm.socket"; force_shutdown = true;
         pick_method = "round-robin"; accept_min_attached = 1; };
  split_channels = false;
  log : { level_default = "info"; file = "DIR/gws.log"; max_size_mb = 16; max_files = 16; time_format = "gmt"; };
  report : { cache_timeout_ms = 1000; };
  auth : { aux_params = "listener-alias"; };
};
ng : {
  ng_socket_path = "DIR/gpx-ngcomm.socket";
  log : { level_default = "info"; file = "DIR/gng.log"; max_size_mb = 16; max_files = 16; time_format = "raw"; };
};
`, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	group := source(t)
	user, admin, runDir := freePort(t), freePort(t), filepath.Join(dir, "run")
	for _, name := range []string{"gws", "gng"} {
		if err := os.Symlink(program(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	gws := testkit.Start(t, filepath.Join(dir, "gws"), "-T", "-C", config, "--listen", user, "--admin", admin, "--run-dir", runDir)
	gng := testkit.Start(t, filepath.Join(dir, "gng"), "-T", "-C", config, "--run-dir", runDir)
	var v *viewer
	testkit.Eventually(t, func() (err error) {
		v, err = tryWatch(t, "http://"+user+"/udp/"+group)
		return err
	})
	v.more(50_000)
	v.unbroken()
	for name, want := range map[string]string{"gws.log": `(?m)^.*engine attached`, "gng.log": `(?m)^\d+\.\d+ .*attached to gws|^time=\d+\.\d+ .*attached to gws`} {
		text := readFile(t, filepath.Join(dir, name))
		if !regexp.MustCompile(want).MatchString(text) || strings.Contains(text, "level=WARN") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "gpx-ngcomm.socket")); err != nil {
		t.Error(err)
	}
	stopped(t, gws) // and, by force_shutdown, the engine
	if err := gng.Wait(); err != nil {
		t.Errorf("gng: %v", err)
	}
	if out, _, code := output(program(), "check", "-C", config, "--for", "gws"); code != 0 || !regexp.MustCompile(`(?m)^socket +\S*gigapxy\.conf:3 `).MatchString(out) {
		t.Errorf("check: exit %d\n%s", code, out)
	}
}
