package object_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"sluice/internal/object"
)

// TestSection: a section has what was there when it was made, by reading, seeking and writing, wherever the bytes are.
func TestSection(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 40_000) // more than a piece and than two chunks
	for name, body := range bodies(t) {
		t.Run(name, func(t *testing.T) {
			o := object.New(body())
			defer o.End()
			write(t, o, string(content))
			size := int64(len(content))
			s := reader(t, o, 0, -1).Section(size)
			write(t, o, "what came later")
			if got, err := io.ReadAll(s); !bytes.Equal(got, content) || err != nil {
				t.Errorf("read: %d bytes, %v", len(got), err)
			}
			for _, c := range []struct{ from, n, want int64 }{{0, size, size}, {0, 0, 0}, {1, 2, 2}, {300_000, 99_999, 99_999}, {size - 1, 1, 1}, {size - 1, 2, 1}, {size, 1, 0}, {size + 5, 1, 0}} {
				var got bytes.Buffer
				n, err := s.WriteRange(&got, c.from, c.n)
				if n != c.want || !bytes.Equal(got.Bytes(), content[min(c.from, size):][:c.want]) || errors.Is(err, io.ErrUnexpectedEOF) != (c.want < c.n) {
					t.Errorf("%d from %d on: %d, %v", c.n, c.from, n, err)
				}
			}
			if n, err := s.WriteRange(failing{io.ErrClosedPipe}, 0, size); n != 2 || !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("to a writer that fails: %d, %v", n, err)
			}
		})
	}
}

// TestMemoryIsNotCopied: what a section in memory writes is the memory itself, the same each time, and no buffer, which would come again.
func TestMemoryIsNotCopied(t *testing.T) {
	const size = 1 << 20
	o := object.New(object.NewMemory(&budget{limit: 1 << 40}, size))
	write(t, o, string(make([]byte, size)))
	s := reader(t, o, 0, -1).Section(size)
	o.End()
	var first, second places
	for _, w := range []*places{&first, &second} {
		if n, err := s.WriteRange(w, 0, size); n != size || err != nil {
			t.Fatal(n, err)
		}
	}
	if !slices.Equal(first, second) {
		t.Error("the bytes are elsewhere the second time")
	}
	for i, at := range first {
		if slices.Contains(first[:i], at) {
			t.Error("a buffer was written twice")
		}
	}
}

// places are where the bytes were that were written.
type places []*byte

func (p *places) Write(b []byte) (int, error) {
	*p = append(*p, &b[0])
	return len(b), nil
}
