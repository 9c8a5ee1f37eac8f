package uri_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sluice/internal/uri"
)

func TestParse(t *testing.T) {
	for in, tag := range map[string]string{
		"udp://239.1.1.1:5000":            "UDP://239.1.1.1:5000",
		"udp://239.1.1.1:5000/":           "UDP://239.1.1.1:5000",
		"rtp://239.1.1.1:5000":            "UDP://239.1.1.1:5000", // the same bytes, the same channel
		"udp://10.0.0.7@239.1.1.1:5000":   "UDP://10.0.0.7@239.1.1.1:5000",
		"udp://[10.0.0.7]@239.1.1.1:5000": "UDP://10.0.0.7@239.1.1.1:5000",
		"udp://[ff15::1]:5000":            "UDP://[ff15::1]:5000",
		"udp://[fd00::7]@[ff35::1]:5000":  "UDP://[fd00::7]@[ff35::1]:5000",
		"udp://fd00::7@[ff35::1]:5000":    "UDP://[fd00::7]@[ff35::1]:5000",
		"udp://[::ffff:239.1.1.1]:5000":   "UDP://239.1.1.1:5000",
		"udp://127.0.0.1:65535":           "UDP://127.0.0.1:65535",
	} {
		e, err := uri.Parse(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if e.Tag() != tag {
			t.Errorf("%s: tag %s, want %s", in, e.Tag(), tag)
		}
		if again, err := uri.Parse(e.String()); err != nil || again != e {
			t.Errorf("%s: written as %s, read back as %v, %v", in, e, again, err)
		}
	}
}

// TestParseErrors: what is refused says why.
func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "no URL",
		"239.1.1.1:5000":                "want udp://GROUP:PORT",
		"http://239.1.1.1:5000":         "unsupported scheme",
		"udp://":                        "want ADDRESS:PORT",
		"udp://239.1.1.1":               "want ADDRESS:PORT",
		"udp://239.1.1.1:0":             "port 0",
		"udp://239.1.1.1:70000":         "want ADDRESS:PORT",
		"udp://239.1.1:5000":            "want ADDRESS:PORT",
		"udp://host.example:5000":       "want ADDRESS:PORT",
		"udp://10.0.0.7:239.1.1.1:5000": "SOURCE@GROUP:PORT",
		"udp://ff15::1:5000":            "want ADDRESS:PORT",
		"udp://[ff15::1%eth0]:5000":     "zone",
		"udp://10.0.0.7@[ff15::1]:5000": "different IP versions",
		"udp://10.0.0.7@10.0.0.8:5000":  "no multicast group",
		"udp://239.1.1.2@239.1.1.1:500": "bad source",
		"udp://0.0.0.0@239.1.1.1:5000":  "bad source",
		"udp://@239.1.1.1:5000":         "bad source",
		"udp://239.1.1.1:5000?x=y":      "want ADDRESS:PORT",
		"udp://239.1.1.1:5000/x":        "want ADDRESS:PORT",
	} {
		e, err := uri.Parse(in)
		if err == nil {
			t.Errorf("%q was read as %v", in, e)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want a word of %q", in, err, want)
		}
	}
	if _, err := uri.Parse("ftp://x"); !errors.Is(err, uri.ErrScheme) {
		t.Errorf("ftp: %v is no ErrScheme", err)
	}
}

func TestParseSource(t *testing.T) {
	for in, tag := range map[string]string{
		"udp://239.1.1.1:5000":                                  "UDP://239.1.1.1:5000",
		"udp://239.1.1.1:5000|udp://239.1.1.2:5000":             "UDP://239.1.1.1:5000|UDP://239.1.1.2:5000",
		"rtp://239.1.1.1:5000/|udp://239.1.1.1:5001":            "UDP://239.1.1.1:5000|UDP://239.1.1.1:5001",
		"udp://10.0.0.7@232.1.1.1:5|udp://10.0.0.8@232.1.1.1:5": "UDP://10.0.0.7@232.1.1.1:5|UDP://10.0.0.8@232.1.1.1:5",
	} {
		s, err := uri.ParseSource(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if s.Tag() != tag {
			t.Errorf("%s: tag %s, want %s", in, s.Tag(), tag)
		}
		if again, err := uri.ParseSource(s.String()); err != nil || !slices.Equal(again, s) {
			t.Errorf("%s: written as %s, read back as %v, %v", in, s, again, err)
		}
		rest := strings.ReplaceAll(strings.TrimPrefix(s.String(), string(s[0].Scheme)+"://"), "|"+string(uri.UDP)+"://", "|")
		if short, err := uri.ParseSourceAddr(s[0].Scheme, rest); err != nil || short.Tag() != tag {
			t.Errorf("%s: %v, %v", rest, short, err)
		}
	}
}

func TestParseSourceErrors(t *testing.T) {
	const a, b, c = "udp://239.1.1.1:5000", "udp://239.1.1.2:5000", "udp://239.1.1.3:5000"
	for in, want := range map[string]string{
		"":                          "no URL",
		"|":                         "no URL",
		a + "|":                     "no URL",
		"|" + a:                     "no URL",
		a + "|239.1.1.2:5000":       "no URL",
		a + "|http://239.1.1.2:1":   "unsupported scheme",
		a + "|" + b + "|" + c:       "at most 2",
		a + "|" + a:                 "twice",
		a + "|rtp://239.1.1.1:5000": "twice", // the same socket
	} {
		s, err := uri.ParseSource(in)
		if err == nil {
			t.Errorf("%q was read as %v", in, s)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want a word of %q", in, err, want)
		}
	}
}

func FuzzParseSource(f *testing.F) {
	f.Add("udp://10.0.0.7@239.1.1.1:5000|rtp://239.1.1.1:5000/")
	f.Add("udp://239.1.1.1:5000")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := uri.ParseSource(text)
		if err != nil {
			return
		}
		if len(s) == 0 || len(s) > uri.MaxLegs {
			t.Errorf("%q: %d legs", text, len(s))
		}
		if again, err := uri.ParseSource(s.String()); err != nil || !slices.Equal(again, s) {
			t.Errorf("%q: written as %s, read back as %v, %v", text, s, again, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("udp://10.0.0.7@239.1.1.1:5000")
	f.Add("rtp://[fd00::7]@[ff35::1]:5000/")
	f.Add("udp://[::ffff:1.2.3.4]:1")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := uri.Parse(s)
		if err != nil {
			return
		}
		if again, err := uri.Parse(e.String()); err != nil || again != e {
			t.Errorf("%q: written as %s, read back as %v, %v", s, e, again, err)
		}
	})
}
