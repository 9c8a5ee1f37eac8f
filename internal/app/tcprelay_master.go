package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/netx"
	"sluice/internal/process"
	"sluice/internal/relay"
)

// tcprelayMaster is the process that holds the sockets of a tcprelay. It relays itself, or keeps
// another process relaying.
type tcprelayMaster struct {
	self
	call     *tcprelayCall
	made     config.Tcprelay // as it was in the beginning
	conf     relay.Config    // of made
	where    tcprelayLog
	doors    *relayDoors
	user     *process.Account  // whom the relay runs as; nil = as we are
	stay     bool              // in the foreground: whoever started us has left sockets
	settings *tcprelaySettings // of the worker
	pass     chan process.Order
}

// exitWith is an error and the exit code that it leads to.
type exitWith struct {
	code int
	text string
}

func (e exitWith) Error() string { return e.text }

// start is tcprelay from its file to its end.
func (t *tcprelayCall) start() (code int) {
	signal.Ignore(syscall.SIGPIPE)
	t.inetd = listens(int(os.Stdin.Fd()))
	made, code := t.load(false)
	if code != 0 {
		return code
	}
	m := &tcprelayMaster{call: t, made: made, pass: make(chan process.Order)}
	err := m.begin()
	if err == nil {
		err = m.serve()
	}
	var with exitWith
	switch {
	case err == nil:
		return 0
	case errors.As(err, &with):
		code = with.code
	default:
		code = exOSErr
	}
	if err.Error() != "" {
		fmt.Fprintf(t.stderr, "%s: %s\n", t.name, err)
	}
	return code
}

// begin takes what is inherited, and leaves the terminal if it is to.
func (m *tcprelayMaster) begin() (err error) {
	if m.doors, err = inheritRelay(); err != nil {
		return err
	}
	if err := m.adopt(); err != nil {
		return err
	}
	if m.user, err = accountOf(m.made.User, m.made.Group); err != nil {
		return exitWith{exConfig, err.Error()}
	}
	m.where = m.call.logOf(&m.made)
	if !m.made.Background || m.stay {
		return nil
	}
	if m.born, err = process.Detached(); err != nil || m.born != nil {
		return err
	}
	code, err := process.Detach()
	if err != nil {
		return err
	}
	m.doors.close()
	return exitWith{code, ""}
}

// adopt has inherited sockets listen: the standard input, as inetd gives it, or those of a service
// manager. These are for listeners that have their addresses; if there is none, they are the
// listeners, and the file is not read again.
func (m *tcprelayMaster) adopt() (err error) {
	d := m.doors
	m.stay = m.call.inetd || len(d.sockets) > 0
	if m.call.inetd {
		fd, err := syscall.Dup(int(os.Stdin.Fd()))
		if err != nil {
			return fmt.Errorf("the standard input as a socket: %w", err)
		}
		syscall.CloseOnExec(fd)
		d.sockets[doorStdin] = os.NewFile(uintptr(fd), doorStdin)
	}
	if m.conf, err = m.made.Config.RelayConfig(); err != nil {
		return exitWith{exUnavailable, err.Error()}
	}
	d.known(&m.conf)
	has := func(s relay.Socket) bool { return d.sockets[socketKey(s)] != nil }
	switch {
	case slices.ContainsFunc(socketsOf(&m.conf), has):
		return nil
	case len(d.sockets) > 0:
		return m.adoptAll()
	case len(m.conf.Listeners) == 0:
		return exitWith{exOSErr, errNoTcprelayListener.Error()}
	}
	return nil
}

// adoptAll has all inherited sockets listen in the place of the standard input.
func (m *tcprelayMaster) adoptAll() (err error) {
	m.call.inetd = true
	if m.made, err = m.call.loaded(); err != nil {
		return exitWith{exConfig, err.Error()}
	}
	l := &m.made.Config.Relay.Listeners[0]
	l.Addrs = nil
	ours := make(map[string]*os.File) // the names of a service manager may be none of a socket here
	for i, name := range slices.Sorted(maps.Keys(m.doors.sockets)) {
		key := fmt.Sprintf("%s-%d", doorInherited, i+1)
		ours[key] = m.doors.sockets[name]
		l.Addrs = append(l.Addrs, relay.Socket{Inherited: key})
	}
	m.doors.sockets = ours
	m.conf, err = m.made.Config.RelayConfig()
	return err
}

// What listening sockets are called that are at the standard input or, with a number, a service manager's.
const (
	doorStdin     = "stdin"
	doorInherited = "inherited"
)

// listens says whether a descriptor is a listening socket.
func listens(fd int) bool {
	on, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	return err == nil && on != 0
}

// serve is the master from its sockets to its end.
func (m *tcprelayMaster) serve() error {
	defer m.doors.close()
	var ends []os.Signal
	if m.call.inetd { // whoever has left the sockets starts us anew
		ends = append(ends, syscall.SIGHUP)
	}
	m.asked = process.Signals(context.Background(), ends...)
	defer m.asked.End()
	log, closed, err := m.where.open(&m.level)
	if err != nil {
		return exitWith{exConfig, err.Error()}
	}
	m.role, m.log, m.ends = m.call.name, log, []func(){closed}
	err = m.open()
	if err == nil {
		tellTcprelay(m.log, &m.made)
		err = m.run()
	}
	m.end(err)
	return err
}

// open opens the sockets, then writes the pid file.
func (m *tcprelayMaster) open() error {
	if _, err := m.doors.open(&m.conf); err != nil {
		return exitWith{exTempFail, err.Error() + "\nFailed to bind to any address or port. Exiting."}
	}
	if m.made.PIDFile == "" {
		return nil
	}
	lock, err := process.WritePID(m.made.PIDFile)
	if err != nil {
		return err
	}
	m.pidFile = lock
	return nil
}

