package netx

import (
	"errors"
	"maps"
	"net/netip"
	"strings"
	"testing"
)

func TestParseIGMP(t *testing.T) {
	const text = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n" +
		"1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"12\teth0.100-up:     2      V2\n\t\t\t\t030201EF     1 0:00000000\t\t1\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"13\tv1        :     1      V1\n"
	got, err := parseIGMP(strings.NewReader(text))
	if want := map[int]int{1: 3, 12: 2, 13: 1}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"1\tlo : 1 V4\n", "1\tlo : 1 NONE\n", "1\t\n"} {
		if got, err := parseIGMP(strings.NewReader(bad)); err == nil {
			t.Errorf("%q gave %v", bad, got)
		}
	}
}

func TestParseInet6(t *testing.T) {
	const text = "00000000000000000000000000000001 01 80 10 80       lo\n" +
		"fd000000000000000000000000000007 1f 40 00 80     eth0\n" + // of a wider scope
		"fe800000000000000000000000000003 1f 40 20 c0     eth0\n" + // tentative
		"fe800000000000000000000000000004 1f 40 20 80     eth0\n" +
		"fe800000000000000000000000000005 1f 40 20 80     eth0\n"
	got, err := parseInet6(strings.NewReader(text))
	want := map[int]mldSender{31: {ifname: "eth0", addr: netip.MustParseAddr("fe80::4")}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"fe80 1f 40 20 80 eth0", "x 1f 40 20 80 eth0", "fe800000000000000000000000000004 zz 40 20 80 eth0", "one two"} {
		if got, err := parseInet6(strings.NewReader(bad)); err == nil {
			t.Errorf("%q gave %v", bad, got)
		}
	}
}

// TestLinkFactsAskOnce: what is known is not asked again, what is not known is.
func TestLinkFactsAskOnce(t *testing.T) {
	asked, there := 0, map[int]int{1: 10}
	f := linkFacts[int]{read: func() (map[int]int, error) { asked++; return maps.Clone(there), nil }}
	for _, step := range []struct{ index, want, asked int }{{1, 10, 1}, {2, 20, 2}, {2, 20, 2}} {
		if got, err := f.of(step.index); err != nil || got != step.want || asked != step.asked {
			t.Errorf("fact %d: %d, %v after %d questions, want %d after %d", step.index, got, err, asked, step.want, step.asked)
		}
		there[2] = 20
	}
	if _, err := f.of(3); !errors.Is(err, ErrNoInterface) {
		t.Errorf("fact 3: %v", err)
	}
	f = linkFacts[int]{read: func() (map[int]int, error) { return nil, errors.ErrUnsupported }}
	if _, err := f.of(1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("what cannot be read: %v", err)
	}
}
