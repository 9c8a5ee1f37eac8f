// Package spawnd reads the configuration files of tcprelay and spawnd
// (event-driven-servers) as they are documented and as the programs read them:
//
//	id = spawnd {                             # who listens, and how much is let in
//	    listen = { address = ::0 port = 2222 tls = yes }
//	    spawn { users max = 40 instances max = 8 }
//	}
//	id = tcprelay {                           # where it goes
//	    remote = { address = 192.0.2.1 port = ssh weight = 3 }
//	    idle timeout = 600
//	}
//
// Words are separated by blanks and by = , { } ( ) [ ] ! && ||, are taken as they are written,
// and may stand in quotes, ' or ", with the escapes of C and ${VARIABLE}s in them; then they are no
// keywords. Comments begin with #. Of each of the two sections the first with the wanted name
// counts; other programs' are skipped.
//
// Errors have the words of the original. Different from it on purpose: lines count from 1; the error names
// the word that is wrong, not the one behind it; both spellings hold where documentation and
// program differ; what follows the sections and is no text of this language is a warning; aliases
// that contain themselves, a zero byte and texts without an end are errors. The original has no "proxy protocol" of a remote.
package spawnd

import (
	"errors"

	"sluice/internal/config/tree"
)

// World is what a file may reach besides its own text.
type World struct {
	Read func(path string) ([]byte, error)         // an included file
	Glob func(pattern string) ([]string, error)    // the files that a pattern stands for, sorted
	Env  func(name string) (value string, ok bool) // the environment
}

// IDs are the names of the sections that are read.
type IDs struct {
	Spawnd string
	Worker string // "" = what "spawn { id = … }" says, else DefaultWorker
}

// The names of the sections when nothing else is said.
const (
	DefaultSpawnd = "spawnd"
	DefaultWorker = "tcprelay"
)

// Said is a value and where it stands. The zero Said was not said.
type Said[T any] struct {
	Value T
	Place tree.Place
}

// Is says whether it was said.
func (s Said[T]) Is() bool { return s.Place != tree.Place{} }

// Or is the value, or other when it was not said.
func (s Said[T]) Or(other T) T {
	if s.Is() {
		return s.Value
	}
	return other
}

// File is what a file says. Numbers are as they are written, within 32 bits and not
// negative; times are seconds. Words have no characters that cannot be shown.
type File struct {
	Spawnd   Spawnd
	Worker   Worker
	Env      []Variable    // setenv, in the order of the file
	Warnings []*tree.Error // also beside an error; each once
}

// Variable is one of the environment.
type Variable struct{ Name, Value string }

// Common is what may stand in both sections and outside of them.
type Common struct {
	Ident    Said[string]
	Facility Said[string] // in capitals, without LOG_: UUCP
	Severity Said[string] // likewise: INFO
	Debug    Said[bool]   // whether anything is to be traced
}

// Spawnd is the section that listens.
type Spawnd struct {
	Common
	Place         tree.Place
	Listens       []Listen
	Rules         []Rule // in order
	Background    Said[bool]
	PIDFile       Said[string]
	RetryDelay    Said[int]
	Overload      Said[string] // queue, close or reset
	SingleProcess Said[bool]
	KeepAlive     KeepAlive
	Sticky        Sticky // also of "spawn", which is the same

	// Of "spawn".
	WorkerID     Said[string]
	WorkerConfig Said[string] // the file that the other section is in
	InstancesMax Said[int]
	UsersMax     Said[int]
	User, Group  Said[string]
}

// KeepAlive is about probes of TCP.
type KeepAlive struct{ Count, Idle, Interval Said[int] }

// Sticky is about clients that go where they went before.
type Sticky struct{ Period, Size Said[int] }

// Rule is "permit" or "deny".
type Rule struct {
	Deny, Not bool
	Network   Said[string] // as it is written: an address, or ADDRESS/BITS
}

