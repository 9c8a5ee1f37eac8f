package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CPUs are the numbers of the CPUs that this process may run on (sched_getaffinity(2)):
// those of the machine, less what a control group, taskset or Pin took away.
func CPUs() ([]int, error) {
	set, err := affinity(os.Getpid())
	if err != nil {
		return nil, err
	}
	var all []int
	for cpu := range 8 * int(unix.SizeofLong) * len(set) {
		if set.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	return all, nil
}

// Pin keeps all threads of the process on one CPU, those it has and those to come. An
// error says which CPUs there are, when this is none of them, and then nothing was
// changed.
//
// It sets GOMAXPROCS to 2. Go would make it 1, as many as there are CPUs now; but a
// thread that its goroutine keeps busy would then have to be taken off before any
// other goroutine can run, which Go does after 10 ms, while the kernel shares a CPU
// between two threads at once.
func Pin(cpu int) error {
	if err := pinThreads(cpu); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", cpu, err)
	}
	runtime.GOMAXPROCS(2)
	return nil
}

// pinThreads goes over the threads until all are pinned: a thread that was started
// meanwhile has what its parent had then.
func pinThreads(cpu int) error {
	var want unix.CPUSet
	want.Set(cpu)
	for {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		stable := true
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return fmt.Errorf("thread %q: %w", t.Name(), err)
			}
			changed, err := pinThread(id, &want)
			if err != nil {
				return err
			}
			stable = stable && !changed
		}
		if stable {
			return nil
		}
	}
}

// pinThread reports whether the thread was pinned only now. One that has ended is fine.
func pinThread(id int, want *unix.CPUSet) (changed bool, err error) {
	have, err := affinity(id)
	if errors.Is(err, unix.ESRCH) || err == nil && have == *want {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch err := unix.SchedSetaffinity(id, want); {
	case errors.Is(err, unix.ESRCH):
		return false, nil
	case errors.Is(err, unix.EINVAL):
		return false, fmt.Errorf("no such CPU for this process%s", offer())
	case err != nil:
		return false, fmt.Errorf("set the affinity of thread %d: %w", id, err)
	}
	return true, nil
}

func affinity(thread int) (unix.CPUSet, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(thread, &set); err != nil {
		return set, fmt.Errorf("read the affinity of thread %d: %w", thread, err)
	}
	return set, nil
}

// offer is " (it may use 0, 1)", or nothing when that is not known.
func offer() string {
	cpus, err := CPUs()
	if err != nil {
		return ""
	}
	var names []string
	for _, cpu := range cpus {
		names = append(names, strconv.Itoa(cpu))
	}
	return " (it may use " + strings.Join(names, ", ") + ")"
}
