package object_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/internal/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// budget counts what is taken, up to a limit.
type budget struct {
	limit int64
	taken atomic.Int64
}

var errNoBudget = errors.New("no memory")

func (b *budget) Take(n int64) error {
	if b.taken.Add(n) > b.limit {
		b.taken.Add(-n)
		return errNoBudget
	}
	return nil
}

func (b *budget) Give(n int64) { b.taken.Add(-n) }

// bodies are the bodies that there are, each by a function that makes one.
func bodies(t testing.TB) map[string]func() object.Body {
	dir := t.TempDir()
	var n atomic.Int64
	return map[string]func() object.Body{
		"memory": func() object.Body { return object.NewMemory(&budget{limit: 1 << 40}, -1) },
		"file": func() object.Body {
			f, err := os.Create(filepath.Join(dir, "body"+string(rune('a'+n.Add(1)))))
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
	}
}

func reader(t testing.TB, o *object.Object, from, to int64) *object.Reader {
	t.Helper()
	r, err := o.Reader(from, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func write(t testing.TB, o *object.Object, text string) {
	t.Helper()
	if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d bytes: %v", n, err)
	}
}

// TestRanges: what a reader of a range gets of an object that ends in each way.
func TestRanges(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		from, to int64
		abort    bool
		want     string
		err      error
	}{
		{from: 0, to: -1, want: "0123456789"},
		{from: 4, to: -1, want: "456789"},
		{from: 10, to: -1, want: ""},
		{from: 11, to: -1, want: "", err: io.ErrUnexpectedEOF},
		{from: 2, to: 5, want: "234"},
		{from: 2, to: 2, want: ""},
		{from: 20, to: 20, want: ""},
		{from: 0, to: 10, want: "0123456789"},
		{from: 8, to: 11, want: "89", err: io.ErrUnexpectedEOF},
		{from: 12, to: 14, want: "", err: io.ErrUnexpectedEOF},
		{from: 2, to: 5, abort: true, want: "234"},
		{from: 0, to: -1, abort: true, want: "0123456789", err: broken},
		{from: 8, to: 11, abort: true, want: "89", err: object.ErrAborted},
	} {
		for kind, body := range bodies(t) {
			o := object.New(body())
			write(t, o, "01234")
			r := reader(t, o, c.from, c.to)
			write(t, o, "56789")
			if c.abort {
				o.Abort(broken)
			} else {
				o.End()
			}
			var got bytes.Buffer
			n, err := r.Copy(t.Context(), &got, nil)
			if got.String() != c.want || n != int64(len(c.want)) || !errors.Is(err, c.err) {
				t.Errorf("%s %d to %d, aborted %v: %q, %d bytes, %v", kind, c.from, c.to, c.abort, got.String(), n, err)
			}
		}
	}
}

// TestWaits: a reader has what is there at once, flushes before it waits and not more often, and goes on with what comes.
func TestWaits(t *testing.T) {
	for kind, body := range bodies(t) {
		t.Run(kind, func(t *testing.T) {
			b := body()
			synctest.Test(t, func(t *testing.T) {
				o := object.New(b)
				r, err := o.Reader(0, -1)
				if err != nil {
					t.Fatal(err)
				}
				var got strings.Builder
				var flushes []string
				outcome := make(chan error, 1)
				go func() {
					_, err := r.Copy(t.Context(), &got, func() error { flushes = append(flushes, got.String()); return nil })
					r.Close()
					outcome <- err
				}()
				synctest.Wait()
				for _, text := range []string{"a", "b", "c"} {
					if _, err := o.Write([]byte(text)); err != nil {
						t.Error(err)
					}
					synctest.Wait()
				}
				o.End()
				if err := <-outcome; err != nil {
					t.Error(err)
				}
				if want := "a ab abc"; strings.Join(flushes, " ") != want || got.String() != "abc" {
					t.Errorf("it has %q and was flushed at %q", got.String(), flushes)
				}
			})
		})
	}
}

// TestWaitEnds: whoever waits is woken by bytes, by both ends, and by the context.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := func(ctx context.Context, beyond int64, change func(o *object.Object)) (int64, object.State, error) {
			o := object.New(object.NewMemory(&budget{limit: 1 << 20}, -1))
			var size int64
			var state object.State
			var err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				size, state, err = o.Wait(ctx, beyond)
			}()
			synctest.Wait()
			change(o)
			<-done
			return size, state, err
		}
		size, state, err := waits(t.Context(), 1, func(o *object.Object) {
			_, _ = o.Write([]byte("x")) // not enough
			synctest.Wait()
			_, _ = o.Write([]byte("yz"))
		})
		if size != 3 || state != object.Growing || err != nil {
			t.Errorf("bytes: %d, %d, %v", size, state, err)
		}
		if _, state, err = waits(t.Context(), 1, (*object.Object).End); state != object.Complete || err != nil {
			t.Errorf("end: %d, %v", state, err)
		}
		if _, state, err = waits(t.Context(), 1, func(o *object.Object) { o.Abort(nil) }); state != object.Aborted || err != nil {
			t.Errorf("abort: %d, %v", state, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err = waits(ctx, 1, func(*object.Object) { cancel() }); !errors.Is(err, context.Canceled) {
			t.Errorf("context: %v", err)
		}
	})
}