// Listen is one "listen".
type Listen struct {
	Place       tree.Place
	Address     Said[string] // also a host or the path of a UNIX socket
	Port        Said[string] // a number or a service
	Protocol    Said[string] // TCP or SCTP
	TLS         TLS
	Proxy       Said[bool] // "haproxy"
	Backlog     Said[int]
	RetryDelay  Said[int]
	KeepAlive   KeepAlive
	Sticky      Sticky
	Mode        Said[uint32]
	User, Group Said[string]
	Device      Said[string] // "vrf"
	DSCP        Said[int]
}

// TLS is "tls" of a listen.
type TLS struct {
	On, Auto Said[bool]
	Versions []string // TLSv1.2, TLSv1.3; empty = both
}

// Worker is the section of tcprelay.
type Worker struct {
	Common
	Place       tree.Place
	Remotes     []Remote
	Local       Said[string] // "local address"
	Rebalance   Said[int]
	IdleTimeout Said[int]
	Retire      Said[int]
	Certificate Said[string]
	Key         Said[string]
	Passphrase  Said[string]
}

// Remote is one "remote".
type Remote struct {
	Place    tree.Place
	Address  Said[string]
	Port     Said[string]
	Protocol Said[string] // TCP or SCTP
	Weight   Said[int]
	Proxy    Said[string] // "proxy protocol": v1 or v2
}

// Parse reads a file. An error is a *tree.Error; reading stops there, and the warnings are those
// that were found until then.
func Parse(path string, text []byte, ids IDs, world World) (*File, error) {
	r := &reader{world: world, path: path, said: map[string]bool{}, env: map[string]string{}}
	err := r.spawnd(text, ids.Spawnd)
	if err == nil {
		err = r.worker(text, ids.Worker)
	}
	if err == nil {
		for _, w := range r.after {
			r.warn(w.Place, "%s", w.Reason)
		}
	}
	return &r.file, err
}

// reader reads one file twice, once for each section, as the two programs do.
type reader struct {
	world World
	path  string // of the main file
	file  File
	said  map[string]bool   // the reasons of the warnings
	env   map[string]string // setenv
	after []*tree.Error     // what is wrong behind a section; it counts when nothing worse is found
}

// warn warns once of the same thing, wherever it stands.
func (r *reader) warn(place tree.Place, format string, args ...any) {
	w := place.Errorf(format, args...)
	if !r.said[w.Reason] {
		r.said[w.Reason] = true
		r.file.Warnings = append(r.file.Warnings, w)
	}
}

func (r *reader) spawnd(text []byte, id string) error {
	s := &r.file.Spawnd
	return r.section(r.path, text, id, &s.Common, func(p *parser, place tree.Place) error {
		s.Place = place
		return spawndGrammar().body(p, s)
	})
}

func (r *reader) worker(text []byte, id string) error {
	path, from := r.path, r.file.Spawnd.WorkerConfig
	if from.Is() {
		var err error
		if text, err = r.world.Read(from.Value); err != nil {
			return from.Place.Errorf("Couldn't open %s: %s", from.Value, cause(err))
		}
		path = from.Value
	}
	if id == "" {
		id = r.file.Spawnd.WorkerID.Or(DefaultWorker)
	}
	w := &r.file.Worker
	return r.section(path, text, id, &w.Common, func(p *parser, place tree.Place) error {
		w.Place = place
		return workerGrammar().body(p, w)
	})
}

// section looks for the section called id, and reads what stands before it outside of all
// sections.
func (r *reader) section(path string, text []byte, id string, common *Common, read func(*parser, tree.Place) error) error {
	p := newParser(r, path, text)
	t := &top{common: common, id: id, read: read}
	if err := p.advance(); err != nil {
		return err
	}
	for p.now.kind != end && !t.found {
		if err := topGrammar().one(p, t); err != nil {
			return err
		}
	}
	if !t.found {
		return p.now.place.Errorf("FATAL: No configuration for id '%s' found.", shown(id))
	}
	var bad *tree.Error
	if errors.As(p.rest(), &bad) {
		r.after = append(r.after, bad.Errorf("what follows the sections is not read, and is no configuration: %s", bad.Reason))
	}
	return nil
}
