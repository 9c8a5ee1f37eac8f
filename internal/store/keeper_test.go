package store

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPlacingIsWaitedFor: who wants to write what is just being removed or put in its place waits, and is not refused.
func TestPlacingIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewMemory(MemoryConfig{}).(*keeper)
		k.mu.Lock()
		seized := k.seizeLocked([]string{"a"})
		k.mu.Unlock()
		begun, removed := make(chan error, 1), make(chan error, 1)
		go func() {
			u, err := k.Create("a", Create{Size: -1})
			begun <- err
			if err == nil {
				u.Abort(nil)
			}
		}()
		go func() { removed <- k.Remove("b") }()
		synctest.Wait()
		select {
		case err := <-begun:
			t.Errorf("it was not waited for: %v", err)
		default:
		}
		if err := <-removed; err == nil {
			t.Error("something else could be removed that is not there")
		}
		k.clear(seized[0])
		if err := <-begun; err != nil {
			t.Error(err)
		}
	})
}

// TestTimesAreOnesOwn: files have the times that the store gives them, so no two have the same.
func TestTimesAreOnesOwn(t *testing.T) {
	st, err := NewDir(DirConfig{Path: t.TempDir(), Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	ahead := time.Now().Add(time.Hour).UnixNano() // as after the clock was set back
	st.(*keeper).back.(*disk).stamps.last = ahead
	for n := range int64(3) {
		u, err := st.Create("a", Create{Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.End(); err != nil {
			t.Fatal(err)
		}
		if info, err := st.Stat("a"); err != nil || info.Modified.UnixNano() != ahead+n+1 {
			t.Errorf("%v, %v", info.Modified, err)
		}
	}
}
