package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sluice/internal/logs"
)

const (
	hookConnections = 10 // at once; who finds none free waits within the time-out
	hookIdle        = time.Minute
	hookBody        = 64 << 10 // of an answer that is read, so that the connection can be used again
)

// hook asks an HTTP service.
type hook struct {
	url    string
	client *http.Client
	log    *slog.Logger // limited
}

// hookQuestion is the body of the POST.
type hookQuestion struct {
	Peer        string `json:"peer"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Listener    string `json:"listener"`
	Channel     string `json:"channel,omitempty"` // the name in a Source of the form $NAME
}

func newHook(address string, log *slog.Logger) (*hook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" {
		return nil, errors.New("hook: want a URL such as https://HOST/path") // the URL may hold a secret
	}
	return &hook{
		url: address,
		log: log,
		client: &http.Client{
			Transport: &http.Transport{
				MaxConnsPerHost:     hookConnections,
				MaxIdleConnsPerHost: hookConnections,
				IdleConnTimeout:     hookIdle,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// ask is bounded by ctx.
func (h *hook) ask(ctx context.Context, q *Question) Answer {
	code, err := h.post(ctx, q)
	switch {
	case err == nil && code >= 200 && code <= 299:
		return Answer{}
	case err == nil && code == http.StatusUnauthorized:
		return Answer{Code: code, Reason: "the hook wants credentials"}
	case err == nil && code == http.StatusForbidden:
		return refused("denied by the hook")
	case errors.Is(err, context.Canceled):
		return gone()
	case err == nil:
		err = fmt.Errorf("answer %d, want 2xx, 401 or 403", code)
	}
	h.log.Warn("authorization hook does not answer", logs.Error, err)
	return unanswered("the hook did not answer")
}

// post returns the status of the answer. Its errors do not name the URL, which may hold a
// secret.
func (h *hook) post(ctx context.Context, q *Question) (code int, err error) {
	body, err := q.json()
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the URL of the hook is none")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header["Idempotency-Key"] = nil // not sent; a connection that the other end closed meanwhile is no failure then
	answer, err := h.client.Do(r)
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, hookBody) // the status has said all
	return answer.StatusCode, nil
}

func (q *Question) json() ([]byte, error) {
	channel := ""
	if name, named := strings.CutPrefix(q.Source, "$"); named {
		channel, _, _ = strings.Cut(name, "?")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(hookQuestion{q.peer(), q.Source, q.Destination, q.Listener, channel})
	return b.Bytes(), err
}

// close lets idle connections go; requests that are on their way are not touched.
func (h *hook) close() { h.client.CloseIdleConnections() }
