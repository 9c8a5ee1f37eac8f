package uri_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sluice/internal/uri"
)

// TestTag: each way to write an end has a tag, and reads back as it is written.
func TestTag(t *testing.T) {
	for in, tag := range map[string]string{
		"udp://239.1.1.1:5000":            "UDP://239.1.1.1:5000",
		"udp://239.1.1.1:5000/":           "UDP://239.1.1.1:5000",
		"UDP://239.1.1.1:5000":            "UDP://239.1.1.1:5000",
		"rtp://239.1.1.1:5000":            "UDP://239.1.1.1:5000", // the same bytes, the same channel
		"udp://10.0.0.7@239.1.1.1:5000":   "UDP://10.0.0.7@239.1.1.1:5000",
		"udp://[10.0.0.7]@239.1.1.1:5000": "UDP://10.0.0.7@239.1.1.1:5000",
		"udp://[ff15::1]:5000":            "UDP://[ff15::1]:5000",
		"udp://[fd00::7]@[ff35::1]:5000":  "UDP://[fd00::7]@[ff35::1]:5000",
		"udp://fd00::7@[ff35::1]:5000":    "UDP://[fd00::7]@[ff35::1]:5000",
		"udp://[::ffff:239.1.1.1]:5000":   "UDP://239.1.1.1:5000",
		"udp://127.0.0.1:65535":           "UDP://127.0.0.1:65535",

		"tcp://encoder.lan:7000":      "TCP://encoder.lan:7000",
		"TCP://Encoder.LAN:7000/":     "TCP://encoder.lan:7000",
		"tcp://10.0.0.7:7000":         "TCP://10.0.0.7:7000",
		"tcp://[FD00:0::7]:7000":      "TCP://[fd00::7]:7000",
		"tcp://[::ffff:10.0.0.7]:700": "TCP://10.0.0.7:700",

		"http://tv.example":                                     "HTTP://tv.example:80/",
		"http://tv.example/a/b.ts":                              "HTTP://tv.example:80/a/b.ts",
		"https://TV.example":                                    "HTTPS://tv.example:443/",
		"https://tv.example:8443/x":                             "HTTPS://tv.example:8443/x",
		"http://[fd00::7]/x":                                    "HTTP://[fd00::7]:80/x",
		"http://[fd00::7]:81/x":                                 "HTTP://[fd00::7]:81/x",
		"http://10.0.1.12:4056/udp/224.0.2.26:4033?kk=yy":       "HTTP://10.0.1.12:4056/udp/224.0.2.26:4033~6cfa2cd39e90",
		"http://tv.example?kk=yy":                               "HTTP://tv.example:80/~6cfa2cd39e90",
		"https://user:secret@tv.example/live.ts":                "HTTPS://tv.example:443/live.ts~206f1b8704b1",
		"https://us@er:sec%2Fret@tv.example/live.ts":            "HTTPS://tv.example:443/live.ts~2e6cb974c47f",
		"http://tv.example/a~b":                                 "HTTP://tv.example:80/a%7Eb",
		"http://tv.example/a%20b":                               "HTTP://tv.example:80/a%20b",
		"http://tv.example/ä":                                   "HTTP://tv.example:80/%C3%A4",
		"http://tv.example/src/udp://239.1.1.1:5/dst/":          "HTTP://tv.example:80/src/udp://239.1.1.1:5/dst/",
		"http://tv.example/src/udp://10.0.0.7@232.1.1.1:5/dst/": "HTTP://tv.example:80/src/udp://10.0.0.7@232.1.1.1:5/dst/",
		"http://tv.example/src/http://u:p@h/x/dst/":             "HTTP://tv.example:80/src/http://-@h/x/dst/~7611aa28e2f1",
		"http://tv.example/@handle":                             "HTTP://tv.example:80/@handle",
		"http://" + strings.Repeat("a.", 126) + "b/":            "HTTP://" + strings.Repeat("a.", 126) + "b:80/",
		"http://host_with_underscore:8080/index.ts?a=%zz&b=/?":  "HTTP://host_with_underscore:8080/index.ts~b61113d3c5a2",

		"file:///srv/media/film.ts":     "FILE:///srv/media/film.ts",
		"FILE:///srv/My%20Film.ts":      "FILE:///srv/My%20Film.ts",
		"file:///srv/My Film.ts":        "FILE:///srv/My%20Film.ts",
		"file:///srv/фильм~1.ts":        "FILE:///srv/%D1%84%D0%B8%D0%BB%D1%8C%D0%BC%7E1.ts",
		"file:///srv/100%25%3F%23.ts":   "FILE:///srv/100%25%3F%23.ts",
		"file:///srv/a|b%FF.ts":         "FILE:///srv/a%7Cb%FF.ts",
		"file:///srv/a&b=c;d,e+f@g!.ts": "FILE:///srv/a&b=c;d,e+f@g!.ts",
		"upload:///live/cam.ts":         "UPLOAD:///live/cam.ts",
		"UPLOAD:///My%20cam~1%2Fx":      "UPLOAD:///My%20cam%7E1/x",
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

// TestTagsDiffer: what may deliver other bytes has another tag.
func TestTagsDiffer(t *testing.T) {
	seen := make(map[string]string)
	for _, in := range []string{
		"http://h/x", "https://h/x", "http://h:81/x", "http://h/x/", "http://h/X",
		"http://h/http://u:p@g/x", "http://h/http://u:q@g/x", "http://h/http://-@g/x", "http://h/x?a=1", "http://h/x?a=2", "http://u@h/x", "http://v@h/x", "http://u@h/x?a=1",
		"http://h/x%3Fa=1", "http://h/x~0123456789ab", "tcp://h:80", "file:///x", "file:///x~1", "file:///x%257E1",
	} {
		e, err := uri.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := seen[e.Tag()]; taken {
			t.Errorf("%s and %s have the tag %s", in, other, e.Tag())
		}
		seen[e.Tag()] = in
	}
}

// TestParseErrors: what is refused says why.
func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "no URL",
		"239.1.1.1:5000":                   "want such as udp://GROUP:PORT",
		"://x":                             "no URL",
		"|udp://239.1.1.1:5000":            "no URL",
		"a b://x":                          "no URL",
		"ftp://239.1.1.1:5000":             "unsupported scheme",
		"ftp://239.1.1.1:5000?x":           "unsupported scheme",
		"udp://":                           "want ADDRESS:PORT",
		"udp://239.1.1.1":                  "want ADDRESS:PORT",
		"udp://239.1.1.1:0":                "port 0",
		"udp://239.1.1.1:70000":            "want ADDRESS:PORT",
		"udp://239.1.1:5000":               "want ADDRESS:PORT",
		"udp://host.example:5000":          "want ADDRESS:PORT",
		"udp://10.0.0.7:239.1.1.1:5000":    "use @",
		"udp://[fd00::7]:[ff35::1]:5000":   "use @",
		"udp://ff15::1:5000":               "want ADDRESS:PORT",
		"udp://[ff15::1%eth0]:5000":        "zone",
		"udp://10.0.0.7@[ff15::1]:5000":    "different IP versions",
		"udp://10.0.0.7@10.0.0.8:5000":     "no multicast group",
		"udp://239.1.1.2@239.1.1.1:500":    `bad source address "239.1.1.2"`,
		"udp://[::ffff:0.0.0.0]@[::]:5000": "bad source",
		"udp://0.0.0.0@239.1.1.1:5000":     "bad source",
		"udp://@239.1.1.1:5000":            "bad source",
		"udp://239.1.1.1:5000?x=y":         "only http and https",
		"udp://239.1.1.1:5000#x":           "only http and https",
		"udp://239.1.1.1:5000/x":           "want ADDRESS:PORT",

		"tcp://":                     "want HOST:PORT",
		"tcp://h":                    "want HOST:PORT",
		"tcp://h:":                   "want HOST:PORT",
		"tcp://:80":                  "want HOST:PORT",
		"tcp://h:0":                  "bad port",
		"tcp://h:080":                "bad port",
		"tcp://h:65536":              "bad port",
		"tcp://h:http":               "bad port",
		"tcp://h:80/x":               "bad port",
		"tcp://h:80?x":               "only http and https",
		"tcp://fd00::7:80":           "IPv6 as [ADDRESS]",
		"tcp://[fd00::7%eth0]:80":    "zone",
		"tcp://[h]:80":               "IPv6 in brackets",
		"tcp://[1.2.3.4]:80":         "IPv6 in brackets",
		"tcp://[::1]x:80":            "IPv6 in brackets",
		"tcp://-h:80":                "bad host name",
		"tcp://.h:80":                "bad host name",
		"tcp://h..x:80":              "bad host name",
		"tcp://h h:80":               "bad host name",
		"tcp://кино:80":              "bad host name",
		"tcp://u@h:80":               "bad host name",
		"http://":                    "want HOST:PORT",
		"http:///x":                  "want HOST:PORT",
		"http://@h/":                 "nothing before the @",
		"http://h:0/":                "bad port",
		"http://h/a b":               "no spaces",
		"http://h/a\nb":              "control characters",
		"http://h/?a\x7f":            "control characters",
		"http://h/#top":              "no spaces, control characters or #",
		"http://h/%zz":               "hexadecimal",
		"http://u%z@h/":              "hexadecimal",
		"http://fd00::7/":            "IPv6 as [ADDRESS]",
		"http://" + longName() + "/": "bad host name",

		"file://":               "no absolute path",
		"file://host/x":         "no absolute path",
		"upload://live/cam.ts":  "want upload:///DIRECTORY/FILE",
		"upload:///a/%2e%2E/b":  "want that of a file",
		"upload:///a?b":         "%3F",
		"upload:///a|upload://": "upload",
		"file:///":              "want that of a file",
		"file:///a/":            "want that of a file",
		"file:///a//b":          "want that of a file",
		"file:///a/../b":        "want that of a file",
		"file:///a/%2e%2E/b":    "want that of a file",
		"file:///a%00b":         "control character",
		"file:///a%0Ab":         "control character",
		"file:///a%":            "hexadecimal",
		"file:///a?b":           "%3F",
		"file:///a#b":           "%23",
		"file:///" + tooLong(1): "want at most 4096",

		"http://h/" + tooLong(1):                        "want at most 4096",
		"http://h/" + strings.Repeat("ä", 1000):         "want at most 4096", // as it is written then
		"file:///" + strings.Repeat("ä", 1000):          "want at most 4096",
		"http://h/" + strings.Repeat("x", 4096-8) + "y": "want at most 4096",
	} {
		e, err := uri.Parse(in)
		if err == nil {
			t.Errorf("%q was read as %v", in, e)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want a word of %q", in, err, want)
		} else if len(err.Error()) > 300 {
			t.Errorf("%.80q: an error of %d characters", in, len(err.Error()))
		}
	}
	if _, err := uri.Parse("ftp://x"); !errors.Is(err, uri.ErrScheme) {
		t.Errorf("ftp: %v is no ErrScheme", err)
	}
}

