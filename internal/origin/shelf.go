package origin

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"sluice/internal/media/hls"
	"sluice/internal/store"
)

const (
	maxPlaylists = 1024    // of a store that are followed; for one more the one that changed longest ago is forgotten
	maxPlaylist  = 1 << 20 // bytes of one that is read
)

// shelf follows the playlists of a store, for requests that wait for one, or for a part that one announces.
type shelf struct {
	st   store.Store
	stop func()

	mu    sync.Mutex // guards what is below
	known map[string]*playlist
	count int64 // of versions
}

// playlist is one version of a playlist, read when it is wanted.
type playlist struct {
	at   int64         // which version of all it is
	gone chan struct{} // closed when there is another, or none; not when it is forgotten

	once   sync.Once // sets what follows
	closed bool      // it could not be opened
	tag    string    // of the object; "" = it grows
	is     hls.Playlist
	hints  map[string]bool // names in the store that it announces
	err    error
}

// newShelf makes the shelf of st, and has also told what happens there.
func newShelf(st store.Store, told func(store.Event)) *shelf {
	s := &shelf{st: st, known: make(map[string]*playlist)}
	s.stop = st.Watch(func(e store.Event) {
		if e.What != store.Began && isPlaylist(e.Name) {
			s.exchange(e.Name, e.What == store.Ended)
		}
		told(e)
	})
	return s
}

func (s *shelf) close() { s.stop() }

func isPlaylist(name string) bool { return strings.EqualFold(path.Ext(name), ".m3u8") }

// exchange drops the version of a playlist; there is another, or none.
func (s *shelf) exchange(name string, another bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.known[name]
	delete(s.known, name)
	if another {
		s.versionLocked(name)
	}
	if old != nil {
		close(old.gone)
	}
}

// versionLocked is the version of a playlist that holds.
func (s *shelf) versionLocked(name string) *playlist {
	p := s.known[name]
	if p == nil {
		if len(s.known) >= maxPlaylists {
			s.dropOldestLocked()
		}
		s.count++
		p = &playlist{at: s.count, gone: make(chan struct{})}
		s.known[name] = p
	}
	return p
}

// dropOldestLocked forgets the playlist that changed longest ago. Who waits for it looks at it again by himself (await), so that he
// does not take the room of the next one at once.
func (s *shelf) dropOldestLocked() {
	oldest, at := "", s.count+1
	for name, p := range s.known {
		if p.at < at {
			oldest, at = name, p.at
		}
	}
	delete(s.known, oldest)
}

func (s *shelf) version(name string) *playlist {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.versionLocked(name)
}

// playlist is what a playlist says now, also when another program has written it, of which the store does not tell.
func (s *shelf) playlist(name string) (*playlist, error) {
	for {
		p := s.version(name)
		s.read(p, name)
		info, err := s.st.Stat(name)
		if err == nil && p.closed {
			err = p.err
		}
		if err != nil {
			s.exchange(name, false) // names that are asked for take no room
			return nil, err
		}
		if info.Tag == p.tag {
			return p, p.err
		}
		s.exchange(name, true)
	}
}

// read reads a version, once.
func (s *shelf) read(p *playlist, name string) {
	p.once.Do(func() {
		it, err := s.st.Open(name)
		if err != nil {
			p.closed, p.err = true, err
			return
		}
		defer it.Close()
		p.tag = it.Tag
		if it.Content == nil {
			p.err = fmt.Errorf("playlist %s: it is still being written", name)
			return
		}
		text, err := io.ReadAll(io.LimitReader(it.Content, maxPlaylist))
		if err == nil {
			p.is, err = hls.Parse(text)
		}
		p.err = err
		p.hints = hintsOf(name, p.is.Hints)
	})
}

// hintsOf are the names that a playlist announces; what leads out of the store is none.
func hintsOf(name string, uris []string) map[string]bool {
	hints := make(map[string]bool)
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil || u.Host != "" || u.Scheme != "" || u.Path == "" {
			continue
		}
		at := strings.TrimPrefix(u.Path, "/")
		if at == u.Path {
			at = path.Join(path.Dir(name), u.Path)
		}
		hints[at] = true
	}
	return hints
}

// hinted says whether a playlist announces name, and how long it may take to come.
func (s *shelf) hinted(name string) (patience time.Duration, ok bool) {
	s.mu.Lock()
	all := make(map[string]*playlist, len(s.known))
	for at, p := range s.known {
		all[at] = p
	}
	s.mu.Unlock()
	for at, p := range all {
		s.read(p, at)
		if p.hints[name] {
			return p.is.Patience(), true
		}
	}
	return 0, false
}
