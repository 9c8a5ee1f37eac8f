package admin

import (
	"html/template"
	"io"

	"sluice/internal/report"
)

// originPage is the status of an origin as HTML.
type originPage struct {
	tmpl   *template.Template
	policy string
}

func newOriginPage() *originPage {
	funcs := template.FuncMap{
		"objects":  func(list []report.OriginObject) []report.OriginObject { return list[:min(len(list), maxShown)] },
		"channels": func(list []report.OriginChannel) []report.OriginChannel { return list[:min(len(list), maxShown)] },
		"bytes":    func(n int64) string { return size(uint64(max(0, n))) },
		"answers":  answers, "failures": originTroubles,
	}
	return &originPage{tmpl: document(originHTML, funcs), policy: policy()}
}

func (p *originPage) write(w io.Writer, st report.Origin) error { return p.tmpl.Execute(w, st) }

// answers are those that were given, by the class of their status.
func answers(by map[string]uint64) troubles {
	var list troubles
	list.addMended("2xx", by["2xx"], "here it is, or it is done")
	list.addMended("3xx", by["3xx"], "the client has it already, or is sent elsewhere")
	list.addMended("4xx", by["4xx"], "not there, not permitted, or not understood")
	list.add("5xx", by["5xx"], "the origin, its disk or a channel could not; the log says why")
	return list
}

// originTroubles are failures that are not the answer to a request each.
func originTroubles(st report.Origin) troubles {
	var list troubles
	list.addSome("refused connection", st.Refused, "beyond maxc or maxp: closed, or told to come again")
	list.addSome("aborted upload", st.Aborted, "the client went, stopped, or sent what cannot be; its readers' transfers were broken off")
	return list
}
