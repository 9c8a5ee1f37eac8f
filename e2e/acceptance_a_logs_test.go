//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// testLogIsRotatedBySize gives modules a log that has no room for a line more, or just as
// much as the first one needs.
func testLogIsRotatedBySize(t *testing.T) {
	const mib = 1 << 20
	for module, section := range map[string]string{"gws": "ws", "gng": "ng"} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			p := newDuo(t, "")
			log := p.path("log")
			file := put(t, p.path("gigapxy.conf"), fmt.Sprintf(`listen = %q; admin = %q; run_dir = %q; socket = %q;
reconnect = { attempts = 1000; delay = "20ms"; };
%s : { log : { file = %q; max_size_mb = 1; }; };
`, p.user, p.admin, p.dir, p.path("socket"), section, log))
			// once runs the module with a log of n bytes, and says what is in the log and in
			// the one that was put aside.
			once := func(n int) (now, aside string) {
				t.Helper()
				_ = os.Remove(log + ".1")
				put(t, log, strings.Repeat("x", max(n-1, 0))+strings.Repeat("\n", min(n, 1)))
				proc := startModule(t, module, "-C", file)
				awaitLog(t, log, module+`: ready`)
				stopNow(t, proc, syscall.SIGTERM)
				old, _ := os.ReadFile(log + ".1") // there may be none
				return readFile(t, log), string(old)
			}
			lines, aside := once(0)
			if aside != "" {
				t.Fatalf("rotated when nothing was in it: %q", aside)
			}
			first, _, _ := strings.Cut(lines, "\n")
			for _, c := range []struct {
				size  int
				aside int // bytes that are put aside
			}{
				{mib - 100_000, 0},
				{mib - len(first) - 1, mib},          // the first line fills it, the second is too much
				{mib - len(first), mib - len(first)}, // the first is too much by a byte
				{mib, mib},
			} {
				now, aside := once(c.size)
				if len(aside) != c.aside {
					t.Errorf("a log of %d bytes: %d bytes are put aside, want %d", c.size, len(aside), c.aside)
				}
				if all := aside + now; strings.Count(all, first[len(first)-40:]) != 1 || !strings.HasPrefix(all, "xxx") || len(now) > mib {
					t.Errorf("a log of %d bytes became %d and %d bytes; lines are lost or twice", c.size, len(aside), len(now))
				}
			}
		})
	}
}

// numberedEntries are the numbers of the requests /NUMBER that the access log tells of.
func numberedEntries(t *testing.T, path string) (numbers []int) {
	t.Helper()
	for _, line := range logLines(t, path) {
		m := accessLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not a line of the access log: %q", line)
		}
		if n := regexp.MustCompile(`"GET /(\d+) `).FindStringSubmatch(line); n != nil {
			number, err := strconv.Atoi(n[1])
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, number)
		}
	}
	return numbers
}

func upTo(from, past int) (all []int) {
	for n := from; n < past; n++ {
		all = append(all, n)
	}
	return all
}

