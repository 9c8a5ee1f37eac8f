package app

import (
	"fmt"
	"strings"
	"testing"
)

func TestGetopt(t *testing.T) {
	for _, c := range []struct{ args, options, rest, err string }{
		{"", "", "", ""},
		{"-n -b 16", "n b=16", "", ""},
		{"-nb16 -nb 17", "n b=16 n b=17", "", ""},
		{"-l a:1 x -l b:2 y", "l=a:1 l=b:2", "x y", ""},
		{"-n -- -b 16", "n", "-b 16", ""},
		{"- -n", "n", "-", ""},
		{"-l -n", "l=-n", "", ""},
		{"-nx -b 1", "n", "", "invalid option -- 'x'"},
		{"-n -:", "n", "", "invalid option -- ':'"},
		{"--help", "", "", "invalid option -- '-'"},
		{"x -n -b", "n", "x", "option requires an argument -- 'b'"},
	} {
		options, rest, err := getopt(strings.Fields(c.args), "b:l:n")
		var got []string
		for _, o := range options {
			if o.value == "" {
				got = append(got, string(o.letter))
			} else {
				got = append(got, fmt.Sprintf("%c=%s", o.letter, o.value))
			}
		}
		said := ""
		if err != nil {
			said = err.Error()
		}
		if strings.Join(got, " ") != c.options || strings.Join(rest, " ") != c.rest || said != c.err {
			t.Errorf("%s: %q, rest %q, %q; want %q, %q, %q", c.args, got, rest, said, c.options, c.rest, c.err)
		}
	}
}
