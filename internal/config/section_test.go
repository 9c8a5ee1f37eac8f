package config

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sluice/internal/gws"
	"sluice/internal/logs"
)

// gigapxyConf has everything that is known of gigapxy's settings.
const gigapxyConf = `
ws : {
  ng : { socket_path = "/tmp/ws.socket"; force_shutdown = false; pick_method = "min-channels"; accept_min_attached = 2; };
  split_channels = true;
  report : { cache_timeout_ms = 2500; };
  auth : { aux_params = "listener-alias"; };
  log : { level_default = "warn"; file = "/var/log/gws.log"; max_size_mb = 3; max_files = 4; time_format = "gmt"; };
};
ng : {
  ng_socket_path = "/tmp/ng.socket";
  log : { level_default = "norm"; file = "/var/log/gng.log"; max_size_mb = 5; max_files = 6; time_format = "raw-mono"; };
};
`

func conf(t *testing.T, text string, role Role) Config {
	t.Helper()
	c, err := Parse("gigapxy.conf", []byte(text), role)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func warnings(c Config) string {
	var lines []string
	for _, w := range c.Warnings() {
		lines = append(lines, w.Short())
	}
	return strings.Join(lines, "\n")
}

// The sections of gigapxy: names, defaults and meanings.
func TestAcceptance(t *testing.T) {
	t.Run("8", func(t *testing.T) {
		want := Default()
		want.Socket, want.ForceShutdown, want.Spread, want.MinEngines, want.SplitChannels = "/tmp/ws.socket", false, gws.MinChannels, 2, true
		want.Report.Cache, want.Auth.ListenerAlias = 2500*time.Millisecond, true
		want.Log = Log{Level: slog.LevelWarn, File: "/var/log/gws.log", MaxSize: 3 << 20, MaxFiles: 4, Time: logs.TimeGMT, Syslog: true}
		c := conf(t, gigapxyConf, GWS)
		if diff := equal(want, c); diff != "" || warnings(c) != "" {
			t.Errorf("gws (-want +got):\n%s\n%s", diff, warnings(c))
		}
		want = Default()
		want.Socket = "/tmp/ng.socket"
		want.Log = Log{Level: logs.Norm, File: "/var/log/gng.log", MaxSize: 5 << 20, MaxFiles: 6, Time: logs.TimeMono, Syslog: true}
		c = conf(t, gigapxyConf, GNG)
		if diff := equal(want, c); diff != "" || warnings(c) != "" {
			t.Errorf("gng (-want +got):\n%s\n%s", diff, warnings(c))
		}
	})
	t.Run("8 run reads both", func(t *testing.T) {
		c := conf(t, gigapxyConf, Run)
		if c.Socket != "/tmp/ws.socket" || c.Log.File != "/var/log/gws.log" || c.MinEngines != 2 {
			t.Errorf("%+v", c)
		}
		want := "gigapxy.conf:10:3: ng.ng_socket_path is left out: socket in gigapxy.conf:3 is another name for it, and one holds for all"
		if got := warnings(c); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 5 {
			t.Errorf("%s", got)
		}
		same := "ws : { ng : { socket_path = \"/s\"; }; };\nng : { ng_socket_path = \"/s\"; };"
		if got := warnings(conf(t, same, Run)); got != "" {
			t.Errorf("both say the same: %s", got)
		}
	})
	t.Run("8 defaults", func(t *testing.T) {
		for text, want := range map[string]string{
			"ws : {};": "", "ng : {};": "", "ws : {}; ng : {};": "", // both modules find the same place
			"ws : { split_channels = true; }; socket = \"/s\";": "/s",
		} {
			for _, role := range []Role{GWS, GNG, Run} {
				if c := conf(t, text, role); c.Socket != want {
					t.Errorf("%s: socket %q, want %q", text, c.Socket, want)
				}
			}
		}
	})
	t.Run("8 lists", func(t *testing.T) {
		for params, want := range map[string]bool{`"listener-alias"`: true, `( "listener-alias" )`: true, `[ "listener-alias" ]`: true, `""`: false, `()`: false} {
			if c := conf(t, "ws : { auth : { aux_params = "+params+"; }; };", GWS); c.Auth.ListenerAlias != want {
				t.Errorf("%s: %v", params, c.Auth.ListenerAlias)
			}
		}
	})
	t.Run("11", func(t *testing.T) {
		c := conf(t, "ws : {\n  cache : { size = 7; };\n  split_channels = true;\n  log : { show_pid = true; };\n};\nngx = 1;\nhistory : { dept = \"1s\"; };\n", GWS)
		want := `gigapxy.conf:2:3: unknown setting ws.cache; left out
gigapxy.conf:4:11: unknown setting ws.log.show_pid; left out
gigapxy.conf:6:1: unknown key "ngx"; left out
gigapxy.conf:7:13: unknown key "history.dept" (did you mean history.depth?); left out`
		if got := warnings(c); got != want || !c.SplitChannels {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if got := warnings(conf(t, "ws : { cache = 1; };", GNG)); got != "" {
			t.Errorf("gng looks at the section of gws: %s", got)
		}
	})
	t.Run("12", func(t *testing.T) {
		c, err := Parse("a.conf", []byte("limits : { clients = 5000000000; };"), Run)
		if err == nil || !strings.Contains(err.Error(), `bad number "5000000000"`) {
			t.Errorf("a number of more than 32 bits became %d, %v", c.Limits.MaxClients, err)
		}
	})
	t.Run("9", testMandatory)
}

func testMandatory(t *testing.T) {
	for _, x := range []struct {
		name, text string
		role       Role
		want       string
	}{
		{"a.yaml", "engines: 1\n", GWS, "a.yaml: log.file is not set: a daemon needs a log file"},
		{"a.yaml", "engines: 1\nlog: {level: info}\n", GWS, "a.yaml:2:1: log.file is not set"},
		{"a.yaml", "log:\n  level: info\n  file: \"\"\n", GWS, "a.yaml:3:3: log.file is not set"},
		{"a.conf", "ng : {\n  log : {\n    file = \"\"; }; };\n", GNG, "a.conf:3:5: ng.log.file is not set"},
		{"a.conf", "ws : {};\nng : {};\n", GNG, "a.conf:2:1: ng.log.file is not set"},
		{"a.conf", "ws : {\n  log : {};\n};\n", GWS, "a.conf:2:3: ws.log.file is not set"},
		{"a.conf", "log : {};\nws : {};\n", GWS, "a.conf:1:1: log.file is not set"},
		{"a.conf", "log : { file = \"/l\"; };\n", GWS, ""},
		{"a.conf", "ng : { log : { file = \"/l\"; }; };\n", GNG, ""},
	} {
		c, err := Parse(x.name, []byte(x.text), x.role)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Mandatory(true)
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.HasPrefix(err.Error(), x.want)) {
			t.Errorf("%s: %v, want %s", x.text, err, x.want)
		}
		if err := c.Mandatory(false); err != nil {
			t.Errorf("in the foreground: %v", err)
		}
	}
	c := Default()
	if err := c.Mandatory(true); err == nil || !strings.Contains(err.Error(), "no configuration file was found") {
		t.Errorf("without a file: %v", err)
	}
}

// Ours beside another name for it counts.
func TestOursOverrules(t *testing.T) {
	c := conf(t, "log : { level = \"error\"; };\nws : { log : { level_default = \"debug\"; }; };\n", GWS)
	if c.Log.Level != slog.LevelError || c.From("log.level").String() != "gigapxy.conf:1" {
		t.Errorf("level %v of %s", c.Log.Level, c.From("log.level"))
	}
	if got := warnings(c); got != "gigapxy.conf:2:16: this is left out: log.level is set in gigapxy.conf:1" {
		t.Errorf("%s", got)
	}
}

// All mistakes are found, and the first is told.
func TestSeveralMistakes(t *testing.T) {
	_, err := Parse("a.yaml", []byte("engine: 2\nlinger: 10\nallow: [here]\nchannels: {a: {start: x}, b: 1}\nstall: 1m\n"), Run)
	var all Errors
	if !errors.As(err, &all) || len(all) != 5 || !strings.HasSuffix(err.Error(), "\nand 4 more: sluice check -C FILE shows them") {
		t.Errorf("%d mistakes: %v", len(all), err)
	}
	for i, want := range []int{1, 2, 3, 4, 4} {
		if i < len(all) && all[i].Line != want {
			t.Errorf("mistake %d: %v", i, all[i])
		}
	}
}

func TestFlagsHaveToFit(t *testing.T) {
	c := Default()
	if err := c.SetBy("--listen", "listen", "https://:4443"); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err == nil || err.Error() != "--listen: listen: https://:4443 needs tls.certificate and tls.key" {
		t.Errorf("%v", err)
	}
}
