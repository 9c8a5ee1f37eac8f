package live

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/object"
	"sluice/internal/store"
	"sluice/internal/testkit"
)

// stores are one of each kind.
func stores(t *testing.T) map[string]store.Store {
	dir, err := store.NewDir(store.DirConfig{Path: t.TempDir(), Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]store.Store{"directory": dir, "memory": store.NewMemory(store.MemoryConfig{})}
	for _, st := range out {
		t.Cleanup(func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return out
}

// recorder records the news.
func recorder(c Channels, st store.Store) *Recorder {
	return &Recorder{Channels: c, Channel: "$news", Store: st, Name: "news/live.ts"}
}

// record begins a Run; its error comes by the channel.
func record(ctx context.Context, r *Recorder) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return ended
}

// grows is the object as it grows: readAll writes it to w until it ends.
func grows(t *testing.T, st store.Store) (readAll func(w io.Writer) error, i store.Info) {
	t.Helper()
	if err := st.Await(context.Background(), "news/live.ts"); err != nil {
		t.Fatal(err)
	}
	it, err := st.Open("news/live.ts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { it.Close() })
	if it.Object == nil {
		t.Fatal("it does not grow")
	}
	r, err := it.Object.Reader(0, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return func(w io.Writer) error {
		_, err := r.Copy(context.Background(), w, nil)
		return err
	}, it.Info
}

// whole is what is there, complete.
func whole(t *testing.T, st store.Store) []byte {
	t.Helper()
	it, err := st.Open("news/live.ts")
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if it.Content == nil {
		t.Fatal("it is not complete")
	}
	b, err := io.ReadAll(it.Content)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRecord is acceptance 72 as far as writing goes: a channel is there from its first byte, while it grows, and complete when it ends
// or is to end.
func TestRecord(t *testing.T) {
	testkit.NoLeaks(t)
	for kind, st := range stores(t) {
		for _, how := range []string{"the channel ends", "it is to end"} {
			t.Run(kind+", "+how, func(t *testing.T) {
				station := newStation("video/mp2t")
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				ended := record(ctx, recorder(station, st))
				v := station.next(t)
				if v.Query != (Query{Channel: "$news"}) {
					t.Errorf("%+v", v.Query)
				}
				body := random(200_000)
				v.write(t, body[:1000])
				readAll, info := grows(t, st)
				if info.Type != "video/mp2t" {
					t.Errorf("%+v", info)
				}
				read, grown := io.Pipe()
				copied := make(chan error, 1)
				go func() {
					copied <- readAll(grown)
					grown.Close()
				}()
				first := make([]byte, 1000)
				if _, err := io.ReadFull(read, first); err != nil || !bytes.Equal(first, body[:1000]) {
					t.Fatalf("the first bytes: %v", err)
				}
				rest := make(chan []byte)
				go func() {
					b, _ := io.ReadAll(read)
					rest <- b
				}()
				v.write(t, body[1000:])
				if how == "the channel ends" {
					v.Close()
				} else {
					_, _ = v.Write(nil) // so that the rest is written
					cancel()
				}
				if err := await(t, ended); err != nil {
					t.Error(err)
				}
				if b, err := await(t, rest), await(t, copied); err != nil || !bytes.Equal(b, body[1000:]) {
					t.Errorf("a reader got %d bytes more, %v", len(b), err)
				}
				if !bytes.Equal(whole(t, st), body) {
					t.Error("the object is another one")
				}
			})
		}
	}
}

// TestRecordGoesOn: a channel that breaks off is an error, and goes on in the same object; a reader notices nothing. When it does not
// come back, what was recorded until then is an object.
func TestRecordGoesOn(t *testing.T) {
	testkit.NoLeaks(t)
	for kind, st := range stores(t) {
		for how, want := range map[string]string{"it is back": "so far, and on", "it does not come back": "so far", "it is to end without it": "so far"} {
			t.Run(kind+", "+how, func(t *testing.T) {
				station := newStation("video/mp2t")
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				r := recorder(station, st)
				ended := record(ctx, r)
				v := station.next(t)
				v.write(t, []byte("so far"))
				readAll, _ := grows(t, st)
				v.breakOff(errStorm)
				if err := await(t, ended); !errors.Is(err, errStorm) {
					t.Error(err)
				}
				switch how {
				case "it is back":
					ended = record(ctx, r)
					v = station.next(t)
					v.write(t, []byte(", and on"))
					v.Close()
					if err := await(t, ended); err != nil {
						t.Error(err)
					}
				case "it is to end without it":
					cancel()
					station.refusal = ctx.Err()
					if err := r.Run(ctx); err != nil {
						t.Error(err)
					}
				default:
					station.refusal = &Unavailable{Status: 404, Reason: "there is no channel $news"}
					if err := r.Run(ctx); !errors.Is(err, station.refusal) {
						t.Error(err)
					}
				}
				if err := r.End(); err != nil {
					t.Error(err)
				}
				var got bytes.Buffer
				if err := readAll(&got); err != nil || got.String() != want {
					t.Errorf("a reader got %q, %v", &got, err)
				}
				if b := whole(t, st); string(b) != want {
					t.Errorf("%q is left", b)
				}
			})
		}
	}
}

// TestRecordFails: the error says what it was.
func TestRecordFails(t *testing.T) {
	testkit.NoLeaks(t)
	for kind, st := range stores(t) {
		t.Run(kind+", there is no channel", func(t *testing.T) {
			station := newStation("")
			station.refusal = &Unavailable{Status: 404, Reason: "there is no channel $news"}
			var no *Unavailable
			if err := await(t, record(context.Background(), recorder(station, st))); !errors.As(err, &no) {
				t.Error(err)
			}
		})
		t.Run(kind+", somebody else writes it", func(t *testing.T) {
			u, err := st.Create("news/live.ts", store.Create{Size: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer u.Abort(errStorm)
			station := newStation("")
			ended := record(context.Background(), recorder(station, st))
			v := station.next(t)
			if err := await(t, ended); !errors.Is(err, store.ErrBusy) {
				t.Error(err)
			}
			if _, err := v.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("the channel goes on: %v", err)
			}
		})
	}
}

// TestRecordMeetsFullStore: a store that is full is an error that leaves what was recorded, and its readers, as they are; when there is
// room the record goes on in the same object.
func TestRecordMeetsFullStore(t *testing.T) {
	testkit.NoLeaks(t)
	st := store.NewMemory(store.MemoryConfig{Limit: 1 << 20})
	defer st.Close()
	other, err := st.Create("other", store.Create{Size: -1})
	must(t, err)
	_, err = other.Write(make([]byte, 512<<10))
	must(t, err)
	station := newStation("")
	r := recorder(station, st)
	body, taken := random(700_000), 0
	fill := func() error { // as far as the channel is taken
		ended := record(context.Background(), r)
		v := station.next(t)
		for taken < len(body) {
			if _, err := v.Write(body[taken : taken+1000]); err != nil {
				break
			}
			taken += 1000
		}
		v.Close()
		return await(t, ended)
	}
	if err := fill(); !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	readAll, info := grows(t, st)
	if err := fill(); !errors.Is(err, store.ErrFull) || info.Size < 100_000 {
		t.Fatalf("%v after %d bytes", err, info.Size)
	}
	if i, err := st.Stat("news/live.ts"); err != nil || !i.Growing || i.Size < info.Size {
		t.Errorf("after another try it is %+v, %v", i, err)
	}
	other.Abort(nil)
	must(t, fill())
	var got bytes.Buffer
	must(t, readAll(&got))
	if b := whole(t, st); !bytes.Equal(b, got.Bytes()) || !bytes.HasPrefix(b, body[:info.Size]) || !bytes.HasSuffix(b, body[len(body)-1000:]) {
		t.Errorf("%d bytes are there, a reader got %d", len(b), got.Len())
	}
}

// TestRecordIsRemoved: who removes what is being recorded has it begin anew.
func TestRecordIsRemoved(t *testing.T) {
	testkit.NoLeaks(t)
	for kind, st := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			station := newStation("")
			r := recorder(station, st)
			ended := record(context.Background(), r)
			v := station.next(t)
			v.write(t, []byte("before"))
			grows(t, st)
			must(t, st.Remove("news/live.ts"))
			_, _ = v.Write([]byte("after")) // it may be over by now
			if err := await(t, ended); !errors.Is(err, object.ErrAborted) {
				t.Error(err)
			}
			ended = record(context.Background(), r)
			v = station.next(t)
			v.write(t, []byte("anew"))
			v.Close()
			must(t, await(t, ended))
			if b := whole(t, st); string(b) != "anew" {
				t.Errorf("%q is there", b)
			}
		})
	}
}

// TestRecordAgain: a channel that has ended is recorded again, in place of what was there.
func TestRecordAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := store.NewMemory(store.MemoryConfig{})
		defer st.Close()
		station := newStation("")
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		begun := time.Now()
		r := recorder(station, st)
		r.Again = time.Minute
		go func() { ended <- r.Run(ctx) }()
		for i, text := range []string{"one", "two", "three"} {
			v := <-station.viewers
			if at := time.Since(begun); at != time.Duration(i)*time.Minute {
				t.Errorf("time %d: after %v", i, at)
			}
			v.write(t, []byte(text))
			synctest.Wait()
			readAll, _ := grows(t, st)
			v.Close()
			var got bytes.Buffer
			if err := readAll(&got); err != nil || got.String() != text {
				t.Errorf("%q %v", &got, err)
			}
			synctest.Wait()
			if got := whole(t, st); string(got) != text {
				t.Errorf("%q is there", got)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
