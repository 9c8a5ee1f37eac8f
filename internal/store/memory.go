package store

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"sync"
	"time"

	"sluice/internal/object"
)

const (
	defaultLimit = 256 << 20
	// entryCost is what an object costs besides its bytes: its names and what is known of it.
	entryCost = 1 << 10
)

// NewMemory makes a store in memory. When it is full the oldest segments of any representation go first; if none may go, ErrFull.
func NewMemory(c MemoryConfig) Store {
	if c.Limit == 0 {
		c.Limit = defaultLimit
	}
	m := &memory{
		limit: c.Limit, start: strconv.FormatInt(time.Now().UnixNano(), 36),
		entries: map[string]*entry{}, drafts: map[string]int{}, dirs: map[string]int{},
	}
	k := newKeeper(m, true, newRetention(c.Retention, true))
	m.evict = k.evict
	return k
}

// memory is a backend in memory, and the Budget of what is in it. A directory is there as long as there is
// something in it.
type memory struct {
	limit int64
	evict func() bool // removes the oldest that may go
	start string      // tells the tags of one run from those of another

	mu      sync.Mutex // guards what is below
	used    int64
	entries map[string]*entry
	drafts  map[string]int // by name: a removed one may be on its way out while the next begins
	dirs    map[string]int // how many entries and drafts are below
	stamps  stamps
}

// entry is a complete object.
type entry struct {
	Info
	object *object.Object
	hold   *object.Reader
}

// Take takes memory, of old segments if there is no other.
func (m *memory) Take(n int64) error {
	for {
		m.mu.Lock()
		fits := m.used+n <= m.limit
		if fits {
			m.used += n
		}
		m.mu.Unlock()
		if fits {
			return nil
		}
		if n > m.limit || !m.evict() {
			return ErrFull
		}
	}
}

// Give gives memory back.
func (m *memory) Give(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
}

func (m *memory) open(name string) (*Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[name]
	if e == nil {
		return nil, m.missingLocked(name)
	}
	hold, err := e.object.Reader(0, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	return &Item{
		Info:    e.Info,
		Content: hold.Section(e.Size),
		closer:  func() error { hold.Close(); return nil },
	}, nil
}

// missingLocked says why there is no such object.
func (m *memory) missingLocked(name string) error {
	if name == "." || m.dirs[name] > 0 {
		return fmt.Errorf("open %q: %w", name, ErrIsDir)
	}
	return fmt.Errorf("open %q: %w", name, fs.ErrNotExist)
}

func (m *memory) stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e := m.entries[name]; {
	case e != nil:
		return e.Info, nil
	case name == "." || m.dirs[name] > 0:
		return Info{Name: name, Dir: true}, nil
	}
	return Info{}, m.missingLocked(name)
}

func (m *memory) remove(name string) error {
	m.mu.Lock()
	e := m.entries[name]
	if e == nil {
		defer m.mu.Unlock()
		return m.missingLocked(name)
	}
	delete(m.entries, name)
	m.countLocked(name, -1)
	m.mu.Unlock()
	e.hold.Close()
	return nil
}

func (m *memory) removeEmpty(string) {}

func (m *memory) list(dir string) ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if dir != "." && m.dirs[dir] == 0 {
		if m.entries[dir] != nil {
			return nil, fmt.Errorf("list %q: it is no directory: %w", dir, fs.ErrNotExist)
		}
		return nil, m.missingLocked(dir)
	}
	var list []Info
	for name, e := range m.entries {
		if within(dir, name) {
			list = append(list, e.Info)
		}
	}
	for name := range m.dirs {
		if within(dir, name) {
			list = append(list, Info{Name: name, Dir: true})
		}
	}
	return list, nil
}

func (m *memory) siblings(string) []string { return nil }

func (m *memory) taken() (objects int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries), m.used
}

func (m *memory) shared() bool { return false }

func (m *memory) close() error {
	m.mu.Lock()
	entries := m.entries
	m.entries, m.dirs = map[string]*entry{}, map[string]int{}
	m.mu.Unlock()
	for _, e := range entries {
		e.hold.Close()
	}
	return nil
}

// countLocked counts what is below the directories of a name.
func (m *memory) countLocked(name string, by int) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if m.dirs[dir] += by; m.dirs[dir] <= 0 {
			delete(m.dirs, dir)
		}
	}
}

// chunks is a draft in memory.
type chunks struct {
	memory *memory
	name   string
	kind   string
	*charged
}

// charged is memory that also gives back what its entry costs.
type charged struct {
	*object.Memory
	memory *memory
}

// Close gives all of it back.
func (c *charged) Close() error {
	err := c.Memory.Close()
	c.memory.Give(entryCost)
	return err
}

func (m *memory) begin(name string, c Create) (draft, error) {
	if c.Size > m.limit {
		return nil, fmt.Errorf("write %q, which has %d bytes: %w", name, c.Size, ErrFull)
	}
	return m.draft(name, c)
}

func (m *memory) draft(name string, c Create) (*chunks, error) {
	if err := m.enter(name); err != nil {
		return nil, err
	}
	d := &chunks{memory: m, name: name, kind: c.Type}
	if err := m.Take(entryCost); err != nil {
		d.discard()
		return nil, fmt.Errorf("write %q: %w", name, err)
	}
	d.charged = &charged{object.NewMemory(m, c.Size), m}
	return d, nil
}

// enter takes note of a draft, if its name can be one.
func (m *memory) enter(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[name] > 0 {
		return fmt.Errorf("write %q: %w", name, ErrIsDir)
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if m.entries[dir] != nil || m.drafts[dir] > 0 {
			return fmt.Errorf("write %q: %w", name, ErrNotDir)
		}
	}
	m.drafts[name]++
	m.countLocked(name, 1)
	return nil
}

// leaveLocked takes note that a draft is none any more.
func (m *memory) leaveLocked(name string) {
	if m.drafts[name]--; m.drafts[name] <= 0 {
		delete(m.drafts, name)
	}
	m.countLocked(name, -1)
}

func (m *memory) revise(name string) (revision, error) {
	old, err := m.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = old.Close() }() // it was only read
	d, err := m.draft(name, Create{Type: old.Type, Size: old.Size})
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(d.Memory, old.Content); err != nil {
		d.discard()
		_ = d.Close() // it is not wanted any more
		return nil, fault("copy", name, err)
	}
	return d, nil
}

func (c *chunks) size() int64 { return c.Size() }

func (c *chunks) body() object.Body { return c.charged }

func (c *chunks) place(o *object.Object) (replaced bool, err error) {
	hold, err := o.Reader(0, 0)
	if err != nil {
		return false, fmt.Errorf("write %q: %w", c.name, err)
	}
	m := c.memory
	size, _ := o.Progress()
	m.mu.Lock()
	m.leaveLocked(c.name)
	old := m.entries[c.name]
	now := m.stamps.next(time.Now())
	tag := `"` + m.start + "-" + strconv.FormatInt(now.UnixNano(), 36) + `"`
	m.entries[c.name] = &entry{Info{Name: c.name, Size: size, Modified: now, Tag: tag, Type: c.kind}, o, hold}
	if old == nil {
		m.countLocked(c.name, 1)
	}
	m.mu.Unlock()
	if old != nil {
		old.hold.Close()
	}
	return old != nil, nil
}

func (c *chunks) discard() {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	c.memory.leaveLocked(c.name)
}
