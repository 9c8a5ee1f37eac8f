package gws

// Reload makes c hold instead of what holds, all of it at once; an error says what makes
// no sense in c, and changes nothing. Nothing that flows is interrupted, and a request that
// is being served is served by what held when it came.
//
// Limits and lists apply to those who come from now on. Pinned channels and routes that
// are new begin, those that are gone are let go. New settings of a channel that is open hold
// from its next client on, those of a pinned one now; new sources hold when it is opened the
// next time: an order to drop it is the way to have that at once, also where it is pinned.
//
// What belongs to listeners stays as New has got it: Build, MaxEngines, the time-out for
// requests to be read (Request).
func (s *Server) Reload(c Config) error {
	c, err := c.complete()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.config()
	c.Build, c.MaxEngines, c.Request = old.Build, old.MaxEngines, old.Request
	s.conf.Store(&c)
	s.pins = pinsAfter(s.pins, c.Lineup)
	s.routes = routesAfter(s.routes, c.Routes)
	return nil
}
