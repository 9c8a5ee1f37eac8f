package request

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"sluice/internal/endpoint"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/udp/239.1.1.1:5000", "/rtp/[ff15::1]:5000/", "/udp/10.0.0.7@239.1.1.1%5000", "/udp/%5Bfd00::7%5D%40%5Bff35::1%5D%3A5000",
		"/", "/udp/", "/udp/a%00b", "/udp/1:2:3", "/udp/[fe80::1%25eth0]:5000", "/udp/239.1.1.1:5000|239.1.1.2~5000", "/rtp/[ff15::1]:1%7C239.1.1.1:2",
		"/$news", "/upload/live/cam%2F1.ts/", "/src/UPLOAD:///a%20b/dst/", "/%24news/", "/$a/b", "/$", "/$Первый?a=b&start=1m30s", "http://h/$news?slow=skip",
		"/src/http://h/udp/224.0.2.26:4033?kk=yy/dst/tcp://h:5051?mm=ff", "/src/$TV9?key=%20/dst", "/src/%24a%3Fb/dst/?start=live&slow=disconnect",
		"/src/file:///a%20b?c/dst/file:///d?write=append", "/src/udp%3A%2F%2F239.1.1.1%3A5000/dst/http%3A%2F%2Fh%2F%3Fx?method=POST&a=b",
		"/src/https://u:p@h/%64st/x/dst/udp://239.1.1.1:5/?bitrate=8M", "/src//dst/", "/src/tcp://h:1/dst//", "/udp/239.1.1.1:5000?start=+1s", "/udp/239.1.1.1:5000?&=&slow",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r, err := Parse(target)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status != http.StatusBadRequest && e.Status != http.StatusNotFound {
				t.Fatalf("%v is no answer", err)
			}
			if e.Text == "" || len(e.Text) > 8<<10 || strings.ContainsFunc(e.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("%q is not one line", e.Text)
			}
			return
		}
		checkPrintable(t, r)
		again, err := Parse(written(r))
		again.Asked, again.Query, r.Asked, r.Query = "", nil, "", nil // the spelling is another one
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q is %+v, and %q is %+v, %v", target, r, written(r), again, err)
		}
	})
}

func checkPrintable(t *testing.T, r Request) {
	t.Helper()
	texts := []string{r.Asked, r.Params}
	for key, values := range r.Query {
		texts = append(append(texts, key), values...)
	}
	for _, s := range texts {
		for i := range len(s) {
			if s[i] < 0x21 || s[i] > 0x7e {
				t.Fatalf("%q in %+v", s, r)
			}
		}
	}
	if r.Asked == "" || (r.Name == "") == (r.Source == nil) {
		t.Fatalf("%+v asks for nothing, or for two things", r)
	}
}

// written is a request in one of its spellings.
func written(r Request) string {
	s := "/src/" + url.PathEscape(r.Source.String()) + "/dst/"
	if r.Name != "" {
		s = "/src/$" + url.PathEscape(r.Name) + "/dst/"
		if r.Params != "" {
			s = "/src/$" + url.PathEscape(r.Name) + "?" + r.Params + "/dst/"
		}
	}
	var parameters []string
	if t := r.Target; t != nil {
		s += url.PathEscape(t.End.String())
		if t.Write != endpoint.WriteNew {
			parameters = append(parameters, "write="+t.Write.String())
		}
		if t.Method != "" {
			parameters = append(parameters, "method="+t.Method)
		}
		if t.Bitrate != 0 {
			parameters = append(parameters, fmt.Sprintf("bitrate=%d", t.Bitrate))
		}
	}
	if r.Start != nil {
		parameters = append(parameters, "start="+r.Start.String())
	}
	if r.Slow != nil {
		parameters = append(parameters, "slow="+r.Slow.String())
	}
	return s + "?" + strings.Join(parameters, "&")
}
