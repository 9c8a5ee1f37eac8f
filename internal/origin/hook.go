package origin

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"sluice/internal/logs"
	"sluice/internal/receive"
	"sluice/internal/script"
)

// askScript has the script decide. denied is what the rule and the hook say, and code what the script is told of it; who is denied may still
// be answered by the script.
func (v *visit) askScript(to target, denied *refusal, code int) *refusal {
	x, err := v.site.hook.Ask(v.r.Context(), script.Request{HTTP: v.r, AuthCode: code, Peer: v.peer})
	if err != nil {
		return scriptRefusal(err)
	}
	over := -1
	defer func() { x.End(over) }()
	for _, line := range x.Answer.Headers {
		v.w.Header().Add(line[0], line[1])
	}
	no := v.obey(to, denied, x)
	if over = 0; !v.r.Close && v.w.Header().Get("Connection") != "close" {
		over = 1
	}
	return no
}

// obey does what the script has decided.
func (v *visit) obey(to target, denied *refusal, x *script.Exchange) *refusal {
	a := &x.Answer
	switch {
	case a.Streamed:
		v.boundBody()
		err := x.Serve(v.w, v.r)
		if _, unanswered := errors.AsType[*script.Error](err); unanswered {
			return scriptRefusal(err)
		}
		if err != nil {
			v.origin.limited.Info("script broke off an answer", logs.Client, v.peer.String(), logs.Error, err)
			_ = http.NewResponseController(v.w).Flush() // what it has said is the client's, who may be gone
			panic(http.ErrAbortHandler)
		}
		return nil
	case a.Status != 0:
		v.scripted(a)
		return nil
	case denied != nil:
		return denied
	}
	if a.Throttle && v.r.Method == http.MethodGet {
		v.slow = x.Writer
	}
	if a.File != "" {
		return v.serveFile(a.File)
	}
	return v.answer(to)
}

// boundBody has what is uploaded to a script be no longer, and come no slower, than what is stored.
func (v *visit) boundBody() {
	if v.r.Body == http.NoBody {
		return
	}
	body := receive.Patient(v.w, v.r.Body, v.site.conf.Stall)
	v.r.Body = struct {
		io.Reader
		io.Closer
	}{body, v.r.Body}
	if most := v.site.conf.MaxSize; most > 0 {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, most)
	}
}

// scripted answers with what the script has written.
func (v *visit) scripted(a *script.Answer) {
	h := v.w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if a.Status != http.StatusNoContent && a.Status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	v.w.WriteHeader(a.Status)
	_, _ = io.WriteString(v.w, a.Body) // the client may be gone
}

// serveFile answers with a file that the script has named, whatever the rules say of it.
func (v *visit) serveFile(file string) *refusal {
	at, err := v.site.placeOfFile(file)
	if err != nil {
		return &refusal{status: http.StatusInternalServerError, text: "the script names no file of this server", hint: "script: " + err.Error()}
	}
	it, err := at.Store.Open(at.name)
	if err != nil {
		return v.unreadable(err)
	}
	return v.serveItem(it)
}

// scriptRefusal answers for a script that could not answer.
func scriptRefusal(err error) *refusal {
	status, text := http.StatusInternalServerError, "the script of this server has failed"
	if e := (*script.Error)(nil); errors.As(err, &e) {
		status = e.Status
	}
	if status < http.StatusInternalServerError {
		text = "this upload is not taken: it broke off, stood still or is too long"
	}
	return &refusal{status: status, text: text, hint: "script: " + err.Error()}
}
