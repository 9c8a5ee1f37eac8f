package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// vmEnv tells the test binary that it is the first process of a virtual machine.
	vmEnv = "SLUICE_TEST_VM"
	// vmEnded and the exit code is the last line of the machine's console.
	vmEnded = "sluice: the tests have ended with code "
	// vmTime bounds the tests in a machine, whose processor is interpreted on a busy host, and
	// vmMore what comes before and after them.
	vmTime = 3 * time.Minute
	vmMore = time.Minute
)

// MainInVM runs all tests of a package whose tests ask InVM:
//
//	func TestMain(m *testing.M) { testkit.MainInVM(m) }
func MainInVM(m *testing.M) {
	if os.Getenv(vmEnv) == "" || os.Getpid() != 1 {
		os.Exit(m.Run())
	}
	code := 1
	if err := startGuest(); err != nil {
		fmt.Println("start the virtual machine:", err)
	} else {
		code = m.Run()
	}
	fmt.Printf("\n%s%d\n", vmEnded, code)
	if err := powerOff(); err != nil {
		fmt.Println("power off:", err)
	}
}

// InVM runs one top-level test in a virtual machine with these modules in its kernel: for
// what the kernel of this machine does not have. It reports whether the caller is inside:
//
//	if !testkit.InVM(t, "sctp") {
//		return
//	}
//
// Outside, the test binary is built once more, without cgo, and started as the first and
// only process of the machine (qemu); its failure or skip becomes that of t. It is root and
// has /proc, /sys, /dev, an empty /tmp, 400 MB of memory, and a loopback interface with
// an MTU of 1500 bytes. The kernel is Debian's for cloud machines, which is loaded once
// and kept in the user's directory of caches.
func InVM(t *testing.T, modules ...string) (inside bool) {
	t.Helper()
	if strings.Contains(t.Name(), "/") {
		t.Fatal("InVM is for top-level tests")
	}
	if os.Getenv(vmEnv) != "" && os.Getpid() == 1 {
		return true
	}
	if runtime.GOARCH != "amd64" {
		leaveOut(t, "virtual machines are made on amd64 only")
	}
	Need(t, "qemu-system-x86_64", "dpkg-deb")
	kernel, err := findKernel(t.Context())
	if err != nil {
		leaveOut(t, fmt.Sprintf("no kernel for a virtual machine: %v (`apt-get update`, and is there a network?)", err))
	}
	memory := filepath.Join(t.TempDir(), "initramfs")
	if err := buildGuest(t, memory, kernel, modules); err != nil {
		t.Fatal(err)
	}
	out, err := boot(t, kernel, memory)
	switch {
	case err != nil:
		t.Fatalf("virtual machine: %v\n%s", err, out)
	case strings.Contains(out, "\n--- SKIP: "+t.Name()+" "):
		leaveOut(t, out)
	case !strings.Contains(out, "\n--- PASS: "+t.Name()+" ") || !strings.Contains(out, "\n"+vmEnded+"0\n"):
		t.Fatalf("inside the virtual machine:\n%s", out)
	case testing.Verbose():
		t.Log(out)
	}
	return false
}

// boot runs the machine to its end and returns what its console shows.
func boot(t *testing.T, kernel vmKernel, memory string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), vmTime+vmMore)
	defer cancel()
	command := fmt.Sprintf("console=ttyS0 quiet panic=-1 %s=1 -- -test.run=^%s$ -test.v=true -test.timeout=%v", vmEnv, t.Name(), vmTime)
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults", "-no-user-config",
		"-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel.image, "-initrd", memory, "-append", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := output(cmd)
	if ctx.Err() != nil {
		err = fmt.Errorf("it has not ended: %w", context.Cause(ctx))
	}
	return strings.ReplaceAll(out, "\r", ""), err
}

// vmKernel is where the parts of a kernel are.
type vmKernel struct {
	image   string
	modules string // directory, with more below
}

// findKernel returns the kernel that was loaded before, or loads it.
func findKernel(ctx context.Context) (vmKernel, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		return vmKernel{}, err
	}
	dir := filepath.Join(caches, "sluice-test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return vmKernel{}, err
	}
	k, err := kernelIn(dir)
	if errors.Is(err, os.ErrNotExist) {
		if err := loadKernel(ctx, dir); err != nil {
			return vmKernel{}, err
		}
		k, err = kernelIn(dir)
	}
	return k, err
}

// kernelIn returns the kernel in one of the unpacked packages below dir.
func kernelIn(dir string) (vmKernel, error) {
	images, err := filepath.Glob(filepath.Join(dir, "linux-image-*", "boot", "vmlinuz-*"))
	if err != nil || len(images) == 0 {
		return vmKernel{}, errors.Join(err, os.ErrNotExist)
	}
	image := images[len(images)-1]
	version := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
	root := filepath.Dir(filepath.Dir(image))
	for _, modules := range []string{"lib/modules", "usr/lib/modules"} {
		path := filepath.Join(root, modules, version)
		if _, err := os.Stat(path); err == nil {
			return vmKernel{image, path}, nil
		}
	}
	return vmKernel{}, fmt.Errorf("%s has no modules", root)
}

// loadKernel puts the package that Debian has now below dir, unpacked and whole, under a
// name with its version.
func loadKernel(ctx context.Context, dir string) error {
	depends, err := run(ctx, dir, "apt-cache", "depends", "--important", "linux-image-cloud-amd64")
	if err != nil {
		return err
	}
	name := regexp.MustCompile(`(?m)^ *Depends: (linux-image-[0-9][a-z0-9.+~-]*)$`).FindStringSubmatch(depends)
	if name == nil {
		return fmt.Errorf("apt-cache names no linux-image-cloud-amd64: %q", depends)
	}
	scratch, err := os.MkdirTemp(dir, "loading-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if _, err := run(ctx, scratch, "apt-get", "-qq", "download", name[1]); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(scratch, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("apt-get has left %q: %w", packages, errors.Join(err, os.ErrNotExist))
	}
	unpacked := strings.TrimSuffix(packages[0], ".deb")
	if _, err := run(ctx, scratch, "dpkg-deb", "-x", packages[0], unpacked); err != nil {
		return err
	}
	err = os.Rename(unpacked, filepath.Join(dir, filepath.Base(unpacked)))
	if errors.Is(err, os.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) { // another test was faster
		return nil
	}
	return err
}

// run returns the output of a program, and its complaint as an error.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, vmTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := output(cmd)
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return out, nil
}
