package config

import (
	"cmp"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/internal/certs"
	"sluice/internal/config/spawnd"
	"sluice/internal/config/tree"
	"sluice/internal/relay"
)

// TcprelaySource is a configuration file of tcprelay and what is said about it elsewhere.
type TcprelaySource struct {
	Name     string // of the file, or its URL
	Text     []byte
	Read     func(path string) ([]byte, error) // of files and URLs that it names; nil = files only
	SpawndID string                            // the section to listen by: -I or the last argument; "" = spawnd
	WorkerID string                            // the other one: -i; "" = what the first one says, or tcprelay
	Single   bool                              // all in one process, as "single process = yes" says: -1
	Inetd    bool                              // inetd has left a listening socket as the standard input: that is the one listener
}

// Tcprelay is what such a file says.
type Tcprelay struct {
	Config   Config   // its part of the relay; no admin port
	Warnings []*Error // also beside errors

	Background  bool
	PIDFile     string   // "" = none
	Single      bool     // all in one process; there is no limit of sessions then, and no retiring
	User, Group string   // to go on as when the sockets are open, names or numbers; "" = as we are, the user's
	Ident       string   // in the system's log; "" = that of the program
	Facility    string   // likewise: UUCP if nothing is said; logs.ParseFacility reads it
	Severity    string   // likewise: INFO; logs.ParseSeverity reads it
	Env         []string // NAME=VALUE, in the order of the file
}

// The names of what a file of tcprelay becomes.
const (
	tcprelayPool  = "default"
	tcprelayStdin = "stdin" // the inherited socket of listeners without a port
)

// What holds where a file of tcprelay says nothing, as tcprelay has it.
const (
	defaultUsers     = 60 // sessions of one of its processes
	defaultInstances = 8  // such processes
)

// LoadTcprelay reads a file of tcprelay and spawnd. A listener is called tcp-PORT, sctp-PORT, unix or
// stdin; one that has no address and no port is the inherited socket stdin. What is wrong with it is an Errors, the
// places of which have no column: they read as FILE:LINE. Users, groups, services and names
// of hosts to listen at are looked up, and files of TLS are read.
func LoadTcprelay(s TcprelaySource) (Tcprelay, error) { return s.load(lookupHost, hasIPv6()) }

// load is LoadTcprelay; lookup finds the addresses of a host, and ipv6 is whether the system has
// that.
func (s TcprelaySource) load(lookup func(string) ([]netip.Addr, error), ipv6 bool) (Tcprelay, error) {
	if s.Read == nil {
		s.Read = readIncluded
	}
	ids := spawnd.IDs{Spawnd: cmp.Or(s.SpawndID, spawnd.DefaultSpawnd), Worker: s.WorkerID}
	file, err := spawnd.Parse(s.Name, s.Text, ids, spawnd.World{Read: s.Read, Glob: filepath.Glob, Env: os.LookupEnv})
	t := &tcprelay{file: file, lookup: lookup, ipv6: ipv6}
	if bad, ok := errors.AsType[*Error](err); ok {
		return Tcprelay{Warnings: file.Warnings}, Errors{bad}
	}
	if s.Inetd {
		t.inetd()
	}
	t.out.Config = Default()
	t.out.Config.file, t.out.Config.role = s.Name, Relay
	t.out.Single = s.Single || file.Spawnd.SingleProcess.Value
	t.process()
	t.limits()
	t.pool()
	t.listeners()
	if len(t.errs) == 0 {
		t.errs = t.out.Config.relayMismatches()
	}
	t.out.Warnings = file.Warnings
	if len(t.errs) > 0 {
		slices.SortStableFunc(t.errs, func(a, b *Error) int {
			return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
		})
		return Tcprelay{Warnings: t.out.Warnings}, t.errs
	}
	return t.out, nil
}

// inetd makes the standard input the one listener: it is as the first one of the file, if there is
// one, but for where it listens. A program that inetd waits for stays in the foreground.
func (t *tcprelay) inetd() {
	s := &t.file.Spawnd
	first := spawnd.Listen{Place: s.Place}
	if len(s.Listens) > 0 {
		first = s.Listens[0]
	}
	first.Address, first.Port = spawnd.Said[string]{}, spawnd.Said[string]{}
	s.Listens, s.Background.Value = []spawnd.Listen{first}, false
}

// hasIPv6 says whether the system knows IPv6.
func hasIPv6() bool {
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	if err != nil {
		return false
	}
	return syscall.Close(fd) == nil
}

// tcprelay makes a Tcprelay of a file.
type tcprelay struct {
	file   *spawnd.File
	lookup func(host string) ([]netip.Addr, error)
	ipv6   bool // whether listeners without an address listen at [::]
	out    Tcprelay
	errs   Errors
}