func (m *tcprelayMaster) run() error {
	if m.made.Single {
		if m.user != nil {
			if err := m.user.Switch(false); err != nil {
				return err
			}
		}
		w := &relayWorker{self: &m.self, doors: m.doors, again: m.again}
		c := m.made.Config
		c.Log.Level = m.level.Level() // of where; a reload leaves it
		if err := w.run(m.asked.Stop, &c); err != nil {
			return exitWith{exUnavailable, unreadable(err).Error()}
		}
		return nil
	}
	err := m.settle()
	if m.settings != nil {
		defer m.settings.remove()
	}
	if err != nil {
		return err
	}
	unit, err := m.unit()
	if err != nil {
		return err
	}
	if err := m.ready(logs.Listen, m.doors.where()); err != nil {
		return err
	}
	s := process.Supervisor{Stages: [][]process.Unit{{unit}}, Grace: process.DefaultGrace, Pass: m.pass, Log: m.log}
	do := process.Answers{
		Reload: m.reload,
		Rotate: func() { m.tell(process.Order{Signal: syscall.SIGUSR1}) },
	}
	return m.while(m.asked.Stop, do, func(ctx context.Context) error {
		s.Run(ctx, m.asked.Kill)
		return nil
	})
}

// settle makes a directory with the settings of the worker, and removes those that are left.
func (m *tcprelayMaster) settle() (err error) {
	base := filepath.Dir(process.DefaultRunDir())
	if err := sweepTcprelay(base); err != nil {
		m.log.Warn("not removed", logs.Error, err)
	}
	if m.settings, err = newTcprelaySettings(base, m.user); err == nil {
		err = m.settings.write(&m.made.Config)
	}
	if err != nil {
		return fmt.Errorf("settings of the relay: %w", err)
	}
	return nil
}

// unit is the worker. It has the sockets that are open when it begins.
func (m *tcprelayMaster) unit() (process.Unit, error) {
	u, err := ownUnit(nameTcprelay, append([]string{nameWorker, m.settings.path()}, m.where.args()...)...)
	if err != nil {
		return u, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return u, fmt.Errorf("lifeline: %w", err)
	}
	m.doors.lifeline = r
	m.ends = append(m.ends, func() { w.Close() })
	u.Now, u.Last = m.doors.inherit, m.doors.refuse
	u.User, u.Linked = m.user, true
	u.Grace = func() time.Duration { return drainGrace(&m.made.Config) } // no directive is about it
	return u, nil
}

// tell passes an order on, unless we end.
func (m *tcprelayMaster) tell(o process.Order) {
	select {
	case m.pass <- o:
	case <-m.asked.Stop.Done():
	}
}

// reload reads the file again, and has the worker do what has changed. With an error all stays.
func (m *tcprelayMaster) reload() {
	now, err := m.call.loaded()
	var conf relay.Config
	if err == nil {
		conf, err = now.Config.RelayConfig()
	}
	if err == nil && len(conf.Listeners) == 0 {
		err = errNoTcprelayListener
	}
	var opened []string
	if err == nil {
		opened, err = m.doors.open(&conf)
	}
	if err == nil {
		if err = m.settings.write(&now.Config); err != nil {
			m.doors.drop(opened)
		}
	}
	if err != nil {
		tellKept(m.log, err)
		return
	}
	names, files := m.doors.some(opened)
	m.tell(process.Order{Signal: syscall.SIGHUP, Names: names, Files: files})
	m.doors.drop(m.doors.gone(&conf))
	m.tellRead(&now)
}

// tellRead tells what is odd about a file that was read again.
func (m *tcprelayMaster) tellRead(now *config.Tcprelay) {
	for _, w := range now.Warnings {
		m.log.Warn("configuration", logs.Reason, w.Short())
	}
	if keys := startOnly(&m.made, now); len(keys) > 0 {
		m.log.Warn("changed, but in effect only after a restart", "keys", some(keys))
	}
}

// startOnly are the directives that have changed and that only a start looks at.
func startOnly(was, now *config.Tcprelay) []string {
	var keys []string
	for _, x := range []struct {
		key     string
		changed bool
	}{
		{"background", was.Background != now.Background},
		{"pidfile", was.PIDFile != now.PIDFile},
		{"single process", was.Single != now.Single},
		{"userid", was.User != now.User},
		{"groupid", was.Group != now.Group},
		{"syslog", was.Ident != now.Ident || was.Facility != now.Facility || was.Severity != now.Severity},
		{"debug", was.Config.Log.Level != now.Config.Log.Level},
		{"setenv", !slices.Equal(was.Env, now.Env)},
	} {
		if x.changed {
			keys = append(keys, x.key)
		}
	}
	return keys
}

// again is reread for a single process.
func (m *tcprelayMaster) again(old *config.Config) (change, error) {
	now, err := m.call.loaded()
	if err != nil {
		return change{}, err
	}
	m.tellRead(&now)
	now.Config.Log.Level = m.level.Level()
	return changeOf(old, now.Config)
}

// drainMargin is what an end takes besides the time that sessions have.
const drainMargin = 2 * time.Second

// drainGrace is what an orderly end of a relay may take.
func drainGrace(c *config.Config) time.Duration { return c.Relay.Drain + drainMargin }

// inherit is process.Unit.Now: what is open now.
func (d *relayDoors) inherit() (env []string, files []*os.File) {
	names, files := d.all()
	return netx.InheritEnv(names), files
}

var errNoTcprelayListener = errors.New("FATAL: No listeners defined.") //nolint:staticcheck // the words of tcprelay
