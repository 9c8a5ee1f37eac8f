package store

import (
	"fmt"
	"io"
	"testing"
)

// Growing is what is being written, the oldest first, with who reads it.
func TestGrowing(t *testing.T) {
	m := NewMemory(MemoryConfig{})
	defer m.Close()
	var uploads []Upload
	for i := range 3 {
		u, err := m.Create(fmt.Sprintf("d/%d.mpd", 9-i), Create{Size: -1, Hidden: i == 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(u, "abc"[:i]); err != nil {
			t.Fatal(err)
		}
		uploads = append(uploads, u)
	}
	var open []*Item
	for range 2 {
		it, err := m.Open("d/7.mpd")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, it)
	}
	list, all := m.Growing(10)
	if all != 3 || len(list) != 3 {
		t.Fatalf("%d %+v", all, list)
	}
	for i, want := range []struct {
		name    string
		hidden  bool
		readers int
	}{{"d/9.mpd", false, 0}, {"d/8.mpd", true, 0}, {"d/7.mpd", false, 2}} {
		if g := list[i]; g.Name != want.name || g.Hidden != want.hidden || g.Readers != want.readers || g.Size != int64(i) || !g.Growing {
			t.Errorf("%+v, want %+v", g, want)
		}
	}
	if list, all := m.Growing(1); all != 3 || len(list) != 1 || list[0].Name != "d/9.mpd" {
		t.Errorf("%d %+v", all, list)
	}
	for _, it := range open {
		it.Close()
	}
	if list, _ := m.Growing(10); list[2].Readers != 0 {
		t.Errorf("%+v", list[2])
	}
	if _, err := uploads[0].End(); err != nil {
		t.Fatal(err)
	}
	uploads[1].Abort(nil)
	p, err := m.Patch("d/9.mpd")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	if list, all := m.Growing(10); all != 1 || list[0].Name != "d/7.mpd" {
		t.Errorf("%d %+v", all, list)
	}
}
