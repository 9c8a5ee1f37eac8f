package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The load (generator and clients) runs on one core, what is measured on another.
const (
	loadCore   = 0
	serverCore = 1
)

// enter runs this program again, with args, in a network namespace of its own, on
// the core of the load. Without root it makes a user namespace as well.
func enter(ctx context.Context, args []string) error {
	if runtime.NumCPU() < 2 {
		return errors.New("one core only: the benchmark needs one for the load and one for the server")
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the benchmark's own binary: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Setpgid: true}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := startOn(cmd, loadCore); err != nil {
		return fmt.Errorf("start in a network namespace of its own (needs root or user namespaces): %w", err)
	}
	return cmd.Wait()
}

// leastMTU carries a datagram of the sender whole, and RTP's header.
const leastMTU = 1400

// prepare makes the namespace usable: loopback with multicast and the wanted MTU, and
// as many descriptors as the system grants.
func prepare(ctx context.Context, mtu int) error {
	if err := setMTU(ctx, mtu); err != nil {
		return err
	}
	for _, line := range []string{"link set lo up multicast on", "route add 224.0.0.0/4 dev lo"} {
		if err := ip(ctx, line); err != nil {
			return err
		}
	}
	return raiseFiles()
}

func setMTU(ctx context.Context, mtu int) error { return ip(ctx, "link set lo mtu "+strconv.Itoa(mtu)) }

// ip runs one command of ip(8).
func ip(ctx context.Context, line string) error {
	out, err := exec.CommandContext(ctx, "ip", strings.Fields(line)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s (the benchmark needs iproute2)", line, err, out)
	}
	return nil
}

// raiseFiles raises the limit of open files for this process and its children.
func raiseFiles() error {
	const want = 1 << 17
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: want}) == nil {
		return nil
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w", limit.Max, err)
	}
	return nil
}

// startOn starts cmd on some cores: a child inherits the affinity of the thread that
// makes it, and so do its children.
func startOn(cmd *exec.Cmd, cores ...int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the affinity: %w", err)
	}
	for _, core := range cores {
		only.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("pin to core %v: %w", cores, err)
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// clock is CLOCK_MONOTONIC in nanoseconds: the same in every process.
func clock() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock exists on every Linux
	}
	return ts.Nano()
}

// sleepUntil blocks the thread until clock() reaches t. (The runtime's timers round
// to a millisecond.)
func sleepUntil(t int64) {
	ts := unix.NsecToTimespec(t)
	for errors.Is(unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil), unix.EINTR) {
	}
}

// hurry gives the thread a priority, so that neither the load's other thread nor a
// stranger on its core delays it. Best effort: not everybody may.
func hurry(nice int) { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice) }

// runOn puts all threads of this process on some cores.
func runOn(cores ...int) error {
	var only unix.CPUSet
	for _, core := range cores {
		only.Set(core)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &only); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("run on cores %v: %w", cores, err)
		}
	}
	return nil
}
