package testkit

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Need skips the test when a program is missing and names the package that has it.
// With CI=true or SLUICE_E2E=1 in the environment it fails instead: there, a test
// that is left out is a failure.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		leaveOut(t, name+" is missing: install package "+packageOf(name))
	}
}

// NeedFile is Need for what is no program: one of the files, which that package has.
func NeedFile(t testing.TB, pkg string, files ...string) {
	t.Helper()
	for _, path := range files {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	leaveOut(t, files[0]+" is missing: install package "+pkg)
}

// NeedRoot is Need for the rights of root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		leaveOut(t, "only root can do this")
	}
}

// NeedUsers is Need for the right to start programs as other users: in a user namespace
// there may be none but root.
func NeedUsers(t testing.TB) {
	t.Helper()
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := cmd.Run(); err != nil {
		leaveOut(t, "a program cannot be started as another user: "+err.Error())
	}
}

// leaveOut skips the test and says why; where nothing may be left out it fails.
func leaveOut(t testing.TB, why string) {
	t.Helper()
	if strict() {
		t.Fatal(why)
	}
	t.Skip(why)
}

func strict() bool { return os.Getenv("CI") == "true" || os.Getenv("SLUICE_E2E") == "1" }

// packageOf is the Debian package of a program, by default that of the same name.
func packageOf(program string) string {
	switch program {
	case "ffprobe", "ffplay":
		return "ffmpeg"
	case "cvlc":
		return "vlc"
	case "ip", "ss", "tc":
		return "iproute2"
	case "qemu-system-x86_64":
		return "qemu-system-x86"
	case "dpkg-deb":
		return "dpkg"
	case "nsenter", "unshare", "setpriv":
		return "util-linux"
	case "rsyslogd":
		return "rsyslog"
	case "systemd-socket-activate":
		return "systemd"
	case "useradd":
		return "passwd"
	case "qemu-arm-static", "qemu-aarch64-static", "qemu-mipsel-static":
		return "qemu-user-static"
	case "qemu-arm", "qemu-aarch64", "qemu-mipsel":
		return "qemu-user"
	case "dnsmasq":
		return "dnsmasq-base"
	case "htpasswd":
		return "apache2-utils"
	case "h2load":
		return "nghttp2-client"
	}
	return program
}

// Eventually calls f until it returns nil, and fails the test with f's last error
// when Patience is over. It is only for outside facts that give no event, such as
// files below /proc and the counters of another process.
func Eventually(t testing.TB, f func() error) {
	t.Helper()
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-patience.C:
			t.Fatalf("still not true: %v", err)
		}
	}
}

// NoLeaks fails the test when a goroutine that it started outlives it. Call it
// first: what is cleaned up before the test is over does not count.
func NoLeaks(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}