func testLogsAreRemoved(t *testing.T) {
	p := newDuo(t, "")
	log, access := p.path("log"), p.path("access.log")
	config := fmt.Sprintf("log: {file: %s, max_files: 2}\naccess_log: {file: %s, max_files: 3, max_size: 2KiB}\n", log, access)
	p.write(config)
	p.startGWS()
	awaitLog(t, log, `gws: ready`)

	const requests = 100
	for n := range requests {
		if a := request(t, "GET", p.url(fmt.Sprintf("/%d", n))); a.code != 404 && a.code != 400 {
			t.Fatalf("/%d: %d", n, a.code)
		}
	}
	var numbers []int
	testkit.Eventually(t, func() error {
		if numbers = numberedEntries(t, access); len(numbers) == 0 || numbers[len(numbers)-1] != requests-1 {
			return fmt.Errorf("the access log tells of %v", numbers)
		}
		return nil
	})
	if files := logFiles(t, access); len(files) != 4 {
		t.Errorf("access logs %q, want 3 that were put aside", files)
	}
	if first := numbers[0]; first == 0 || !slices.Equal(numbers, upTo(first, requests)) {
		t.Errorf("the access logs tell of %v, want the newest ones without a gap", numbers)
	}

	const rotations = 5
	for n := range rotations { // a log that is empty stays where it is
		p.write(config + fmt.Sprintf("channels: {number%d: {source: \"udp://239.1.1.1:5000\"}}\n", n))
		p.gws.Signal(syscall.SIGHUP)
		awaitLog(t, log, fmt.Sprintf(`configuration read again .*channels.number%d`, n))
		before := readFile(t, log)
		p.gws.Signal(syscall.SIGUSR1)
		testkit.Eventually(t, func() error {
			if aside, err := os.ReadFile(log + ".1"); err != nil || string(aside) != before {
				return fmt.Errorf("signal %d: not put aside, %w", n, err)
			}
			return nil
		})
	}
	if lines := strings.Join(logLines(t, log), ""); len(logFiles(t, log)) != 3 || strings.Contains(lines, "number1") || !strings.Contains(lines, "number3") {
		t.Errorf("logs %q, want 2 that were put aside, the newest:\n%s", logFiles(t, log), lines)
	}
}

// formats have a line with its time, as log.time says it.
var formats = map[string]string{
	"local":    `^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \+0545 NORM +gws: `,
	"gmt":      `^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) GMT NORM +gws: `,
	"raw":      `^(\d+\.\d{9}) NORM +gws: `,
	"raw_mono": `^(\d+\.\d{9}) NORM +gws: `,
	"no_time":  `^()NORM +gws: `,
}

func testTimeFormats(t *testing.T) {
	zone := time.FixedZone("", 5*3600+45*60)
	wall := func() time.Duration { return time.Duration(time.Now().UnixNano()) }
	mono := func() time.Duration {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			t.Fatal(err)
		}
		return time.Duration(now.Nano())
	}
	for format, line := range formats {
		p := newDuo(t, "")
		log := p.path("log")
		p.write(fmt.Sprintf("log: {file: %s, time: %s}\n", log, format))
		clock := wall
		if format == "raw_mono" {
			clock = mono
		}
		before := clock()
		p.gws = startStopped(t, "env", "TZ=Asia/Kathmandu", program(), "gws", "-T", "-C", p.config)
		stamp := awaitLog(t, log, line)[1]
		after := clock()
		var at time.Duration
		switch format {
		case "local", "gmt":
			in := map[string]*time.Location{"local": zone, "gmt": time.UTC}[format]
			when, err := time.ParseInLocation("2006-01-02 15:04:05.000", stamp, in)
			if err != nil {
				t.Fatal(err)
			}
			at, before = time.Duration(when.UnixNano()), before.Truncate(time.Millisecond)
		case "raw", "raw_mono":
			seconds, nanoseconds, _ := strings.Cut(stamp, ".")
			var err error
			if at, err = time.ParseDuration(seconds + "s" + strings.TrimLeft(nanoseconds[:8], "0") + nanoseconds[8:] + "ns"); err != nil {
				t.Fatal(err)
			}
		case "no_time":
			continue
		}
		if at < before || at > after {
			t.Errorf("%s: %s is %v, want what was between %v and %v", format, stamp, at, before, after)
		}
	}
}

