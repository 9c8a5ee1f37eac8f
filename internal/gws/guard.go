package gws

import (
	"context"
	"net/http"
	"strings"

	"sluice/internal/auth"
	"sluice/internal/request"
	"sluice/internal/uri"
)

// questionOf is what the guard is asked about a request for a stream.
func questionOf(r *http.Request, v *visit, req request.Request) auth.Question {
	q := auth.Question{
		Peer: v.peer, Source: req.Asked, Listener: v.listener, Path: SignedPath(target(r)), Query: req.Query,
	}
	if req.Target != nil {
		q.Destination = uri.Printable(req.Target.End.String())
	}
	return q
}

// SignedPath is what a signature is of in the target of a request: all that is before the
// parameters of the session, so the query of a source between /src/ and /dst belongs to it,
// and the end that the stream goes to.
func SignedPath(target string) string {
	from := 0
	if strings.HasPrefix(target, "/src/") {
		from = endOfSource(target)
	}
	if i := strings.IndexByte(target[from:], '?'); i >= 0 {
		return target[:from+i]
	}
	return target
}

// endOfSource is where the last "/dst" begins that is followed by a slash, a question mark
// or nothing (package request); 0 if there is none.
func endOfSource(target string) int {
	for end := len(target); ; {
		i := strings.LastIndex(target[:end], "/dst")
		if i < 0 {
			return 0
		}
		if rest := target[i+len("/dst"):]; rest == "" || rest[0] == '/' || rest[0] == '?' {
			return i
		}
		end = i
	}
}

// authorize asks the guard, if there is one and nobody else has decided, and waits no longer than a request may take
// to be read. It notes the name of the user. Who is denied loses the connection; in HTTP/2
// others may have streams on it.
func authorize(conf *Config, r *http.Request, v *visit, q auth.Question) *refusal {
	if conf.Guard == nil || v.local {
		return nil
	}
	no := decide(conf, r, v, q)
	if no != nil && r.ProtoMajor == 1 {
		no.header = append(no.header, [2]string{"Connection", "close"})
	}
	return no
}

// decide is authorize for an answer of any kind.
func decide(conf *Config, r *http.Request, v *visit, q auth.Question) *refusal {
	ctx, cancel := context.WithTimeout(r.Context(), conf.Request)
	defer cancel()
	a := conf.Guard.Ask(ctx, q)
	v.user = cut(a.User, maxTold)
	switch a.Code {
	case 0:
		return nil
	case http.StatusUnauthorized:
		return &refusal{
			code: a.Code, text: "want a token, or a URL that is signed", hint: a.Reason,
			header: [][2]string{{"WWW-Authenticate", `Bearer realm="sluice"`}}, // RFC 9110, 15.5.2: it has to name a scheme
		}
	case http.StatusGatewayTimeout:
		return &refusal{code: a.Code, text: "whether you may have this was not decided in time", hint: a.Reason}
	}
	return &refusal{code: http.StatusForbidden, text: "you may not have this", hint: a.Reason}
}
