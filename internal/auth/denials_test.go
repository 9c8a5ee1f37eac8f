package auth

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestDenials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDenials(time.Minute, 3)
		of := func(source string) subject { return (&Question{Source: source}).subject() }
		add := func(source string) { d.add(of(source), refused(source), time.Now()) }
		check := func(want string) {
			t.Helper()
			got := ""
			for _, source := range []string{"a", "b", "c", "d"} {
				if a, found := d.find(of(source), time.Now()); found {
					got += a.Reason
				}
			}
			if got != want || len(d.by) != len(want) || d.age.Len() != len(want) {
				t.Fatalf("remembered %q, %d of %d; want %q", got, len(d.by), d.age.Len(), want)
			}
		}
		check("")
		add("a")
		time.Sleep(20 * time.Second)
		add("b")
		add("c")
		check("abc")
		add("d") // the oldest has to go
		check("bcd")
		time.Sleep(time.Minute - time.Nanosecond)
		add("b") // anew
		check("bcd")
		time.Sleep(time.Nanosecond)
		check("b")
		time.Sleep(time.Minute)
		check("")
	})
}

func TestDenialsDefaults(t *testing.T) {
	d := newDenials(0, 0)
	now := time.Now()
	for i := range defaultDeniedEntries + 5 {
		d.add((&Question{Source: fmt.Sprint(i)}).subject(), refused(""), now)
	}
	if len(d.by) != 10_000 || d.age.Len() != 10_000 {
		t.Errorf("%d entries, want 10 000", len(d.by))
	}
	last := (&Question{Source: fmt.Sprint(defaultDeniedEntries)}).subject()
	if _, found := d.find(last, now.Add(time.Minute-1)); !found {
		t.Error("forgotten within a minute")
	}
	if _, found := d.find(last, now.Add(time.Minute)); found {
		t.Error("remembered after a minute")
	}
}

// TestSubject: whatever a decision may depend on makes another subject.
func TestSubject(t *testing.T) {
	seen := map[subject]string{}
	for _, q := range []Question{
		{},
		{Source: "a"},
		{Destination: "a"},
		{Listener: "a"},
		{Source: "a", Destination: "a"},
		{Source: "a", Listener: "a"},
		{Source: "aa"},
		question(""), question("a"),
	} {
		s := q.subject()
		if other, twice := seen[s]; twice {
			t.Errorf("%+v and %s are one subject", q, other)
		}
		seen[s] = fmt.Sprintf("%+v", q)
	}
}