// closes is a body that says when it is closed.
type closes struct {
	object.Body
	closed atomic.Int64
}

func (c *closes) Close() error {
	c.closed.Add(1)
	return c.Body.Close()
}

// TestBodyGoes: a body is closed once, when the object has ended and its last reader has gone, whatever comes first.
func TestBodyGoes(t *testing.T) {
	b := &budget{limit: 1 << 20}
	begin := func() (*object.Object, *closes) {
		body := &closes{Body: object.NewMemory(b, -1)}
		o := object.New(body)
		write(t, o, "text")
		return o, body
	}
	o, body := begin()
	r := reader(t, o, 0, -1)
	o.End()
	o.Abort(nil)
	if body.closed.Load() != 0 {
		t.Error("closed while it had a reader")
	}
	late := reader(t, o, 0, -1)
	r.Close()
	r.Close()
	if body.closed.Load() != 0 {
		t.Error("closed while it had another reader")
	}
	text := make([]byte, 10)
	if n, err := late.ReadAt(text, 1); string(text[:n]) != "ext" || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", text[:n], err)
	}
	late.Close()
	if _, err := o.Reader(0, -1); body.closed.Load() != 1 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed %d times; a reader then: %v", body.closed.Load(), err)
	}
	if _, err := o.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write when it has ended: %v", err)
	}
	o, body = begin()
	reader(t, o, 0, -1).Close()
	if body.closed.Load() != 0 {
		t.Error("closed before it has ended")
	}
	o.Abort(nil)
	if body.closed.Load() != 1 {
		t.Errorf("closed %d times", body.closed.Load())
	}
	if left := b.taken.Load(); left != 0 {
		t.Errorf("%d bytes were not given back", left)
	}
}

// What others write into a body is there for readers when they are told so, and no sooner.
func TestGrow(t *testing.T) {
	body := object.NewMemory(&budget{limit: 1 << 20}, -1)
	o := object.New(body)
	r := reader(t, o, 0, -1)
	if _, err := body.Write([]byte("abcdef")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ to, want int64 }{{3, 3}, {2, 3}, {5, 5}} {
		o.Grow(step.to)
		if size, state := o.Progress(); size != step.want || state != object.Growing {
			t.Errorf("%d bytes, %v, want %d", size, state, step.want)
		}
	}
	o.End()
	o.Grow(6)
	var got bytes.Buffer
	if _, err := r.Copy(t.Context(), &got, nil); err != nil || got.String() != "abcde" {
		t.Errorf("%q, %v", got.String(), err)
	}
}

// TestAbortedByOthers: anybody may break an object off while its writer writes; the body is not closed under it.
func TestAbortedByOthers(t *testing.T) {
	for kind, body := range bodies(t) {
		for range 20 {
			o := object.New(body())
			var all sync.WaitGroup
			all.Go(func() {
				for {
					if _, err := o.Write([]byte("something")); err != nil {
						if !errors.Is(err, object.ErrAborted) {
							t.Errorf("%s: %v", kind, err)
						}
						return
					}
				}
			})
			all.Go(func() { o.Abort(nil) })
			all.Wait()
		}
	}
}

// TestBudget: memory that there is not is an error of the write, what fitted is there, and an announced length wastes nothing.
func TestBudget(t *testing.T) {
	b := &budget{limit: 100}
	o := object.New(object.NewMemory(b, 60))
	write(t, o, strings.Repeat("x", 60))
	if b.taken.Load() != 60 {
		t.Errorf("%d bytes taken", b.taken.Load())
	}
	if n, err := o.Write([]byte(strings.Repeat("y", 60))); n != 0 || !errors.Is(err, errNoBudget) {
		t.Errorf("%d, %v", n, err)
	}
	if size, state := o.Progress(); size != 60 || state != object.Growing {
		t.Errorf("%d, %d", size, state)
	}
	o.Abort(nil)
	if b.taken.Load() != 0 {
		t.Errorf("%d bytes taken in the end", b.taken.Load())
	}
}

