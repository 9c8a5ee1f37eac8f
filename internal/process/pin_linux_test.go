package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// pinSelf makes a test that was started anew pin its own process.
const pinSelf = "SLUICE_TEST_PIN_SELF"

// TestPin runs in a process of its own, which stays pinned.
func TestPin(t *testing.T) {
	if os.Getenv(pinSelf) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPin$", "-test.v")
		cmd.Env = append(os.Environ(), pinSelf+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestPin") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	cpus, err := CPUs()
	must(t, err)
	stop := spawnThreads()
	for _, cpu := range cpus { // from one to the next, as well
		must(t, Pin(cpu))
		onlyOn(t, cpu)
	}
	stop()
	stop = keepThreads(20) // later ones
	last := cpus[len(cpus)-1]
	if n := onlyOn(t, last); n < 20 {
		t.Errorf("%d threads, want at least 20", n)
	}
	stop()
	if got, err := CPUs(); err != nil || !slices.Equal(got, []int{last}) {
		t.Errorf("pinned to %d, CPUs() = %v, %v", last, got, err)
	}
	if n := runtime.GOMAXPROCS(0); n != 2 {
		t.Errorf("GOMAXPROCS is %d", n)
	}
}

// spawnThreads starts threads, which start threads, until stop is called.
func spawnThreads() (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
					keepThreads(2)()
				}
			}
		})
	}
	return func() { close(end); wg.Wait() }
}

// keepThreads holds n threads until stop is called. They end with their goroutines.
func keepThreads(n int) (stop func()) {
	end := make(chan struct{})
	var up, down sync.WaitGroup
	up.Add(n)
	for range n {
		down.Go(func() {
			runtime.LockOSThread() // and never unlocked
			up.Done()
			<-end
		})
	}
	up.Wait()
	return func() { close(end); down.Wait() }
}

// onlyOn checks what the kernel says of each thread, and returns how many there are.
func onlyOn(t *testing.T, cpu int) (threads int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	must(t, err)
	for _, file := range files {
		list := allowed(file)
		if list == "" {
			continue // it has ended
		}
		threads++
		if list != strconv.Itoa(cpu) {
			t.Errorf("%s: may run on %s, want %d", file, list, cpu)
		}
	}
	return threads
}

// allowed is Cpus_allowed_list of a status file (proc_pid_status(5)).
func allowed(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if list, ok := strings.CutPrefix(s.Text(), "Cpus_allowed_list:"); ok {
			return strings.TrimSpace(list)
		}
	}
	return ""
}

// TestPinRefuses names the CPUs there are and leaves everything as it was.
func TestPinRefuses(t *testing.T) {
	before, err := CPUs()
	must(t, err)
	procs := runtime.GOMAXPROCS(0)
	for _, cpu := range []int{-1, 1023, 1 << 20} {
		err := Pin(cpu)
		if err == nil {
			t.Fatalf("pinned to CPU %d", cpu)
		}
		if want := fmt.Sprintf("pin to CPU %d: no such CPU for this process (it may use %d", cpu, before[0]); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q does not begin with %q", err, want)
		}
	}
	if after, err := CPUs(); err != nil || !slices.Equal(before, after) {
		t.Errorf("CPUs %v before, %v after (%v)", before, after, err)
	}
	if n := runtime.GOMAXPROCS(0); n != procs {
		t.Errorf("GOMAXPROCS %d before, %d after", procs, n)
	}
}
