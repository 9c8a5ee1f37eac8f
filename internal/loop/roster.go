package loop

// roster is a list of clients that each of them can leave at once: where it stands is
// kept in the client. A client is in the ring or among those who leave, and while it is
// in the ring also among the viewers of its channel.
type roster struct {
	all   []*client
	place func(*client) *int // where a client of this roster keeps its index
}

func turnOf(c *client) *int { return &c.turn }
func seatOf(c *client) *int { return &c.seat }

func (r *roster) add(c *client) {
	*r.place(c) = len(r.all)
	r.all = append(r.all, c)
}

func (r *roster) has(c *client) bool {
	i := *r.place(c)
	return i < len(r.all) && r.all[i] == c
}

// remove takes c out, if it is in; the last one takes its place. So whoever removes
// while going through all goes from the end to the beginning.
func (r *roster) remove(c *client) {
	if !r.has(c) {
		return
	}
	i, last := *r.place(c), len(r.all)-1
	r.all[i] = r.all[last]
	*r.place(r.all[i]) = i
	r.all[last] = nil
	r.all = r.all[:last]
}
