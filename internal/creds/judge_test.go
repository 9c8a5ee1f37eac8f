package creds

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const listed = `
[/pub]
wu=$ALL
[/known]
ru=$ALL
[/all]
rg=users
[/alice]
ru=alice
wu=alice
[/staff]
rg=staff
wg=staff
[/both]
ru=bob
rg=staff
[/none]
ru=$NONE
wu=$NONE
[/none/open]
[/alice/bobs]
ru=bob
`

// The table is line 59 of the acceptance list, and the faults U5 (lists that nobody looked at) and U6 (statuses) upstream.
func TestAcceptance59(t *testing.T) {
	rules, err := parseRules("/r", []byte(listed), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	known, err := parseUsers("u", []byte("alice:"+cheap(t, "a")+":staff\nbob:"+cheap(t, "b")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	users := newUsers(known)
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	none, alice, bob, wrong, eve := "", basic("alice:a"), basic("bob:b"), basic("alice:b"), basic("eve:a")
	for _, c := range []struct {
		file   string
		want   Right
		by     string
		status int
		user   string
	}{
		{"/pub/x", Read, none, 0, ""},
		{"/pub/x", Read, wrong, 0, ""}, // nobody is asked
		{"/pub/x", Write, none, 0, ""},
		{"/known/x", Read, none, 401, ""},
		{"/known/x", Read, bob, 0, "bob"},
		{"/known/x", Write, bob, 403, ""},
		{"/all/x", Read, none, 401, ""},
		{"/all/x", Read, bob, 0, "bob"},
		{"/all/x", Read, eve, 401, ""},
		{"/alice/x", Read, none, 401, ""},
		{"/alice/x", Read, alice, 0, "alice"},
		{"/alice/x", Read, bob, 403, "bob"},
		{"/alice/x", Read, wrong, 401, ""},
		{"/alice/x", Read, eve, 401, ""},
		{"/alice/x", Read, basic("alice:"), 401, ""},
		{"/alice/x", Read, "Bearer abc", 401, ""},
		{"/alice/x", Read, "Digest x", 401, ""},
		{"/alice/x", Read, "Basic ???", 400, ""},
		{"/alice/x", Read, "Basic", 400, ""},
		{"/alice/x", Read, basic("alice"), 400, ""},
		{"/alice/x", Read, basic("al\nice:x"), 400, ""},
		{"/alice/x", Read, basic("\xff:x"), 400, ""},
		{"/alice/x", Read, basic("alice:" + strings.Repeat("a", maxBlob)), 400, ""},
		{"/alice/x", Read, "bAsIc  " + strings.TrimPrefix(alice, "Basic "), 0, "alice"},
		{"/alice/x", Write, alice, 0, "alice"},
		{"/alice/x", Write, bob, 403, "bob"},
		{"/alice/x", Write, none, 401, ""},
		{"/alice/bobs/x", Read, alice, 403, "alice"},
		{"/alice/bobs/x", Read, bob, 0, "bob"},
		{"/alice/bobs/x", Write, alice, 403, ""},
		{"/staff/x", Read, alice, 0, "alice"},
		{"/staff/x", Read, bob, 403, "bob"},
		{"/staff/x", Write, alice, 0, "alice"},
		{"/both/x", Read, alice, 0, "alice"},
		{"/both/x", Read, bob, 0, "bob"},
		{"/none/x", Read, alice, 403, ""},
		{"/none/x", Read, none, 403, ""},
		{"/none/x", Write, alice, 403, ""},
		{"/none/open/x", Read, none, 0, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.by != "" {
			r.Header.Set("Authorization", c.by)
		}
		rule, found := rules.Of(c.file)
		if !found {
			t.Fatal(c.file)
		}
		for _, wrong := range []int{401, 403} {
			status := c.status
			if got := users.Judge(r, rule, c.want, wrong); got.Reason == "unknown user or wrong password" {
				status = wrong
				if got.Status != status || got.User != "" {
					t.Errorf("%+v: %+v", c, got)
				}
			} else if got.Status != status || got.User != c.user || (got.Reason == "") != (status == 0) {
				t.Errorf("%+v: %+v", c, got)
			}
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", alice)
	rule, _ := rules.Of("/alice/x")
	for _, nobody := range []*Users{nil, {}, newUsers(nil)} {
		if got := nobody.Judge(r, rule, Read, http.StatusUnauthorized); got.Status != 401 {
			t.Errorf("without users: %+v", got)
		}
	}
}

// counted is a hash that counts how often it is compared.
type counted struct {
	mu      sync.Mutex // guards n
	n       int
	price   int
	meaning string
	inside  func() // called while it is compared
}

func (c *counted) match(password string) bool {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	if c.inside != nil {
		c.inside()
	}
	return password == c.meaning
}
func (c *counted) cost() int      { return c.price }
func (c *counted) String() string { return "counted" }

// Whoever is named, a wrong password costs as much as the dearest hash.
func TestWrongPasswordsCostTheSame(t *testing.T) {
	dear, poor, old := &counted{price: 12, meaning: "d"}, &counted{price: 5, meaning: "p"}, &counted{meaning: "o"}
	users := newUsers(map[string]user{"dear": {hash: dear}, "poor": {hash: poor}, "old": {hash: old}})
	if users.dummy.cost() != 12 {
		t.Errorf("who is not known costs %d", users.dummy.cost())
	}
	if only := newUsers(map[string]user{"old": {hash: old}}); only.dummy.cost() != newCost {
		t.Errorf("beside hashes of GPAC, who is not known costs %d", only.dummy.cost())
	}
	dummy := &counted{price: 12, meaning: "nobody's"}
	users.dummy = dummy
	for _, c := range []struct {
		name         string
		dear, padded int
	}{{"dear", 1, 0}, {"poor", 0, 1}, {"old", 0, 1}, {"nobody", 0, 1}} {
		dear.n, dummy.n = 0, 0
		if users.match(c.name, "nobody's") || dear.n != c.dear || dummy.n != c.padded {
			t.Errorf("%s: %d and %d", c.name, dear.n, dummy.n)
		}
	}
}

func TestGoodPasswordsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &counted{meaning: "x"}
		users := newUsers(map[string]user{"alice": {hash: hash}})
		users.dummy = &counted{meaning: "nobody's"}
		login := func(password string, want error) {
			t.Helper()
			if _, err := users.identify(t.Context(), "alice", password); !errors.Is(err, want) {
				t.Error(err)
			}
		}
		for range 10 {
			login("x", nil)
		}
		login("y", errUnknown)
		login("y", errUnknown)
		if hash.n != 3 {
			t.Errorf("%d comparisons, want one of the good and two of the wrong", hash.n)
		}
		for range 3 {
			time.Sleep(remembered / 2)
			login("x", nil)
		}
		if hash.n != 4 {
			t.Errorf("%d comparisons, want one more when the time is over", hash.n)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		of := func(i int) sum { return sum{byte(i), byte(i >> 8), byte(i >> 16)} }
		for i := range 4 * memoryHalf {
			m.add(of(i))
			if !m.has(of(0)) {
				t.Fatalf("what is used was forgotten after %d others", i)
			}
		}
		if n := len(m.young) + len(m.old); n > 2*memoryHalf || m.has(of(1)) {
			t.Errorf("%d are remembered", n)
		}
	})
}

// Many wrong passwords at once wait for their turn, each until its client goes.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		for range cap(turns.running) {
			if err := turns.take(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, gone := context.WithCancel(t.Context())
		ended := make(chan error, maxWaiting)
		for range maxWaiting {
			go func() { ended <- turns.take(ctx) }()
		}
		synctest.Wait()
		if err := turns.take(t.Context()); !errors.Is(err, errBusy) {
			t.Errorf("one too many: %v", err)
		}
		turns.give()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		gone()
		for range maxWaiting - 1 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		for range cap(turns.running) {
			turns.give()
		}
		if len(turns.running) != 0 || len(turns.waiting) != 0 {
			t.Error("a turn was not given back")
		}
	})
}

// Who waited while the same credentials were compared does not compare them again.
func TestOneComparisonForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, goOn := make(chan struct{}), make(chan struct{})
		hash := &counted{meaning: "x", inside: func() { begun <- struct{}{}; <-goOn }}
		users := newUsers(map[string]user{"alice": {hash: hash}})
		for range cap(users.turns.running) - 1 {
			if err := users.turns.take(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan error)
		for range 10 {
			go func() {
				_, err := users.identify(t.Context(), "alice", "x")
				ended <- err
			}()
		}
		<-begun
		synctest.Wait()
		close(goOn)
		for range 10 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if hash.n != 1 {
			t.Errorf("%d comparisons", hash.n)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	users := newUsers(map[string]user{"alice": {hash: &counted{meaning: "x"}}})
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("alice", "x")
	rule := Rule{Read: Who{Users: []string{"alice"}}}
	for b.Loop() {
		if got := users.Judge(r, rule, Read, 401); got.Status != 0 {
			b.Fatal(fmt.Sprint(got))
		}
	}
}