// fail notes a mistake, once: what holds for all listeners is looked at for each.
func (t *tcprelay) fail(place tree.Place, format string, args ...any) {
	bad := place.Errorf(format, args...)
	if !slices.ContainsFunc(t.errs, func(other *Error) bool { return *other == *bad }) {
		t.errs = append(t.errs, bad)
	}
}

// warn warns once of the same thing.
func (t *tcprelay) warn(place tree.Place, format string, args ...any) {
	w := place.Errorf(format, args...)
	if !slices.ContainsFunc(t.file.Warnings, func(other *Error) bool { return other.Reason == w.Reason }) {
		t.file.Warnings = append(t.file.Warnings, w)
	}
}

// process is what belongs to the process.
func (t *tcprelay) process() {
	s, w, out := &t.file.Spawnd, &t.file.Worker, &t.out
	out.Background = s.Background.Value
	if s.PIDFile.Is() {
		out.PIDFile = absolute(s.PIDFile.Value)
	}
	out.User, _ = t.user(s.User)
	out.Group = t.group(s.Group)
	out.Ident = w.Ident.Or(s.Ident.Value)
	out.Facility = w.Facility.Or(s.Facility.Or("UUCP"))
	out.Severity = w.Severity.Or(s.Severity.Or("INFO"))
	if s.Debug.Value || w.Debug.Value {
		out.Config.Log.Level = slog.LevelDebug
	}
	for _, v := range t.file.Env {
		out.Env = append(out.Env, v.Name+"="+v.Value)
	}
}

// absolute is a path that stays the same when the directory changes.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// user finds a user, and the group that it has first; numbers need not be those of a user.
func (t *tcprelay) user(name spawnd.Said[string]) (id, group string) {
	if !name.Is() || isDigits(name.Value) {
		return name.Value, ""
	}
	u, err := user.Lookup(name.Value)
	if err != nil {
		t.fail(name.Place, "UNIX user '%s' not found.", name.Value)
		return "", ""
	}
	return name.Value, u.Gid
}

func (t *tcprelay) group(name spawnd.Said[string]) string {
	if !name.Is() || isDigits(name.Value) {
		return name.Value
	}
	if _, err := user.LookupGroup(name.Value); err != nil {
		t.fail(name.Place, "UNIX group '%s' not found.", name.Value)
	}
	return name.Value
}

// isDigits says whether s is the number of a user or group.
func isDigits(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

// limits are how much is let in, and when it ends.
func (t *tcprelay) limits() {
	r, s := &t.out.Config.Relay, &t.file.Spawnd
	r.Admin = Door{}
	users, instances := t.number(s.UsersMax, defaultUsers, 1, maxCount), t.number(s.InstancesMax, defaultInstances, 1, maxCount)
	if int64(users)*int64(instances) > maxCount {
		t.fail(s.UsersMax.Place, "users max times instances max: want %d at most", maxCount)
	}
	if t.out.Single {
		r.Threads = 1
		return
	}
	r.MaxSessions = users * instances
	r.Threads = min(instances, runtime.NumCPU(), maxThreads)
	r.Retire = t.number(t.file.Worker.Retire, 0, 0, maxCount)
	r.Overload = relay.Overload(max(slices.Index([]string{"queue", "close", "reset"}, s.Overload.Value), 0))
}

// number is a number within bounds, or other if nothing is said.
func (t *tcprelay) number(n spawnd.Said[int], other, least, most int) int {
	if n.Is() && (n.Value < least || n.Value > most) {
		t.fail(n.Place, "expected an integer from %d to %d, but got '%d'", least, most, n.Value)
		return other
	}
	return n.Or(other)
}

// seconds is a time.
func (t *tcprelay) seconds(n spawnd.Said[int]) time.Duration { return t.secondsUpTo(n, maxTime) }

func (t *tcprelay) secondsUpTo(n spawnd.Said[int], most time.Duration) time.Duration {
	return time.Duration(t.number(n, 0, 0, int(most/time.Second))) * time.Second
}

// certificate is that of all listeners; false if there is none.
func (t *tcprelay) certificate() (RelayCertificate, bool) {
	w := &t.file.Worker
	if !w.Certificate.Is() {
		return RelayCertificate{}, false
	}
	x := RelayCertificate{Chain: absolute(w.Certificate.Value), Passphrase: w.Passphrase.Value}
	if w.Key.Is() {
		x.Key = absolute(w.Key.Value)
	}
	server := certs.Server{Certificates: []certs.Files{{Chain: x.Chain, Key: x.Key, Passphrase: x.Passphrase}}}
	if _, err := server.Config(nil); err != nil {
		t.fail(w.Certificate.Place, "%s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return x, true
}
