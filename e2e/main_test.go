//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sluice/internal/testkit"
)

// The environment of the test binary inside its namespace names the program under test
// and the folder of the clips; both are made outside, where modules can be had.
const (
	programEnv = "SLUICE_E2E_PROGRAM"
	clipsEnv   = "SLUICE_E2E_CLIPS"
)

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		testkit.MainInNamespace(m)
		return
	}
	os.Exit(prepare())
}

// prepare builds what all tests share, runs this binary again for the tests and clears
// up; it returns the exit code.
func prepare() int {
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-race", "-o", program, "sluice")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program under test: %v\n%s", err, out)
		return 1
	}
	inside := exec.Command(os.Args[0], os.Args[1:]...)
	inside.Env = append(os.Environ(), programEnv+"="+program, clipsEnv+"="+dir)
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	err = inside.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
