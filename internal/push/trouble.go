package push

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Delays between two tries: the first, doubled each time, and the longest. Up to a quarter is added, so that those who
// failed together do not come together.
const (
	firstDelay = 100 * time.Millisecond
	maxDelay   = 5 * time.Second
)

// trouble is a failure that lasts: how often something was tried in vain, and since when. The zero value is none.
type trouble struct {
	tries int
	since time.Time
}

// again takes note of a failure and says how long to wait before the next try, and whether there is one at all. random is
// from 0 to 1.
func (t *trouble) again(c *Config, err error, now time.Time, random float64) (delay time.Duration, more bool) {
	if t.tries == 0 {
		t.since = now
	}
	t.tries++
	delay = maxDelay
	if t.tries <= 6 {
		delay = min(firstDelay<<(t.tries-1), maxDelay)
	}
	delay += time.Duration(random * float64(delay) / 4)
	if final(err) || t.tries >= c.Tries || c.Timeout > 0 && now.Add(delay).Sub(t.since) > c.Timeout {
		return 0, false
	}
	return delay, true
}

// errStalled is what became of a server that did nothing.
var errStalled = errors.New("the server does nothing")

// errEarly is an answer to what was not sent yet.
var errEarly = errors.New("the server answered before it had all of it")

// errBroken is what a failure is that broke off what is sent as it grows, without an answer.
var errBroken = errors.New("it broke off")

// broken is such a failure, in its own words.
type broken struct{ error }

// Is implements errors.Is.
func (b *broken) Is(target error) bool { return target == errBroken }

// Unwrap implements errors.Is, too.
func (b *broken) Unwrap() error { return b.error }

// answerError is an answer that is no success.
type answerError struct {
	status int
	hint   string // "" = none
}

func (e *answerError) Error() string {
	text := fmt.Sprintf("the server answered %d", e.status)
	if e.hint != "" {
		text += ": " + e.hint
	}
	return text
}

// final says whether another try will do no better. A server that stalls has had its time.
func final(err error) bool {
	var answer *answerError
	if errors.As(err, &answer) {
		return answer.status < 500 && answer.status != http.StatusRequestTimeout && answer.status != http.StatusTooManyRequests
	}
	return errors.Is(err, errStalled)
}

// verdict is what an answer means for a request.
func verdict(answer *http.Response, method string) error {
	status := answer.StatusCode
	switch {
	case status >= 200 && status < 300:
		return nil
	case method == http.MethodDelete && (status == http.StatusNotFound || status == http.StatusGone):
		return nil // as it should be
	}
	return &answerError{status, hint(status, method, answer)}
}

// hint is what an operator may do about it.
func hint(status int, method string, answer *http.Response) string {
	switch {
	case status >= 300 && status < 400:
		if to, err := url.Parse(answer.Header.Get("Location")); err == nil && to.Host != "" {
			return fmt.Sprintf("redirects are not followed; it points to %.200q", plain(*to))
		}
		return "redirects are not followed; push to where it points"
	case status == http.StatusUnauthorized:
		return "user and password go into the URL: https://USER:PASSWORD@HOST/"
	case status == http.StatusLengthRequired:
		return "it wants a length; push with cte: false"
	case method == http.MethodDelete && (status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented):
		return "it removes nothing; push with delete: false"
	case method == http.MethodPut && status == http.StatusMethodNotAllowed:
		return "it takes no PUT; does it take POST (post: true)?"
	}
	return ""
}
