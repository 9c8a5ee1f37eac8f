package pipe

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"sluice/internal/endpoint"
)

// answerChunk is how much of an answer is moved at a time, in bytes.
const answerChunk = 64 << 10

// Answer makes a source of the answer that ask returns, which it closes; who sends it waits while nothing is drained. What ask gets
// as its context ends with the source; before that when ctx ends, and when there is no answer within patience (0 = endpoint.DefaultPatience):
// that is a *endpoint.Refusal of status 504. The errors are those of ask else, and bare.
func (p *Pumps) Answer(ctx context.Context, tag string, patience time.Duration, ask func(context.Context) (io.ReadCloser, error)) (*Source, error) {
	patience = cmp.Or(patience, endpoint.DefaultPatience)
	asking, give := context.WithCancel(context.Background()) // outlives Answer, with what it returns
	clock := time.AfterFunc(patience, give)
	cancelled := context.AfterFunc(ctx, give)
	body, err := ask(asking)
	switch late, given := !clock.Stop(), !cancelled(); {
	case late:
		err = &endpoint.Refusal{Status: http.StatusGatewayTimeout, Err: fmt.Errorf("no answer within %v", patience)}
	case given:
		err = context.Cause(ctx)
	}
	var src *Source
	if err == nil {
		src, err = p.read(tag, body, give)
	}
	if err != nil {
		give()
		if body != nil {
			_ = body.Close() // nobody reads it
		}
		return nil, err
	}
	return src, nil
}

// read makes a source of a body; give ends what it comes by.
func (p *Pumps) read(tag string, body io.ReadCloser, give context.CancelFunc) (*Source, error) {
	return p.Open(Traits{Tag: tag, Patient: true}, func(ctx context.Context, w io.Writer) error {
		defer give()
		defer body.Close()
		defer context.AfterFunc(ctx, give)()
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{body}, make([]byte, answerChunk))
		if err != nil {
			return fmt.Errorf("the answer broke off: %w", err)
		}
		return nil
	})
}
