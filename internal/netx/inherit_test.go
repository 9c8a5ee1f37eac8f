package netx

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// TestInherited starts this test again as the child of a supervisor: it accepts a
// connection on a listener that the parent opened.
func TestInherited(t *testing.T) {
	const child = "NETX_TEST_CHILD"
	if os.Getenv(child) != "" {
		serveInherited(t)
		return
	}
	user, admin := listenFile(t), listenFile(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestInherited$", "-test.v")
	cmd.ExtraFiles = []*os.File{user.file, admin.file}
	cmd.Env = append(append(os.Environ(), child+"=1"), InheritEnv([]string{"user", "admin"})...)
	p := testkit.StartCommand(t, cmd)
	conns := map[string]net.Conn{}
	for name, addr := range map[string]string{"admin": admin.addr, "user": user.addr} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[name] = c
	}
	for name, c := range conns {
		if b, err := io.ReadAll(c); err != nil || string(b) != name {
			t.Errorf("the listener %q answered %q, %v", name, b, err)
		}
	}
	if err := p.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
}

type listening struct {
	file *os.File
	addr string
}

func listenFile(t *testing.T) listening {
	t.Helper()
	l, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return listening{f, l.Addr().String()}
}

// serveInherited is the child: it answers once on each listener with its name.
func serveInherited(t *testing.T) {
	files, err := Inherited()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Fatalf("inherited %v", files)
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") {
			t.Errorf("%s is left for a grandchild", v)
		}
	}
	for name, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, name); err != nil {
			t.Error(err)
		}
		c.Close()
		l.Close()
	}
}

func TestInheritedNothing(t *testing.T) {
	for _, env := range []map[string]string{
		{},
		{"LISTEN_FDS": "0"},
		{"LISTEN_FDS": "1", "LISTEN_FDNAMES": "user", "LISTEN_PID": strconv.Itoa(os.Getppid())},
	} {
		setListenEnv(t, env)
		if files, err := Inherited(); err != nil || files == nil || len(files) != 0 {
			t.Errorf("%v: %v, %v, want an empty map", env, files, err)
		}
		if v, ok := os.LookupEnv("LISTEN_FDS"); ok {
			t.Errorf("%v: LISTEN_FDS=%q is still there", env, v)
		}
	}
}

func TestInheritedRefuses(t *testing.T) {
	for _, tt := range []struct{ count, names, says string }{
		{"two", "", "number of descriptors"},
		{"-1", "", "number of descriptors"},
		{"2", "user", "1 names for 2"},
	} {
		setListenEnv(t, map[string]string{"LISTEN_FDS": tt.count, "LISTEN_FDNAMES": tt.names})
		files, err := Inherited()
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v, %v", tt, files, err)
		}
	}
}

func setListenEnv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, k := range []string{"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"} {
		t.Setenv(k, "") // restored when the test is over
		os.Unsetenv(k)
		if v, ok := env[k]; ok {
			os.Setenv(k, v)
		}
	}
}

func TestInheritedNames(t *testing.T) {
	names, err := inheritedNames("2", "")
	if err != nil || strings.Join(names, " ") != "3 4" {
		t.Errorf("without names: %q, %v", names, err)
	}
}

// TestInheritedNamesOfOneUnit: a systemd unit with several sockets gives all of them its name.
func TestInheritedNamesOfOneUnit(t *testing.T) {
	names, err := inheritedNames("4", "web:web:web.1:web")
	if err != nil || strings.Join(names, " ") != "web web.1 web.1.1 web.2" {
		t.Errorf("%q, %v", names, err)
	}
}
