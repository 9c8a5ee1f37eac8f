package push

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/store"
	"sluice/internal/testkit"
)

// Whatever is done here, in whatever order, and whatever fails in passing: no manifest comes before what it names, nothing waits for
// ever, and in the end the server has what is here.
func TestOrder(t *testing.T) {
	for range 4 {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testOrder(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func testOrder(t *testing.T, random *rand.Rand) {
	var mu sync.Mutex // guards arrived and dice
	arrived, dice := map[string]bool{}, rand.New(rand.NewPCG(random.Uint64(), 0))
	s := serve(t, nil)
	s.act = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err != nil || dice.IntN(10) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		if r.Method == http.MethodPut && store.Manifest(r.URL.Path) {
			for name := range strings.FieldsSeq(string(body)) {
				if !arrived["/"+name] {
					t.Errorf("%s names %s, which is not there", r.URL.Path, name)
				}
			}
		}
		arrived[r.URL.Path] = true
		s.keep(&seen{method: r.Method, path: r.URL.Path, body: body})
		return true
	}
	st := memory(t, 1000)
	p := pushStore(t, st, Config{To: []string{s.URL}, Keep: true, Delete: true, Whole: random.IntN(2) == 0})
	complete := produce(t, st, random)
	testkit.Eventually(t, func() error {
		if got := s.names(); !slices.Equal(got, complete) {
			return fmt.Errorf("there are %q, want %q; report %+v", got, complete, p.Report())
		}
		return nil
	})
	p.reports(t, func(r Report) bool { return r.Queue == 0 })
}

// produce does this and that in a store, and returns what is there in the end, as paths.
func produce(t *testing.T, st store.Store, random *rand.Rand) []string {
	t.Helper()
	there := map[string]bool{}
	var segments []string
	for n := range 150 {
		rep := string(rune('a' + random.IntN(3)))
		manifest, file := rep+"/live.m3u8", fmt.Sprintf("file%d.txt", random.IntN(4))
		switch random.IntN(8) {
		case 0, 1, 2:
			name := fmt.Sprintf("%s/seg-%d.ts", rep, n)
			u := create(t, st, name, store.Create{})
			write(t, u, "x")
			if random.IntN(10) == 0 {
				u.Abort(errTest)
				continue
			}
			write(t, u, "y")
			end(t, u)
			segments = append(segments, name)
			there[name] = true
		case 3, 4:
			put(t, st, manifest, strings.Join(segments, "\n"))
			there[manifest] = true
		case 5:
			put(t, st, file, fmt.Sprint(n))
			there[file] = true
		default:
			name := []string{manifest, file}[random.IntN(2)]
			if there[name] {
				check(t, st.Remove(name))
				delete(there, name)
			}
		}
	}
	var paths []string
	for name := range there {
		paths = append(paths, "/"+name)
	}
	slices.Sort(paths)
	return paths
}