func tooLong(by int) string { return strings.Repeat("x", uri.MaxLength-len("file:///")+by) }

func longName() string { return strings.Repeat("a.", 127) }

// TestErrorsKeepSecrets: nothing of credentials and queries gets into an error, wherever
// the mistake is.
func TestErrorsKeepSecrets(t *testing.T) {
	for _, in := range []string{
		"http:/user:SECRET@h/", "user:SECRET@h", "SECRET@", "channel?token=SECRET", "x?token=SECRET&u=http://h/",
		"http://user:SECRET@h:x/", "http://user:SECRET@h h/", "http://user:SECRET/@h:x/", "http://user:SECRET/x@h/", "http://user:SECRET?@h/",
		"http://u:SEC RET@h/", "http://h:x/?token=SECRET", "http://h:x/?token= SECRET", "https://h/ ?token=SECRET#", "http://[h]/?SECRET",
		"http://user:SECRET@/", "http://us:SECRET%zz@h/",
		"udp://239.1.1.1:5000?token=SECRET", "udp://user:SECRET@239.1.1.1:5000", "udp://u:SECRET@v:SECRET@239.1.1.1", "udp://239.1.1.1:x?token=SECRET",
		"tcp://h?token=SECRET", "tcp://user:SECRET@h:80", "file://user:SECRET@h/x", "file://h?token=SECRET", "file:///x/../?SECRET", "ftp://u:SECRET@h/",
		"udp://239.1.1.1:5|http://u:SECRET@h:x/", "udp://239.1.1.1:5|udp://1:SECRET@239.1.1.1:5", "udp://1.1.1.1:1|udp://1.1.1.1:2|http://u:SECRET@h/",
	} {
		if s, err := uri.ParseSource(in); err == nil {
			t.Errorf("%s was read as %v", in, s)
		} else if strings.Contains(err.Error(), "SEC") || strings.Contains(err.Error(), "RET") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"no URL at all":                     "no URL at all",
		"udp://239.1.1.1:5000":              "udp://239.1.1.1:5000",
		"udp://10.0.0.7@239.1.1.1:5000":     "udp://10.0.0.7@239.1.1.1:5000",
		"udp://[fd00::7]@[ff35::1]:5000":    "udp://[fd00::7]@[ff35::1]:5000",
		"udp://me:pw@239.1.1.1:5000":        "udp://-@239.1.1.1:5000",
		"http://cafe:beef@h/x":              "http://-@h/x", // though it looks like an address
		"http://u:p@h/x?token=1":            "http://-@h/x?-",
		"http://h/x?token=1":                "http://h/x?-",
		"http://u:p/w@h/x":                  "http://-@h/x",
		"http://u:p?w@h/x":                  "http://-?-",
		"news  http://u:p@h/?a=b http://h?": "news  http://-@h/?- http://h?-",
		"http:/u:p@h/x":                     "-@h/x",
		"  @include \"one.conf\"":           "  @include \"one.conf\"",

		"udp://10.0.0.7@232.1.1.1:5 tcp://u:p@h:5 x?y z": "udp://10.0.0.7@232.1.1.1:5 tcp://-@h:5 x?- z",
	} {
		if got := uri.Mask(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a!~%20#?": "a!~%20#?", "a b": "a%20b", "ä\r\n\x00\x7f\xff": "%C3%A4%0D%0A%00%7F%FF",
	} {
		if got := uri.Printable(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestWithQuery(t *testing.T) {
	for _, c := range []struct{ in, more, want string }{
		{"http://h/x", "key=1", "http://h:80/x?key=1"},
		{"http://h/x?a=b", "key=1&c", "http://h:80/x?a=b&key=1&c"},
		{"https://u:p@h", "key=1", "https://u:p@h:443/?key=1"},
		{"http://h/x?a=b", "", "http://h:80/x?a=b"},
		{"http://h/x", "a=ä b#c", "http://h:80/x?a=%C3%A4%20b%23c"},
		{"udp://239.1.1.1:5000|udp://239.1.1.2:5000", "key=1", "udp://239.1.1.1:5000|udp://239.1.1.2:5000"},
		{"tcp://h:1", "key=1", "tcp://h:1"},
		{"file:///x", "key=1", "file:///x"},
	} {
		s, err := uri.ParseSource(c.in)
		if err != nil {
			t.Fatal(err)
		}
		before := s.String()
		got, err := s.WithQuery(c.more)
		if err != nil || got.String() != c.want {
			t.Errorf("%s and %s: %v, %v; want %s", c.in, c.more, got, err, c.want)
		}
		if s.String() != before {
			t.Errorf("%s has become %s", before, s)
		}
		if again, err := uri.ParseSource(got.String()); err != nil || !slices.Equal(again, got) {
			t.Errorf("%s: read back as %v, %v", got, again, err)
		}
	}
	long, err := uri.ParseSource("http://h/x")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := long.WithQuery(strings.Repeat("x", uri.MaxLength)); err == nil {
		t.Errorf("there is a URL of %d characters", len(got.String()))
	}
}

func TestIP(t *testing.T) {
	for in, want := range map[string]string{
		"udp://10.0.0.7@239.1.1.1:5": "239.1.1.1", "tcp://10.0.0.7:5": "10.0.0.7", "http://[::1]/": "::1", "https://[::ffff:127.0.0.1]/": "127.0.0.1",
		"http://localhost/": "invalid IP", "tcp://1.2.3:5": "invalid IP", "file:///x": "invalid IP",
	} {
		e, err := uri.Parse(in)
		if err != nil || e.IP().String() != want {
			t.Errorf("%s: %v, %v; want %s", in, e.IP(), err, want)
		}
	}
}

func TestParseSource(t *testing.T) {
	for in, tag := range map[string]string{
		"udp://239.1.1.1:5000":                                  "UDP://239.1.1.1:5000",
		"udp://239.1.1.1:5000|udp://239.1.1.2:5000":             "UDP://239.1.1.1:5000|UDP://239.1.1.2:5000",
		"rtp://239.1.1.1:5000/|udp://239.1.1.1:5001":            "UDP://239.1.1.1:5000|UDP://239.1.1.1:5001",
		"udp://10.0.0.7@232.1.1.1:5|udp://10.0.0.8@232.1.1.1:5": "UDP://10.0.0.7@232.1.1.1:5|UDP://10.0.0.8@232.1.1.1:5",
		"http://h/x|udp://239.1.1.1:5":                          "HTTP://h:80/x|udp://239.1.1.1:5", // the bar is the URL's
		"file:///a|b":                                           "FILE:///a%7Cb",
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
		if !s[0].Datagrams() {
			continue
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
		"http://h/x|" + a + "#":     "no spaces",
		a + "|239.1.1.2:5000":       "no URL",
		a + "|http://239.1.1.2:1":   "cannot be merged",
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
	for _, s := range []string{
		"udp://10.0.0.7@239.1.1.1:5000", "rtp://[fd00::7]@[ff35::1]:5000/", "udp://[::ffff:1.2.3.4]:1",
		"tcp://h:1/", "tcp://[::1]:1", "http://u:p@h/x?y", "https://h", "http://h/ä?ö", "file:///a%20b", "file:///a%3F%23%7E", "upload:///live/cam%20~.ts",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := uri.Parse(s)
		if err != nil {
			return
		}
		if again, err := uri.Parse(e.String()); err != nil || again != e {
			t.Errorf("%q: written as %s, read back as %v, %v", s, e, again, err)
		}
		for _, text := range []string{e.Tag(), e.String()} {
			if uri.Printable(text) != text {
				t.Errorf("%q: %q is not printable", s, text)
			}
		}
		if more, err := e.WithQuery(s); err == nil {
			if again, err := uri.Parse(more.String()); err != nil || again != more {
				t.Errorf("%q with itself as its query: %s, read back as %v, %v", s, more, again, err)
			}
		}
	})
}

// FuzzSecrets puts a secret where credentials or queries are: neither errors nor masked
// texts show it.
func FuzzSecrets(f *testing.F) {
	for _, before := range []string{"http://user:", "http://", "udp://", "udp://10.0.0.7@", "x ", "http://h/?", "file://", "://", "http://h?://", "#"} {
		f.Add(before, "h:x/")
		f.Add(before, "?a b")
		f.Add(before, "@239.1.1.1:5")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "sEcReT"
		for _, s := range []string{before + secret + "@" + after, before + "?" + secret + after} {
			if strings.Contains(uri.Mask(s), secret) {
				t.Errorf("%q is masked as %q", s, uri.Mask(s))
			}
			if _, err := uri.ParseSource(s); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", s, err)
			}
		}
	})
}
