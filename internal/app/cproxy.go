package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"sluice/internal/config"
	"sluice/internal/flow"
	"sluice/internal/logs"
	"sluice/internal/relay"
)

const (
	nameCproxy    = "cproxy"
	cproxyLetters = "b:l:nr:t:"
	cproxyBuffer  = 16384 // bytes
)

// cproxyUsage is the text that cproxy has always had.
const cproxyUsage = `Usage:
  cproxy -l <local addr>:<local port> [-l <local addr>:<local port>...] 
         -r <remote addr>:<remote port> [-b <buf size>] [-n] [-t <num io threads>]
Arguments:
  -l <local addr>:<local port>: specify listen address and port
  -r <remote addr>:<remote port>: specify remote address and port
  -b <buf size>: specify session buffer size in bytes
  -n: enable TCP no delay
  -t: <num io threads>: specify number of I/O threads
`

// cproxyAddr is an address as it stands on the command line.
type cproxyAddr struct{ text, host, port string }

// cproxyOptions is a command line of cproxy.
type cproxyOptions struct {
	listen          []cproxyAddr
	remote          []cproxyAddr // one
	buffer, threads int
	noDelay         bool
}

// errCproxyUsage is a command line that is answered with the usage.
var errCproxyUsage = errors.New("usage")

// isCproxy says whether the arguments of "sluice relay" are those of cproxy: they begin with
// one of its options.
func isCproxy(args []string) bool {
	return len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.IndexByte("blnrt", args[0][1]) >= 0
}

// cproxy is `sluice relay -l … -r …` and the link of that name: it relays until a signal
// ends the process, as cproxy does. All that it says goes to stdout, complaints of getopt
// excepted.
func cproxy(args []string, stdout, stderr io.Writer) int {
	log := newCproxyLog(stdout, stderr)
	defer log.end()
	o, err := parseCproxy(args)
	if errors.Is(err, errCproxyUsage) {
		if text := errors.Unwrap(err); text != nil {
			fmt.Fprintf(stderr, "%s: %s\n", nameCproxy, text)
		}
		io.WriteString(stdout, cproxyUsage)
		return 1
	}
	if err == nil {
		signal.Ignore(syscall.SIGPIPE)
		err = o.run(context.Background(), log, logs.New(stderr, nameCproxy, slog.LevelWarn))
	}
	if err != nil {
		log.say(threadMain, "%s", err)
		return 1
	}
	return 0
}

// cproxyMisuse is an errCproxyUsage with what getopt says.
type cproxyMisuse struct{ text error }

func (e cproxyMisuse) Error() string        { return e.text.Error() }
func (e cproxyMisuse) Unwrap() error        { return e.text }
func (e cproxyMisuse) Is(target error) bool { return target == errCproxyUsage }

// parseCproxy reads a command line. Of several mistakes the first counts.
func parseCproxy(args []string) (cproxyOptions, error) {
	o := cproxyOptions{buffer: cproxyBuffer, threads: 1}
	options, _, wrong := getopt(args, cproxyLetters)
	for _, x := range options {
		var err error
		switch x.letter {
		case 'l':
			err = addCproxyAddr(&o.listen, x.value)
		case 'r':
			if len(o.remote) > 0 {
				return o, errCproxyUsage
			}
			err = addCproxyAddr(&o.remote, x.value)
		case 'b':
			if o.buffer = atoi(x.value); o.buffer <= 0 {
				err = fmt.Errorf("invalid buffer size %s", x.value)
			}
		case 't':
			if o.threads = atoi(x.value); o.threads <= 0 {
				err = fmt.Errorf("invalid num io threads %s", x.value)
			}
		case 'n':
			o.noDelay = true
		}
		if err != nil {
			return o, err
		}
	}
	switch {
	case wrong != nil:
		return o, cproxyMisuse{wrong}
	case len(o.listen) == 0 || len(o.remote) == 0:
		return o, errCproxyUsage
	}
	return o, nil
}

// addCproxyAddr splits an address at its last colon. Brackets around IPv6 may be there.
func addCproxyAddr(list *[]cproxyAddr, text string) error {
	at := strings.LastIndexByte(text, ':')
	if at <= 0 || at == len(text)-1 {
		return fmt.Errorf("invalid address:port argument: '%s'", text)
	}
	host := text[:at]
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	*list = append(*list, cproxyAddr{text, host, text[at+1:]})
	return nil
}

