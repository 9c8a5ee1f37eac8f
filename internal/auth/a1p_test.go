package auth

import (
	"strconv"
	"strings"
	"testing"
)

func TestRequestID(t *testing.T) {
	for n, want := range map[uint64]string{
		1: "A1", 3404: "A3404", maxNumber: "A2147483647", maxNumber + 1: "A1", maxNumber + 2: "A2",
		2 * maxNumber: "A2147483647", 2*maxNumber + 1: "A1",
	} {
		if got := requestID(n); got != want {
			t.Errorf("request %d is %s, want %s", n, got, want)
		}
	}
}

func TestParseAnswer(t *testing.T) {
	for line, want := range map[string]struct{ allowed, valid bool }{
		"A34 0":           {true, true},
		"A34 0\r":         {true, true},
		"A34\t0":          {true, true},
		" A34  00 ":       {true, true},
		"A34 1":           {false, true},
		"A34 2147483647":  {false, true},
		"A34 2147483648":  {},
		"A34 -1":          {},
		"A34 +0":          {},
		"A34 0x0":         {},
		"A34 0_0":         {},
		"A34 0 0":         {},
		"A34 0\r\r":       {},
		"A34\r0":          {},
		"A34 0\x00":       {},
		"A34":             {},
		"A340":            {},
		"A034 0":          {},
		"A3 0":            {},
		"a34 0":           {},
		"B34 0":           {},
		"34 0":            {},
		"A34 OK":          {},
		"A34\u00a00":      {},
		"":                {},
		"\r":              {},
		"A34 0\nA35 0":    {},
		"A34 99999999999": {},
	} {
		allowed, valid := parseAnswer(line, "A34")
		if allowed != want.allowed || valid != want.valid {
			t.Errorf("%q: allowed %t, valid %t; want %+v", line, allowed, valid, want)
		}
	}
}

// FuzzParseAnswer: what is let pass is exactly the id, blanks, a number of 31 bits.
func FuzzParseAnswer(f *testing.F) {
	for _, line := range []string{"A34 0", "A34 0\r", "A34 1", "A34 2147483648", "A3 0", "A34", "", "A34 0 A34 0", "\xff\x00"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		allowed, valid := parseAnswer(line, "A34")
		if allowed && !valid {
			t.Fatal("allowed by what is no answer")
		}
		if !valid {
			return
		}
		id, rest, _ := strings.Cut(strings.Trim(strings.TrimSuffix(line, "\r"), " \t"), "4")
		number := strings.Trim(rest, " \t")
		n, err := strconv.ParseInt(number, 10, 64)
		if id != "A3" || err != nil || n < 0 || n > 1<<31-1 || number == rest || allowed != (n == 0) {
			t.Fatalf("%q: allowed %t", line, allowed)
		}
	})
}