// testLevels has modules say something of every level: by a file that is broken when it is
// read again, and by an engine that finds no gws.
func testLevels(t *testing.T) {
	levels := []string{"DEBUG", "INFO", "NORM", "WARN", "ERROR", "CRIT"}
	for word, least := range map[string]string{
		"debug": "DEBUG", "info": "INFO", "": "INFO", "norm": "NORM", "warn": "WARN", "err": "ERROR", "crit": "CRIT",
	} {
		t.Run("level "+word, func(t *testing.T) {
			t.Parallel()
			p := newDuo(t, "limits: {channels: 1}\n")
			setting := ""
			if word != "" {
				setting = fmt.Sprintf("level_default = %q; ", word)
			}
			conf := func(name, section, more string) (file, log string) {
				log = p.path(name + ".log")
				return put(t, p.path(name+".conf"), fmt.Sprintf("listen = %q; admin = %q; run_dir = %q; socket = %q; reconnect = { attempts = 3; delay = \"20ms\"; };\n"+
					"%s : { log : { %sfile = %q; }; };\nodd = 1;\n%s\n", p.user, p.admin, p.dir, p.path("socket"), section, setting, log, more)), log
			}
			gwsFile, gwsLog := conf("gws", "ws", "force_shutdown = false;")
			gngFile, gngLog := conf("gng", "ng", "")
			want := levels[slices.Index(levels, least):]

			p.gws = startModule(t, "gws", "-C", gwsFile)
			testkit.Eventually(t, func() error { _, err := p.tryStatus(); return err })
			proc := testkit.Start(t, program(), "gng", "-T", "-C", gngFile)
			p.attached(proc.PID())
			p.wants(200, "/udp/"+source(t)) // which is INFO of gws and DEBUG of gng
			p.eventually(noClients)
			conf("gws", "ws", "engines = many;")
			p.gws.Signal(syscall.SIGHUP)
			if slices.Contains(want, "ERROR") && word != "crit" {
				awaitLog(t, gwsLog, ` ERROR gws: configuration not read again`)
			}
			stopNow(t, p.gws, syscall.SIGTERM)
			if err := proc.Wait(); err == nil {
				t.Error("the engine ends well without its gws")
			}
			seen := map[string]int{}
			for _, line := range slices.Concat(wholeLines(t, gwsLog), wholeLines(t, gngLog)) {
				if m := logLine.FindStringSubmatch(line); m != nil {
					seen[m[1]]++
				}
			}
			for _, level := range levels {
				if asked := slices.Contains(want, level); asked != (seen[level] > 0) {
					t.Errorf("%d lines of level %s", seen[level], level)
				}
			}
		})
	}
}

// testSharedLog has two modules write to one file, which is rotated by its size, by both of
// them, and by signals to both of them.
func testSharedLog(t *testing.T) {
	p := newDuo(t, "")
	log := p.path("log")
	p.write(fmt.Sprintf("log: {file: %s, level: debug, max_size: 1KiB, max_files: 1000}\n", log))
	p.startGWS()
	p.startGNG()
	p.attached(p.gng.PID())
	group := source(t)
	const rounds, each = 5, 30
	for range rounds {
		viewers := watchMany(t, p.url("/udp/"+group), each)
		p.gws.Signal(syscall.SIGUSR1)
		for _, v := range viewers {
			v.cancel()
		}
		p.gng.Signal(syscall.SIGUSR1)
		p.eventually(noClients)
	}
	stopNow(t, p.gng, syscall.SIGTERM)
	stopNow(t, p.gws, syscall.SIGTERM)

	// Each module tells of each client: once that it started and once that it ended.
	told := map[string]map[string]int{}
	for _, line := range wholeLines(t, log) {
		if m := regexp.MustCompile(` (gws|gng): client (started|ended) .*client=(TCP://\S+)`).FindStringSubmatch(line); m != nil {
			what := m[1] + " " + m[2]
			if told[what] == nil {
				told[what] = map[string]int{}
			}
			told[what][m[3]]++
		}
	}
	for _, what := range []string{"gws started", "gws ended", "gng started", "gng ended"} {
		n := 0
		for _, times := range told[what] { // a later client may have the port of an earlier one
			n += times
		}
		if n != rounds*each || !maps.Equal(told[what], told["gws started"]) {
			t.Errorf("%s: %d clients, want the same %d for all: %v", what, n, rounds*each, told[what])
		}
	}
	if files := logFiles(t, log); len(files) < rounds {
		t.Errorf("files %q: it was not rotated by size and signals", files)
	}
}
