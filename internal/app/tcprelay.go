package app

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
)

const (
	nameTcprelay    = "tcprelay"
	nameSpawnd      = "spawnd"
	nameWorker      = "tcprelay-worker"
	tcprelayLetters = "P1vbfi:I:p:d:D"
)

// The exit codes of tcprelay, those of sysexits(3).
const (
	exUsage       = 64
	exNoInput     = 66
	exUnavailable = 69 // what is needed is not there
	exOSErr       = 71
	exTempFail    = 75
	exConfig      = 78
)

const tcprelayUsage = "Usage: %s [-P] [-1] [-v] [-b|-f] [-i child-id] [-I spawnd-id] [-p pidfile] [-d level] [-D] configuration-file [id]\n"

func newTcprelay() *cobra.Command {
	return &cobra.Command{
		Use:   nameTcprelay + " [-P] [-1] [-v] [-b|-f] [-D] [-i ID] [-I ID] [-p FILE] [-d LEVEL] CONFIG [ID]",
		Short: "Relay TCP connections by a file of tcprelay",
		Long: `tcprelay reads CONFIG, a file or an URL of http or https, as the program tcprelay does, with
its sections for spawnd and tcprelay, and relays as they say. Options, messages and exit
codes are those of tcprelay. Links to sluice named tcprelay and spawnd are the same; as
spawnd, too, one program listens and relays.

  -P         only say what is wrong with CONFIG
  -1         all in one process
  -v         print the version and end
  -b, -f     become a daemon, or stay in the foreground, whatever CONFIG says
  -D         log to standard error, and everything
  -i ID      section that says where to relay to (default tcprelay)
  -I ID      section that says where to listen (default spawnd); the last argument is the same
  -p FILE    file that holds the process id, whatever CONFIG says
  -d LEVEL   log more, if LEVEL is not 0

One process listens and keeps another one running, which relays. HUP reads CONFIG again
without one refused connection: sessions go on, and if it is wrong what held before stays.
(Nothing is started anew, unlike spawnd.) TERM ends it when sessions are over or have had
their time, a second one at once. If the standard input is a listening socket, or a service
manager has left some (LISTEN_FDS), these are used, and it stays in the foreground.

Lines go to the system's log (syslog in CONFIG), and to the standard error if that is a
terminal or there is no such log. MAVIS is not supported.`,
		Example: `  sluice tcprelay -P /etc/tcprelay.cfg      what is wrong with it?
  sluice tcprelay -f /etc/tcprelay.cfg`,
		DisableFlagParsing: true, // but for its help it is none of ours (foreign)
		RunE:               func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// tcprelayCall is a command line of tcprelay.
type tcprelayCall struct {
	name string // that the program was called by
	file string

	parse, version  bool
	single          bool
	background      *bool // nil = as the file says
	pidFile         string
	debug, toStderr bool
	spawnd, worker  string // ids of sections; "" = the default ones
	inetd           bool   // inherited sockets take the place of all listeners; in the beginning: the standard input is one

	stderr io.Writer
}

// tcprelayAs is tcprelay called by a name.
func tcprelayAs(name string) func(args []string, stdout, stderr io.Writer) int {
	return func(args []string, _, stderr io.Writer) int {
		t := &tcprelayCall{name: name, stderr: stderr}
		if !t.read(args) {
			fmt.Fprintf(stderr, tcprelayUsage, name)
			return exUsage
		}
		if t.version {
			fmt.Fprintf(stderr, "%s version %s/sluice/%s\n", name, build(), runtime.Version())
			return 0
		}
		if t.parse {
			_, code := t.load(true)
			return code
		}
		return t.start()
	}
}

// read reads the command line.
func (t *tcprelayCall) read(args []string) bool {
	options, rest, err := getopt(args, tcprelayLetters)
	if err != nil {
		fmt.Fprintf(t.stderr, "%s: %s\n", t.name, err)
		return false
	}
	for _, o := range options {
		switch o.letter {
		case 'P':
			t.parse = true
		case '1':
			t.single = true
		case 'v':
			t.version = true
		case 'b', 'f':
			t.background = new(o.letter == 'b')
		case 'i':
			t.worker = o.value
		case 'I':
			t.spawnd = o.value
		case 'p':
			t.pidFile = o.value
		case 'd':
			t.debug = atoi(o.value) != 0
		case 'D':
			t.toStderr, t.debug = true, true
		}
	}
	if t.version {
		return true
	}
	if len(rest) < 1 || len(rest) > 2 {
		return false
	}
	t.file = rest[0]
	if len(rest) == 2 {
		t.spawnd = rest[1]
	}
	return true
}

// load reads the file and says what is wrong with it; code is 0 or that with which to end. With
// warnings it says those as well.
func (t *tcprelayCall) load(warnings bool) (made config.Tcprelay, code int) {
	made, err := t.loaded()
	if warnings {
		for _, w := range made.Warnings {
			fmt.Fprintf(t.stderr, "%s (warning)\n", w.Short())
		}
	}
	var all config.Errors
	switch {
	case err == nil:
		return made, 0
	case errors.As(err, &all):
		for _, e := range all {
			fmt.Fprintln(t.stderr, e.Short())
		}
		fmt.Fprintln(t.stderr, "Detected fatal configuration error. Exiting.")
		return made, exConfig
	}
	fmt.Fprintln(t.stderr, err)
	fmt.Fprintln(t.stderr, "Exiting.")
	return made, exNoInput
}

func (t *tcprelayCall) loaded() (config.Tcprelay, error) {
	text, err := readAnywhere(t.file)
	if err != nil {
		return config.Tcprelay{}, fmt.Errorf("Couldn't open %s: %s", t.file, openText(err)) //nolint:staticcheck // the words of tcprelay
	}
	made, err := config.LoadTcprelay(config.TcprelaySource{
		Name: t.file, Text: text, Read: readAnywhere, SpawndID: t.spawnd, WorkerID: t.worker, Single: t.single, Inetd: t.inetd,
	})
	made.PIDFile = cmp.Or(t.pidFile, made.PIDFile)
	if t.background != nil {
		made.Background = *t.background
	}
	return made, err
}

// openText is why a file cannot be opened, in the words of strerror(3).
func openText(err error) string {
	var at *fs.PathError
	var web *url.Error
	switch {
	case errors.As(err, &at):
		err = at.Err
	case errors.As(err, &web):
		err = web.Err
	}
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

const (
	maxTcprelayFile = 16 << 20 // bytes
	urlTime         = 30 * time.Second
)

// readAnywhere reads a file, or what is at an URL.
func readAnywhere(name string) ([]byte, error) {
	scheme, _, isURL := strings.Cut(name, "://")
	switch {
	case !isURL:
		f, err := os.Open(filepath.Clean(name))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readBounded(f, name)
	case scheme != "http" && scheme != "https":
		return nil, fmt.Errorf("no way to read %s:// (a file, http:// and https:// can be)", scheme)
	}
	client := http.Client{Timeout: urlTime}
	resp, err := client.Get(name)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", resp.Status)
	}
	return readBounded(resp.Body, name)
}

func readBounded(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTcprelayFile+1))
	if err == nil && len(text) > maxTcprelayFile {
		err = fmt.Errorf("%s is longer than %d MiB", name, maxTcprelayFile>>20)
	}
	return text, err
}
