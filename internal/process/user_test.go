package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// beUser goes on as the user, with a right to raw sockets or without, and says what all
// its threads are.
func beUser(name, how string) int {
	var wg sync.WaitGroup
	defer wg.Wait()
	end := make(chan struct{})
	defer close(end)
	for range 3 { // threads of before
		started := make(chan struct{})
		wg.Go(func() {
			runtime.LockOSThread()
			close(started)
			<-end
		})
		<-started
	}
	a, err := FindAccount(name)
	if err == nil {
		err = a.OwnRunDir(os.Args[4])
	}
	if err == nil {
		err = a.Switch(how == "raw")
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) < 4 {
		fmt.Println("threads", threads, err)
		return 1
	}
	seen := map[string]bool{}
	for _, path := range threads {
		status, _ := os.ReadFile(path)
		var facts []string
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			switch key {
			case "Uid", "Gid", "CapPrm", "CapEff", "CapAmb":
				facts = append(facts, key+"="+strings.Join(strings.Fields(value), ","))
			}
		}
		seen[strings.Join(facts, " ")] = true
	}
	for facts := range seen {
		fmt.Println("thread", facts)
	}
	_, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
	fmt.Println("raw socket:", err)
	fmt.Println("own:", os.WriteFile(filepath.Join(os.Args[4], "mine"), nil, 0o600), "home:", os.Getenv("HOME") == a.Home)
	return 0
}

// plainTest is this test binary without cgo, as sluice is built: with the race detector
// there are threads that Go does not know.
func plainTest(t *testing.T) string {
	t.Helper()
	testkit.Need(t, "go")
	path := filepath.Join(t.TempDir(), "plain.test")
	cmd := exec.Command("go", "test", "-c", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func TestSwitchUser(t *testing.T) {
	testkit.NeedRoot(t)
	program := plainTest(t)
	nobody, err := FindAccount("nobody")
	if err != nil {
		t.Fatal(err)
	}
	ids := func(n int) string { return strings.Trim(strings.Repeat(fmt.Sprintf("%d,", n), 4), ",") }
	for how, want := range map[string][2]string{
		"raw":   {"0000000000002000", "raw socket: <nil>"},
		"plain": {"0000000000000000", "raw socket: operation not permitted"},
	} {
		parent := t.TempDir()
		must(t, os.Chmod(parent, 0o755))
		must(t, os.Chmod(filepath.Dir(parent), 0o755))
		cmd := exec.Command(program, "switch", "nobody", how, filepath.Join(parent, "own"))
		cmd.Env = append(os.Environ(), asChild+"=1")
		out, err := cmd.CombinedOutput()
		all := fmt.Sprintf("thread Uid=%s Gid=%s CapPrm=%s CapEff=%[3]s CapAmb=%[3]s\n", ids(nobody.UID), ids(nobody.GID), want[0])
		if err != nil || string(out) != all+want[1]+"\nown: <nil> home: true\n" {
			t.Errorf("%s: %v\n%s\nwant\n%s%s", how, err, out, all, want[1])
		}
	}
}

func TestFindAccount(t *testing.T) {
	root, err := FindAccount("root")
	if err != nil || root.UID != 0 || root.Name != "root" {
		t.Errorf("%+v, %v", root, err)
	}
	same, err := FindAccount("0")
	if err != nil || same.Name != root.Name {
		t.Errorf("by number: %+v, %v", same, err)
	}
	if _, err := FindAccount("no-such-user"); err == nil || !strings.Contains(err.Error(), "useradd") || !strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("%v gives no hint", err)
	}
}

func TestOwnDir(t *testing.T) {
	testkit.NeedRoot(t)
	nobody := Account{Name: "nobody", UID: 65534, GID: 65534}
	dir := t.TempDir()
	owner := func(path string) uint32 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	made := filepath.Join(dir, "a", "b")
	must(t, nobody.OwnDir(made))
	if owner(made) != 65534 || owner(filepath.Dir(made)) != 65534 {
		t.Errorf("made: %d in %d", owner(made), owner(filepath.Dir(made)))
	}
	for name, c := range map[string]struct {
		mode  os.FileMode
		full  bool
		owner uint32
	}{
		"left by root": {0o700, false, 65534},
		"in use":       {0o700, true, 0},
		"of all":       {0o755, false, 0},
	} {
		path := filepath.Join(dir, name)
		must(t, os.Mkdir(path, 0o700))
		must(t, os.Chmod(path, c.mode))
		if c.full {
			must(t, os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
		}
		must(t, nobody.OwnRunDir(path))
		if owner(path) != c.owner {
			t.Errorf("%s belongs to %d, want %d", name, owner(path), c.owner)
		}
	}
}
