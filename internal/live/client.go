package live

import (
	"errors"
	"fmt"
	"net/http"
)

// client is one request of a Player: how bytes get to it.
type client struct {
	*outlet
	player *Player
}

func (p *Player) newClient(w http.ResponseWriter, r *http.Request) (*client, error) {
	o, err := newOutlet(w, p.stall)
	if err != nil {
		return nil, err
	}
	if p.sink.ICE && wantsTitles(r) {
		o.out = newTitled(w, p.title)
	}
	return &client{outlet: o, player: p}, nil
}

// copy gives the client what it has not had: the first bytes that were read already, and the stream to its end.
func (c *client) copy(first []byte, s *Stream) error {
	err := c.pass(first, false)
	switch {
	case err != nil:
	case c.player.sink.Buffer > 0:
		err = c.buffered(s)
	default:
		err = c.straight(s)
	}
	if errors.Is(err, errLate) {
		return &lateError{fmt.Sprintf("it took nothing for %v", c.stall)}
	}
	return err
}

// straight copies: a client that is slow is seen as such by whoever makes the stream.
func (c *client) straight(s *Stream) error {
	for {
		s.wait()
		b := c.player.buffers.Get().(*[]byte)
		n, err := s.Read(*b)
		if n > 0 {
			if err := c.pass((*b)[:n], n == len(*b)); err != nil {
				return err // net/http (HTTP/2) may be reading from the buffer still
			}
		}
		c.player.buffers.Put(b)
		if err != nil {
			return broken(err)
		}
	}
}

// buffered copies by way of a backlog, and ends the client when that is not enough.
func (c *client) buffered(s *Stream) error {
	b := newBacklog(&c.player.rings, s.Wait != nil)
	filled := make(chan error, 1)
	go func() {
		err := b.fill(s)
		if errors.Is(err, errBehind) {
			c.cutOff()
		}
		filled <- err
	}()
	err := b.drain(c.pass)
	b.stop()
	_ = s.Close() // fill ends, whatever it waits for
	if errors.Is(<-filled, errBehind) {
		return &lateError{fmt.Sprintf("more than %d bytes waited for it", c.player.sink.Buffer)}
	}
	return err
}