// atoi is atoi(3), within 31 bits: what is no digit ends the number.
func atoi(text string) int {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	end := 0
	if end < len(text) && (text[0] == '-' || text[0] == '+') {
		end++
	}
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseInt(text[:end], 10, 32) // beyond that it is the largest or the least
	return int(n)
}

// resolve finds the first address that a host has.
func (a cproxyAddr) resolve(ctx context.Context) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(a.host)
	if err != nil {
		var all []netip.Addr
		if all, err = net.DefaultResolver.LookupNetIP(ctx, "ip", a.host); err == nil {
			ip = all[0].Unmap()
		}
	}
	var port int
	if err == nil {
		port, err = net.DefaultResolver.LookupPort(ctx, "tcp", a.port)
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("error resolving address %s %s", a.text, lookupText(err))
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// lookupText is an error of a look-up in the words of gai_strerror(3) as far as they are known.
func lookupText(err error) string {
	var lookup *net.DNSError
	var port *net.AddrError
	switch {
	case errors.As(err, &lookup) && lookup.Name != "" && strings.HasPrefix(lookup.Err, "unknown port"), errors.As(err, &port):
		return "Servname not supported for ai_socktype"
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "Name or service not known"
	case errors.As(err, &lookup) && lookup.IsTemporary:
		return "Temporary failure in name resolution"
	}
	return err.Error()
}

// run relays until ctx ends.
func (o *cproxyOptions) run(ctx context.Context, log *cproxyLog, faults *slog.Logger) error {
	local := make([]netip.AddrPort, len(o.listen))
	for i, a := range o.listen {
		var err error
		if local[i], err = a.resolve(ctx); err != nil {
			return err
		}
	}
	remote, err := o.remote[0].resolve(ctx)
	if err != nil {
		return err
	}
	noDelay := 0
	if o.noDelay {
		noDelay = 1
	}
	log.say(threadMain, "remote address = %s", remote)
	log.say(threadMain, "buffer size = %d", o.buffer)
	log.say(threadMain, "no delay = %d", noDelay)
	log.say(threadMain, "num io threads = %d", o.threads)
	conf, err := o.config(local, remote)
	if err != nil {
		return err
	}
	sockets, err := openCproxy(conf.Listeners[0].Addrs, log)
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(relayProcs(o.threads))
	r, err := relay.New(conf, relay.Options{Log: faults, Version: build(), Inherited: sockets, Trace: log.trace})
	if err != nil {
		return err
	}
	return r.Run(ctx, context.Background())
}

// config is the relay: a listener, whose sockets are inherited by their numbers, and a pool of one remote that is
// tried for every client.
func (o *cproxyOptions) config(local []netip.AddrPort, remote netip.AddrPort) (relay.Config, error) {
	c := config.Default()
	c.Relay.Threads, c.Relay.Drain = o.threads, 0
	l, err := c.Relay.AddListener(nameCproxy)
	if err != nil {
		return relay.Config{}, err
	}
	l.Pool, l.NoDelay, l.Buffer = nameCproxy, &o.noDelay, o.buffer
	for i, a := range local {
		l.Addrs = append(l.Addrs, relay.Socket{Inherited: strconv.Itoa(i), Addr: flow.Addr{IP: a}})
	}
	p, err := c.Relay.AddPool(nameCproxy)
	if err != nil {
		return relay.Config{}, err
	}
	p.Eject.Fails = -1
	p.Remotes = []relay.Remote{{Addr: flow.Addr{IP: remote}}}
	return c.RelayConfig()
}

// openCproxy opens the listening sockets, by the names that their configuration has.
func openCproxy(list []relay.Socket, log *cproxyLog) (map[string]*os.File, error) {
	files := make(map[string]*os.File)
	for _, s := range list {
		f, err := s.Open()
		if err != nil {
			closeAll(slices.Collect(maps.Values(files)))
			return nil, fmt.Errorf("bind error on server socket %s", s.Addr)
		}
		files[s.Inherited] = f
		fd, addr := descriptor(f)
		log.say(threadMain, "listening on %s (fd=%d)", addr, fd)
	}
	return files, nil
}

// descriptor is the number of a listening socket, for people, and where it listens.
func descriptor(f *os.File) (fd int, addr flow.Addr) {
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd, addr = int(n), socketName(int(n)) })
	}
	if err != nil {
		return -1, addr
	}
	return fd, addr
}

// relayProcs is GOMAXPROCS of a process with so many I/O threads: each holds one while it waits, the
// goroutines have two at least, and as many as there are CPUs for TLS.
func relayProcs(threads int) int { return max(threads+2, runtime.NumCPU()) }