// TestWriteAt: memory is written anywhere as a file is.
func TestWriteAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &budget{limit: 1 << 30}
		m := object.NewMemory(b, int64(rapid.IntRange(-1, 5000).Draw(t, "announced")))
		var want []byte
		for range rapid.IntRange(1, 20).Draw(t, "writes") {
			p := bytes.Repeat([]byte{byte(len(want))}, rapid.IntRange(0, 3000).Draw(t, "length"))
			at := rapid.IntRange(0, len(want)+3000).Draw(t, "at")
			if at > len(want) {
				want = append(want, make([]byte, at-len(want))...)
			}
			want = append(want[:at], append(bytes.Clone(p), want[min(at+len(p), len(want)):]...)...)
			if n, err := m.WriteAt(p, int64(at)); n != len(p) || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		got := make([]byte, m.Size())
		if _, err := m.ReadAt(got, 0); err != nil && len(got) > 0 || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes that are not the %d that were written: %v", len(got), len(want), err)
		}
		if err := m.Close(); err != nil || b.taken.Load() != 0 {
			t.Fatalf("%v, %d bytes taken", err, b.taken.Load())
		}
	})
}

// TestAnyInterleaving: each reader gets exactly the bytes, whenever it begins, wherever, and however the writer cuts.
func TestAnyInterleaving(t *testing.T) {
	kinds := bodies(t)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"memory", "file"}).Draw(t, "kind")
		o := object.New(kinds[kind]())
		var whole []byte
		var all sync.WaitGroup
		type follower struct {
			from int64
			got  bytes.Buffer
			err  error
		}
		var followers []*follower
		abort := rapid.Bool().Draw(t, "abort")
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "a reader") {
				f := &follower{from: rapid.Int64Range(0, int64(len(whole))).Draw(t, "from")}
				r, err := o.Reader(f.from, -1)
				if err != nil {
					t.Fatal(err)
				}
				followers = append(followers, f)
				all.Go(func() {
					defer r.Close()
					_, f.err = r.Copy(context.Background(), &f.got, func() error { return nil })
				})
				continue
			}
			p := make([]byte, rapid.SampledFrom([]int{0, 1, 7, 1000, 40_000, 70_000}).Draw(t, "length"))
			for i := range p {
				p[i] = byte(len(whole) + i*7)
			}
			whole = append(whole, p...)
			if _, err := o.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if abort {
			o.Abort(nil)
		} else {
			o.End()
		}
		all.Wait()
		for _, f := range followers {
			if !bytes.Equal(f.got.Bytes(), whole[f.from:]) || errors.Is(f.err, object.ErrAborted) != abort || !abort && f.err != nil {
				t.Fatalf("from %d of %d: %d bytes, %v", f.from, len(whole), f.got.Len(), f.err)
			}
		}
	})
}

// TestReaderFails: what w and flush say ends a Copy.
func TestReaderFails(t *testing.T) {
	for kind, body := range bodies(t) {
		o := object.New(body())
		write(t, o, "text")
		bad := errors.New("the client has gone")
		r := reader(t, o, 0, -1)
		if n, err := r.Copy(t.Context(), failing{bad}, nil); n != 2 || !errors.Is(err, bad) {
			t.Errorf("%s: %d, %v", kind, n, err)
		}
		r = reader(t, o, 0, -1)
		if n, err := r.Copy(t.Context(), io.Discard, func() error { return bad }); n != 4 || !errors.Is(err, bad) {
			t.Errorf("%s: %d, %v", kind, n, err)
		}
		o.End()
	}
}

// TestBufferAfterFailure: what a Write that failed was given stays as it is. net/http (HTTP/2) may be reading from it still.
func TestBufferAfterFailure(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "body"))
	if err != nil {
		t.Fatal(err)
	}
	o := object.New(f)
	write(t, o, "one")
	defer o.End()
	var kept keeping
	for range 20 { // a pool may lose what is put into it
		if _, err := reader(t, o, 0, 3).Copy(t.Context(), &kept, nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Fatal(err)
		}
		write(t, o, "two")
		if _, err := reader(t, o, 3, 6).Copy(t.Context(), io.Discard, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range kept {
		if string(p) != "one" {
			t.Fatalf("a buffer that somebody may be reading from has %q now", p)
		}
	}
}

// keeping keeps what it is given, and fails.
type keeping [][]byte

func (k *keeping) Write(p []byte) (int, error) {
	*k = append(*k, p)
	return 0, io.ErrClosedPipe
}

// failing takes two bytes.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 2, f.err }
