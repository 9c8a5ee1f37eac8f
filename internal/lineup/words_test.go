package lineup

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/uri"
)

// TestWords: each kind of text of a channel, good and bad.
func TestWords(t *testing.T) {
	long := strings.Repeat("x", MaxText+1)
	for _, c := range []struct {
		what  string
		check func(string) error
		good  []string
		bad   []string
	}{
		{
			"name", CheckName,
			[]string{
				"news", "Film-1_b.x", ".", "ä", "Первый_канал", "电视台", "قناة-1", "हिन्दी", "и\u0306", "٣", strings.Repeat("x", 64), strings.Repeat("ж", 32),
			},
			[]string{
				"", "a b", "a/b", "a$", "a?", "a#", "a%41", "a&b", "a+b", "a\tb", "a\x00", "a\u00a0b", "a\u202eb", "a\u200bb", "a\xff", "a\ufffd", "½", "📺",
				strings.Repeat("ж", 33),
			},
		},
		{
			"content type", CheckContentType,
			[]string{"", "video/mp2t", "application/octet-stream", `video/mp2t; x="a b"`},
			[]string{"video", "video/", "/mp2t", "video/mp2t\r\nX: y", "video/мп", `video/mp2t; x="ä"`, "a/" + long, "video/mp2t; x"},
		},
		{
			"redirect", CheckRedirect,
			[]string{"", "http://b.example", "https://b.example:8443/udp/", "http://[fd00::7]/x?y=z", "http://b.example/%D1%82"},
			[]string{
				"/x", "b.example", "udp://239.1.1.1:5", "file:///x", "http://u:p@b.example/", "http://b.example/a b", "http://b.example/\r\n", "http://b.example/т",
				"http://b.example/#x", "http://b.example:x/", "//b.example/",
			},
		},
		{
			"logo", CheckLogo,
			[]string{"", "http://b.example/x.png?y=z"},
			[]string{"x.png", "data:image/png;base64,AAAA", "http://u:p@b.example/x.png", "http://b.example/\"x\n"},
		},
		{
			"text", checkText,
			[]string{"", "News, in \"HD\" #1", "Первый канал 📺", strings.Repeat("x", MaxText)},
			[]string{"a\nb", "a\tb", "a\x85b", "a\u0085b", "a\u2028b", "a\xff", long},
		},
	} {
		for _, s := range c.good {
			if err := c.check(s); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		}
		for _, s := range c.bad {
			err := c.check(s)
			if err == nil {
				t.Errorf("%q is a good %s", s, c.what)
			} else if text := err.Error(); len(text) > 200 || strings.ContainsAny(text, "\r\n\x00") || strings.Contains(text, "u:p") {
				t.Errorf("%s %q: %q", c.what, s, text)
			}
		}
	}
}

func many(tb testing.TB, n int) []Channel {
	channels := make([]Channel, n)
	for i := range channels {
		s, err := uri.ParseSource(fmt.Sprintf("udp://239.1.%d.%d:5000", i>>8, i&0xff))
		if err != nil {
			tb.Fatal(err)
		}
		channels[i] = Channel{Name: fmt.Sprintf("channel-%d", i), Sources: []uri.Source{s}, Settings: Defaults()}
	}
	return channels
}

// BenchmarkNew is a lineup of that many channels: the cost of one does not depend on it.
func BenchmarkNew(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		channels := many(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := New(Defaults(), channels); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/channel")
		})
	}
}

// BenchmarkLookUp is by name and by source, in lineups of that many channels.
func BenchmarkLookUp(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		channels := many(b, n)
		l, err := New(Defaults(), channels)
		if err != nil {
			b.Fatal(err)
		}
		last := channels[n-1]
		b.Run(fmt.Sprintf("Named/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, ok := l.Named(last.Name); !ok {
					b.Fatal(last.Name)
				}
			}
		})
		b.Run(fmt.Sprintf("From/%d", n), func(b *testing.B) {
			for b.Loop() {
				if l.From(last.Sources[0]).Name != last.Name {
					b.Fatal(last.Name)
				}
			}
		})
	}
}
