package admin

import (
	"cmp"
	"html/template"
	"io"
	"maps"
	"slices"
	"time"

	"sluice/internal/report"
)

// relayPage is the status of a relay as HTML.
type relayPage struct {
	tmpl   *template.Template
	policy string
}

func newRelayPage() *relayPage {
	funcs := template.FuncMap{
		"shown":  func(list []report.RelaySession) []report.RelaySession { return list[:min(len(list), maxShown)] },
		"health": health, "next": nextTry, "trouble": remoteTrouble, "took": took,
		"endings": endings, "failures": relayTroubles,
		"span": func(seconds float64) string { return span(time.Duration(seconds * float64(time.Second))) },
	}
	return &relayPage{tmpl: document(relayHTML, funcs), policy: policy()}
}

func (p *relayPage) write(w io.Writer, st report.Relay) error { return p.tmpl.Execute(w, st) }

// health is what is known of a remote, apart from what was ordered: up, ejected or down.
func health(r report.RelayRemote) string {
	switch {
	case !r.Up:
		return "down"
	case r.Ejected:
		return "ejected"
	}
	return "up"
}

// nextTry says when an ejected remote is tried.
func nextTry(now time.Time, r report.RelayRemote) string {
	if wait := r.Until.Sub(now); wait >= time.Second {
		return "tried again in " + span(wait)
	}
	return "the next session tries it"
}

// remoteTrouble is why a remote is not well, "" if it is.
func remoteTrouble(r report.RelayRemote) string {
	switch {
	case !r.Up:
		return cmp.Or(r.Reason, r.LastError)
	case r.Ejected:
		return r.LastError
	}
	return ""
}

// took writes how long connecting takes, in seconds.
func took(seconds float64) string { return scaled(seconds*1e6, 1000, "µs", "ms", "s") }

// relayTroubles are failures that are not the end of a session each.
func relayTroubles(t report.RelayTotals) troubles {
	var list troubles
	list.addSome("failed connection", t.ConnectFails, "to remotes; a session tries several")
	list.addSome("failed accept", t.AcceptErrors, "clients that could not be let in: no descriptors, no memory; raise the limit of open files")
	return list
}

// endings are causes of an end with their counts, by flow.Cause. Those that the client or the
// operator wanted come first.
func endings(ended map[string]uint64) troubles {
	var list troubles
	rest := maps.Clone(ended)
	for _, c := range causes() {
		if c.Mended {
			list.addMended(c.Name, ended[c.Name], c.Hint)
		} else {
			list.add(c.Name, ended[c.Name], c.Hint)
		}
		delete(rest, c.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		list.add(name, rest[name], "")
	}
	return list
}

// causes are the known causes of an end, without counts. Mended are those that are nobody's fault.
func causes() troubles {
	return troubles{
		{Name: "client", Hint: "the client ended first, or reset", Mended: true},
		{Name: "remote", Hint: "the remote ended first, or reset", Mended: true},
		{Name: "idle", Hint: "nothing came from either side for so long: idle of the listener", Mended: true},
		{Name: "half-closed", Hint: "one side had ended and the other sent nothing more, but did not end: half_close of the listener", Mended: true},
		{Name: "drain", Hint: "the relay ended, or the listener went", Mended: true},
		{Name: "killed", Hint: "ordered at the admin port", Mended: true},
		{Name: "down", Hint: "the remote was found down"},
		{Name: "limit", Hint: "a limit of sessions, or of how many may begin a second"},
		{Name: "denied", Hint: "the lists of addresses do not permit the client"},
		{Name: "header", Hint: "a PROXY header that is broken, missing or late"},
		{Name: "hello", Hint: "no TLS where it is wanted, a broken or late ClientHello, no handshake, or a name that no route has"},
		{Name: "no-remote", Hint: "every remote that was tried failed, or none is up"},
		{Name: "full", Hint: "all remotes were full for as long as a client may wait"},
		{Name: "error", Hint: "this machine has no memory or no descriptors; the log says which"},
	}
}
