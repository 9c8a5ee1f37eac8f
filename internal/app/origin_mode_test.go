package app

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/config"
)

// told is what a configuration has its origin do, in a line.
func told(c *config.Config) string {
	var parts []string
	o := &c.Origin
	if len(o.ReadDirs) > 0 {
		parts = append(parts, "read")
	}
	if o.WriteDir != "" {
		parts = append(parts, "write")
	}
	for _, s := range o.SinkList {
		parts = append(parts, "sink "+s.Channel+" at "+s.Path)
	}
	for _, r := range o.RecordList {
		parts = append(parts, "record "+r.Channel+" in "+r.Path)
	}
	for _, p := range o.PushList {
		parts = append(parts, "push "+p.From+" to "+strings.Join(p.To, " "))
	}
	if len(o.Sources) > 0 {
		parts = append(parts, "source "+o.Sources[0])
	}
	doors := ""
	for _, d := range c.OriginDoors() {
		doors += " " + d.String()
	}
	return fmt.Sprintf("%s at%s, gws %t, its users %d", strings.Join(parts, "; "), doors, c.HasOriginChannels(), len(c.Listen))
}

// Section 1.1 of the behaviour of httpout: what a command line means.
func TestOriginModes(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, filepath.Join(dir, "a.ts"), "")
	file := "file://" + filepath.Join(dir, "a.ts")
	for line, want := range map[string]string{
		".":                                      "read at :8080, gws false, its users 1",
		"--wdir up":                              "write at :8080, gws false, its users 1",
		"--wdir up --rdirs up":                   "read; write at :8080, gws false, its users 1",
		"--cert c --pkey k .":                    "read at https://:8443, gws false, its users 1",
		"--cert c --pkey k --port 443 .":         "read at https://:443, gws false, its users 1",
		"--cert c --pkey k --port 80,443 .":      "read at :80 https://:443, gws false, its users 1",
		"--port 81 --ifce 127.0.0.1 .":           "read at 127.0.0.1:81, gws false, its users 1",
		"--ifce ::1 .":                           "read at [::1]:8080, gws false, its users 1",
		"--dst http://localhost:82/ --port 81 .": "read at :82, gws false, its users 1",
		"--listen 127.0.0.1:83 .":                "read at 127.0.0.1:83, gws false, its users 1",
		"-i udp://239.1.1.1:5000 --dst /live.ts": "sink udp://239.1.1.1:5000 at /live.ts at :8080, gws true, its users 0",
		"-i udp://239.1.1.1:5000 --dst http://localhost:90/l/x.ts":   "sink udp://239.1.1.1:5000 at /l/x.ts at :90, gws true, its users 0",
		"-i a.ts --dst a -i udp://239.1.1.1:5000 --dst b":            "sink " + file + " at /a; sink udp://239.1.1.1:5000 at /b at :8080, gws true, its users 0",
		"-i udp://239.1.1.1:5000 --dst /live.ts --rdirs .":           "read; record udp://239.1.1.1:5000 in /live.ts at :8080, gws true, its users 0",
		"--hmode push -i a.ts --dst http://far:8080/a.ts":            "push " + file + " to http://far:8080/a.ts at, gws true, its users 0",
		"--hmode push -i . --dst http://far/up/":                     "push " + dir + " to http://far/up/ at, gws false, its users 1",
		"--hmode source":                                             "source / at :8080, gws true, its users 1",
		"--hmode source --dst http://localhost:91":                   "source / at :91, gws true, its users 1",
		"--hmode push --wdir up -i udp://239.1.1.1:5000 --dst /a.ts": "write; record udp://239.1.1.1:5000 in /a.ts at :8080, gws true, its users 0",
	} {
		c, _, err := originConfig(t, strings.Fields(line)...)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got := told(&c); got != want {
			t.Errorf("%s:\n got %s\nwant %s", line, got, want)
		}
	}
}

// What directories overrule is told of.
func TestOriginModeIsLeftOut(t *testing.T) {
	_, o, err := originConfig(t, "--hmode", "source", t.TempDir())
	if err != nil || len(o.warnings) != 1 || !strings.Contains(o.warnings[0], "--hmode source") {
		t.Errorf("warnings %q, %v", o.warnings, err)
	}
}

// Start-up errors of section 1.1, and of acceptance 22 and 61, say what is wanted.
func TestLine22And61StartUpErrors(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for line, want := range map[string]string{
		"-i udp://239.1.1.1:5000": "1 inputs (-i) and 0 places",
		"--dst /a":                "the origin has nothing to serve",
		"-i udp://239.1.1.1:5000 --dst http://localhost:80/": "--dst has no path",
		"-i udp://239.1.1.1:5000 --dst ftp://localhost/a":    "bad --dst",
		"-i udp://239.1.1.1:5000 --dst https://localhost/a":  "wants a certificate",
		"-i none.ts --dst /a":                                "no such file or directory",
		"-i . --dst /a":                                      "is a directory",
		"-i $news --dst /a":                                  "no channel is called news",
		"-i udp://239.1.1.1:5000 --dst http://h:80/a -i udp://239.1.1.2:5000 --dst http://h:81/b": "one origin has one",
		"--hmode push":                           "wants what is uploaded",
		"--hmode push -i . --dst /a":             "wants a whole URL",
		"--hmode source -i udp://239.1.1.1:5000": "want no -i",
		"-i foo://x --dst /a":                    "-i: unsupported scheme",
		"--reopen false .":                       "say --OPTION=false",
		"rdirs=live":                             `"rdirs=live" is not read as a directory: an option is said as --rdirs VALUE`,
		"live:port=80":                           "an option is said as --port VALUE",
		"--hdrs X-A .":                           "the last name has no value",
		"--cert c .":                             "--cert: origin.cert: want both",
		"--port 80,81 .":                         "want --cert and --pkey",
		"--listen :80 --port 81 .":               "--listen says all of it",
		"--ifce nosuchinterface .":               "--ifce nosuchinterface",
	} {
		_, _, err := originConfig(t, strings.Fields(line)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", line, err, want)
		}
	}
}
