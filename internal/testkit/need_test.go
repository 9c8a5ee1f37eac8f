package testkit

import (
	"errors"
	"os"
	"testing"
)

func TestNeed(t *testing.T) {
	const ask = "TESTKIT_NEED"
	if os.Getenv(ask) != "" {
		Need(t, "sh", "no-such-program")
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ ci, line string }{
		{"", "--- SKIP: "}, {"true", "--- FAIL: "},
	} {
		t.Setenv(ask, "1")
		t.Setenv("CI", tt.ci)
		t.Setenv("SLUICE_E2E", "")
		p := Start(t, self, "-test.v", "-test.run=^TestNeed$")
		p.WaitLine("no-such-program is missing: install package no-such-program")
		p.WaitLine("^" + tt.line + "TestNeed")
		if err := p.Wait(); (err != nil) != (tt.ci == "true") {
			t.Errorf("CI=%s: ended with %v", tt.ci, err)
		}
	}
}

func TestEventually(t *testing.T) {
	calls := 0
	Eventually(t, func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
}
