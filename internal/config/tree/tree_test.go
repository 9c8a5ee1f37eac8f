package tree

import "testing"

func TestErrorShowsTheLine(t *testing.T) {
	lines := NewLines("a.conf", "one\r\n\ttwo \xff= 2\n")
	for _, c := range []struct {
		place Place
		want  string
	}{
		{lines.At(1, 2), "a.conf:1:2: wrong\n   1 | one\n     |  ^"},
		{lines.At(2, 7), "a.conf:2:7: wrong\n   2 | \ttwo ?= 2\n     | \t     ^"},
		{lines.At(2, 0), "a.conf:2:1: wrong\n   2 | \ttwo ?= 2\n     | ^"},
		{lines.At(9, 1), "a.conf: wrong"},
		{lines.At(0, 1), "a.conf: wrong"},
		{Place{File: "a.conf", Line: 2}, "a.conf:2: wrong"},
	} {
		if got := c.place.Errorf("wrong").Error(); got != c.want {
			t.Errorf("%v:\n%s\nwant\n%s", c.place, got, c.want)
		}
	}
	if got := lines.At(2, 7).String(); got != "a.conf:2" {
		t.Errorf("place %s", got)
	}
}
