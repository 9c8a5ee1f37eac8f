package request

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/lineup"
)

func TestParse(t *testing.T) {
	for path, want := range map[string]string{
		"/udp/239.1.1.1:5000":                           "udp://239.1.1.1:5000",
		"/udp/239.1.1.1:5000/":                          "udp://239.1.1.1:5000",
		"/rtp/239.1.1.1:5000":                           "udp://239.1.1.1:5000",
		"/rtp/239.1.1.1:5000/":                          "udp://239.1.1.1:5000",
		"/udp/10.0.0.7@239.1.1.1:5000":                  "udp://10.0.0.7@239.1.1.1:5000",
		"/udp/10.0.0.7%40239.1.1.1%3A5000":              "udp://10.0.0.7@239.1.1.1:5000",
		"/udp/[ff15::1]:5000":                           "udp://[ff15::1]:5000",
		"/udp/%5Bff15::1%5D:5000":                       "udp://[ff15::1]:5000",
		"/udp/%5bff15%3a%3a1%5d%3a5000":                 "udp://[ff15::1]:5000",
		"/udp/[fd00::7]@[ff35::1]:5000":                 "udp://[fd00::7]@[ff35::1]:5000",
		"/udp/192.0.2.1:1":                              "udp://192.0.2.1:1",
		"/%75dp/239.1.1.1:5000":                         "udp://239.1.1.1:5000",
		"/udp/[FF15:0:0:0:0:0:0:1]:65535":               "udp://[ff15::1]:65535",
		"/udp/[::ffff:239.1.1.1]:5000":                  "udp://239.1.1.1:5000",
		"/udp/[fd00:0::7]@[ff35:0000::0001]:05000":      "udp://[fd00::7]@[ff35::1]:5000",
		"/udp/239.1.1.1:5000|239.2.1.1:5000":            "udp://239.1.1.1:5000|udp://239.2.1.1:5000",
		"/rtp/239.1.1.1:5000%7C239.2.1.1:5000/":         "udp://239.1.1.1:5000|udp://239.2.1.1:5000",
		"/rtp/239.1.1.1:5000%7c10.0.0.7@[ff3e::1]:5000": "",
		"/udp/[fd00::7]@[ff35::1]:5000|[ff35::2]:5000":  "udp://[fd00::7]@[ff35::1]:5000|udp://[ff35::2]:5000",
	} {
		got, err := Parse(path)
		if want == "" {
			if err == nil {
				t.Errorf("%s: %v, want an error", path, got)
			}
			continue
		}
		if err != nil || got.Source.String() != want || got.Name != "" || got.Start != nil || got.Slow != nil {
			t.Errorf("%s: %+v, %v; want %s", path, got, err, want)
		}
	}
}

func TestParseName(t *testing.T) {
	for target, want := range map[string]Request{
		"/$news":                       {Name: "news", Asked: "$news"},
		"/$news/":                      {Name: "news", Asked: "$news"},
		"/%24news":                     {Name: "news", Asked: "$news"},
		"/%24ne%77s/?":                 {Name: "news", Asked: "$news"},
		"/$News-1_b.x":                 {Name: "News-1_b.x", Asked: "$News-1_b.x"},
		"/$.":                          {Name: ".", Asked: "$."},
		"/$Первый":                     {Name: "Первый", Asked: "$%D0%9F%D0%B5%D1%80%D0%B2%D1%8B%D0%B9"},
		"/$%D0%9F%D0%B5%D1%80%D0%B2":   {Name: "Перв", Asked: "$%D0%9F%D0%B5%D1%80%D0%B2"},
		"/$news?key=BF09":              {Name: "news", Asked: "$news?key=BF09", Params: "key=BF09"},
		"/$news/?key=BF09":             {Name: "news", Asked: "$news?key=BF09", Params: "key=BF09"},
		"/$news?a=%20&slow=skip&b&b=":  {Name: "news", Asked: "$news?a=%20&slow=skip&b&b=", Params: "a=%20&b&b="},
		"/$news?write=x&bitrate=y&a&&": {Name: "news", Asked: "$news?write=x&bitrate=y&a&&", Params: "write=x&bitrate=y&a&&"}, // of a TARGET only
		"/$news?a=ä":                   {Name: "news", Asked: "$news?a=%C3%A4", Params: "a=%C3%A4"},
		"http://tv.example/$news?a=b":  {Name: "news", Asked: "$news?a=b", Params: "a=b"},

		"/src/$news/dst":                        {Name: "news", Asked: "$news"},
		"/src/$news/dst/":                       {Name: "news", Asked: "$news"},
		"/src/$news//dst/":                      {Name: "news", Asked: "$news"},
		"/src/%24news/dst/?x=y":                 {Name: "news", Asked: "$news"},
		"/src/$news?key=1&start=live/dst/?x=y":  {Name: "news", Asked: "$news?key=1&start=live", Params: "key=1&start=live"}, // start is the channel's own
		"/src/%24news%3Fkey%3D1%26a%3D%20/dst/": {Name: "news", Asked: "$news?key=1&a=%20", Params: "key=1&a=%20"},
	} {
		got, err := Parse(target)
		got.Query, got.Start, got.Slow = nil, nil, nil
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", target, got, err, want)
		}
	}
}

// pair is what a request of both ends says.
type pair struct{ source, target, asked, query string }

func pairOf(r Request) pair {
	p := pair{asked: r.Asked, query: r.Query.Encode()}
	if p.source = r.Source.String(); r.Source == nil {
		p.source = "$" + r.Name
	}
	if r.Target != nil {
		p.target = r.Target.End.String()
	}
	return p
}

// TestManual: the examples of gigapxy's manual, a to h.
func TestManual(t *testing.T) {
	for target, want := range map[string]pair{
		"/src/file:///opt/data/somefile.dat/dst/?a=bb&c=dd":           {"file:///opt/data/somefile.dat", "", "file:///opt/data/somefile.dat", "a=bb&c=dd"},
		"/src/udp://[ff18::1]:5056/dst/file:///opt/data/somefile.dat": {"udp://[ff18::1]:5056", "file:///opt/data/somefile.dat", "udp://[ff18::1]:5056", ""},
		"/src/udp://[ff18::1]:5056/dst/":                              {"udp://[ff18::1]:5056", "", "udp://[ff18::1]:5056", ""},
		"/udp/[ff18::1]:5056":                                         {"udp://[ff18::1]:5056", "", "udp://[ff18::1]:5056", ""},
		"/src/http://10.0.1.12:4056/udp/224.0.2.26:4033?kk=yy/dst/tcp://192.168.12.10:5051?mm=ff": {
			"http://10.0.1.12:4056/udp/224.0.2.26:4033?kk=yy", "tcp://192.168.12.10:5051", "http://10.0.1.12:4056/udp/224.0.2.26:4033?kk=yy", "kk=yy&mm=ff",
		},
		"/$TV9":                                      {"$TV9", "", "$TV9", ""},
		"/src/$TV9?key=BF094744c5/dst":               {"$TV9", "", "$TV9?key=BF094744c5", "key=BF094744c5"},
		"/udp/10.0.11.26@224.0.2.26:5050":            {"udp://10.0.11.26@224.0.2.26:5050", "", "udp://10.0.11.26@224.0.2.26:5050", ""},
		"/src/udp://10.0.11.26@224.0.2.26:5050/dst/": {"udp://10.0.11.26@224.0.2.26:5050", "", "udp://10.0.11.26@224.0.2.26:5050", ""},
		"/udp/224.0.2.12:5011?auth=ef031204ba0c":     {"udp://224.0.2.12:5011", "", "udp://224.0.2.12:5011?auth=ef031204ba0c", "auth=ef031204ba0c"},
	} {
		if got, err := Parse(target); err != nil || pairOf(got) != want {
			t.Errorf("%s: %+v, %v; want %+v", target, pairOf(got), err, want)
		}
	}
	if r, err := Parse("/src/$TV9?key=BF094744c5/dst"); err != nil || r.Params != "key=BF094744c5" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAcceptance52: the last /dst ends the source, and percent-encoding is the way round it.
func TestAcceptance52(t *testing.T) {
	const a, b = "udp://239.1.1.1:5000", "http://b:80"
	for target, want := range map[string]pair{
		"/src/" + a + "/dst":                       {a, "", a, ""},
		"/src/" + a + "/dst/":                      {a, "", a, ""},
		"/src/" + a + "//dst//":                    {a, "", a + "/", ""},
		"/src/" + a + "/dst?x=y":                   {a, "", a, "x=y"},
		"/src/" + a + "/dst/?x=y":                  {a, "", a, "x=y"},
		"/src/" + a + "?t=1/dst/":                  {a, "", a + "?t=1", "t=1"}, // never part of the end
		"/src/" + a + "?t=/x/dst/":                 {a, "", a + "?t=/x", "t=%2Fx"},
		"/src/tcp://b:1?t=1/dst/":                  {"tcp://b:1", "", "tcp://b:1?t=1", "t=1"},
		"/src/file:///f?t=1/dst/":                  {"file:///f", "", "file:///f?t=1", "t=1"},
		"/src/file:///f%3Ft/dst/":                  {"file:///f%3Ft", "", "file:///f%3Ft", ""},
		"/src/rtp://239.1.1.1:5/dst":               {"rtp://239.1.1.1:5", "", "rtp://239.1.1.1:5", ""},
		"/src/" + a + "|udp://239.1.1.2:5000/dst/": {a + "|udp://239.1.1.2:5000", "", a + "|udp://239.1.1.2:5000", ""},

		// A chain of relays: each takes the last.
		"/src/" + b + "/src/" + a + "/dst//dst/":            {b + "/src/" + a + "/dst/", "", b + "/src/" + a + "/dst/", ""},
		"/src/" + b + "/src/" + a + "/dst/tcp://c:1/dst/?x": {b + "/src/" + a + "/dst/tcp://c:1", "", b + "/src/" + a + "/dst/tcp://c:1", "x="},
		"/src/" + b + "/a/dst/dst":                          {b + "/a/dst", "", b + "/a/dst", ""},
		"/src/" + b + "/dstx/dst/":                          {b + "/dstx", "", b + "/dstx", ""},
		"/src/" + b + "/x?y=/dst/z/dst":                     {b + "/x?y=/dst/z", "", b + "/x?y=/dst/z", "y=%2Fdst%2Fz"},
		"/src/" + b + "/a%20b%2Fc?d=%26/dst/":               {b + "/a%20b%2Fc?d=%26", "", b + "/a%20b%2Fc?d=%26", "d=%26"}, // byte for byte

		// A target with /dst.
		"/src/" + a + "/dst/" + b + "/%64st/x":                {a, b + "/dst/x", a, ""},
		"/src/" + a + "/dst/" + b + "/d%73%74":                {a, b + "/dst", a, ""},
		"/src/" + a + "/dst/" + b + "/%2564st/x":              {a, b + "/%64st/x", a, ""}, // one level only
		"/src/" + a + "/dst/http%3A%2F%2Fb%2Fdst%2Fx%3Fy%3Dz": {a, b + "/dst/x?y=z", a, "y=z"},
		"/src/" + b + "/%64st/x/dst/":                         {b + "/dst/x", "", b + "/dst/x", ""},

		// Encoded, as a whole and in parts.
		"/src/udp%3A%2F%2F239.1.1.1%3A5000%3Ft%3D1/dst/":   {a, "", a + "?t=1", "t=1"},
		"/src/udp://%5Bff18::1%5D%3A5056/dst/":             {"udp://[ff18::1]:5056", "", "udp://[ff18::1]:5056", ""},
		"/src/udp://10.0.0.7%40239.1.1.1:5000/dst/":        {"udp://10.0.0.7@239.1.1.1:5000", "", "udp://10.0.0.7@239.1.1.1:5000", ""},
		"/src/udp://239.1.1.1:1%7Cudp://239.1.1.2:1/dst/":  {"udp://239.1.1.1:1|udp://239.1.1.2:1", "", "udp://239.1.1.1:1|udp://239.1.1.2:1", ""},
		"/src/http%3A%2F%2Fb%2Fx%3Ft%3D%252F/dst/":         {b + "/x?t=%2F", "", "http://b/x?t=%2F", "t=%2F"},
		"/src/file%3A%2F%2F%2Fa%2520b/dst/":                {"file:///a%20b", "", "file:///a%20b", ""},
		"/src/file:///a%20b/dst/file:///c%20d":             {"file:///a%20b", "file:///c%20d", "file:///a%20b", ""},
		"/src/file:///фильм/dst/":                          {"file:///%D1%84%D0%B8%D0%BB%D1%8C%D0%BC", "", "file:///%D1%84%D0%B8%D0%BB%D1%8C%D0%BC", ""},
		"/src/https://u:p@B/x/dst/":                        {"https://u:p@b:443/x", "", "https://u:p@B/x", ""}, // as it was written
		"http://relay.example:4046/src/" + a + "/dst/?x=y": {a, "", a, "x=y"},

		// Parameters behind a target.
		"/src/" + a + "/dst/" + b + "/x?k=1&start=live&m=2": {a, b + "/x?k=1&m=2", a, "k=1&m=2&start=live"},
		"/src/" + a + "/dst/" + b + "/x?method=POST":        {a, b + "/x", a, "method=POST"},
		"/src/" + a + "/dst/http%3A%2F%2Fb%2F%3Fa=1?b=2":    {a, b + "/?a=1&b=2", a, "a=1&b=2"},
		"/src/" + a + "/dst/udp://239.2.1.1:5/?bitrate=8M":  {a, "udp://239.2.1.1:5", a, "bitrate=8M"},
	} {
		if got, err := Parse(target); err != nil || pairOf(got) != want {
			t.Errorf("%s: %+v, %v; want %+v", target, pairOf(got), err, want)
		}
	}
}

// TestTarget: what the parameters of a target do.
func TestTarget(t *testing.T) {
	const before = "/src/udp://239.1.1.1:5000/dst/"
	for target, want := range map[string]endpoint.Target{
		"file:///x":                    {},
		"file:///x?write=append":       {Write: endpoint.WriteAppend},
		"file:///x?a=b&write=truncate": {Write: endpoint.WriteTruncate},
		"http://h/x?method=POST":       {Method: "POST"},
		"https://h/x?method=PUT":       {Method: "PUT"},
		"udp://239.2.1.1:5?bitrate=8M": {Bitrate: 8e6},
		"rtp://239.2.1.1:5?bitrate=1":  {Bitrate: 1},
		"udp://239.2.1.1:5?bitrate=2k": {Bitrate: 2e3},
		"udp://239.2.1.1:5?bitrate=1G": {Bitrate: 1e9},
		"tcp://h:5?start=live":         {},
	} {
		got, err := Parse(before + target)
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		want.End = got.Target.End
		if *got.Target != want {
			t.Errorf("%s: %+v, want %+v", target, *got.Target, want)
		}
	}
}

// TestQuery: what authorization is told.
func TestQuery(t *testing.T) {
	for target, want := range map[string]url.Values{
		"/udp/239.1.1.1:5000":                              {},
		"/udp/239.1.1.1:5000?token=a%2Bb+c%3D&x":           {"token": {"a+b+c="}, "x": {""}},
		"/udp/239.1.1.1:5000?token=a&token=b":              {"token": {"a", "b"}},
		"/udp/239.1.1.1:5000?a=%0d%0aX:y&%00=%20&b=%zz&&=": {"a": {"%0D%0AX:y"}, "%00": {"%20"}, "b": {"%zz"}, "": {""}},
		"/udp/239.1.1.1:5000?a=ä;b=c":                      {"a": {"%C3%A4;b=c"}},
		"/src/http://h/x?token=a/dst/tcp://h:1?token=b":    {"token": {"b", "a"}}, // a is for h, maybe
		"/src/$news?token=a/dst/?ip=1.2.3.4":               {"token": {"a"}, "ip": {"1.2.3.4"}},
	} {
		if got, err := Parse(target); err != nil || !reflect.DeepEqual(got.Query, want) {
			t.Errorf("%s: %q, %v; want %q", target, got.Query, err, want)
		}
	}
}

// TestAcceptance60: udpxy's separators before the port.
func TestAcceptance60(t *testing.T) {
	for address, want := range map[string]string{
		"239.1.1.1%5000": "", "239.1.1.1~5000": "", "239.1.1.1+5000": "", "239.1.1.1-5000": "", "239.1.1.1^5000": "",
		"239.1.1.1%255000": "", "239.1.1.1%7E5000": "", "239.1.1.1%2B5000": "", "239.1.1.1%2d5000": "", "239.1.1.1%5e5000": "", "239.1.1.1%3A5000": "",
		"239.1.1.1%5000/":                 "",
		"239.1.1.1%25000":                 "udp://239.1.1.1:25000", // not an encoded % and port 000
		"10.0.0.7@239.1.1.1%5000":         "udp://10.0.0.7@239.1.1.1:5000",
		"10.0.0.7%40239.1.1.1%5000":       "udp://10.0.0.7@239.1.1.1:5000",
		"[ff15::1]~5000":                  "udp://[ff15::1]:5000",
		"[fd00::7]@[ff35::1]%5000":        "udp://[fd00::7]@[ff35::1]:5000",
		"239.1.1.1%5000|239.1.1.2~5000":   "udp://239.1.1.1:5000|udp://239.1.1.2:5000",
		"239.1.1.1%5000%7C239.1.1.2+5000": "udp://239.1.1.1:5000|udp://239.1.1.2:5000",
	} {
		if want == "" {
			want = "udp://239.1.1.1:5000"
		}
		for _, command := range []string{"/udp/", "/rtp/"} {
			if got, err := Parse(command + address); err != nil || got.Source.String() != want {
				t.Errorf("%s%s: %v, %v; want %s", command, address, got.Source, err, want)
			}
		}
	}
}

// TestAcceptance58: what players append is no part of the address, and is passed on to
// authorization.
func TestAcceptance58(t *testing.T) {
	plain, err := Parse("/udp/239.0.0.77:8208")
	if err != nil {
		t.Fatal(err)
	}
	const query = "autoAdjustQuality=0&X-Plex-Token=abc&location=lan"
	for _, slash := range []string{"", "/"} {
		got, err := Parse("/udp/239.0.0.77:8208" + slash + "?" + query)
		if err != nil || !slices.Equal(got.Source, plain.Source) || got.Asked != "udp://239.0.0.77:8208?"+query || got.Query.Get("X-Plex-Token") != "abc" {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// TestAcceptance129: 8 kB are read, wherever they stand.
func TestAcceptance129(t *testing.T) {
	x := strings.Repeat("x", 8000)
	for target, status := range map[string]int{
		"/udp/239.1.1.1:5000?x=" + x: 0, "/$news?x=" + x: 0, "/src/udp://239.1.1.1:5000?x=" + x + "/dst/": 0,
		"/src/udp://239.1.1.1:5000/dst/?x=" + x: 0, "/" + x: 404, "/$" + x: 400, "/udp/" + x: 400,
		"/src/http://h/" + x + "/dst/": 400, "/src/udp://239.1.1.1:5/dst/http://h/?" + x: 400, "/src/" + strings.Repeat("/dst", 2000): 400,
	} {
		_, err := Parse(target)
		var e *Error
		switch {
		case status == 0 && err != nil:
			t.Errorf("%.40s: %v", target, err)
		case status != 0 && (!errors.As(err, &e) || e.Status != status || len(e.Text) > 300):
			t.Errorf("%.40s: %v, want %d", target, err, status)
		}
	}
}

func TestParameters(t *testing.T) {
	back := &lineup.Start{Back: 30 * time.Second}
	key, live := &lineup.Start{}, &lineup.Start{Live: true}
	skip, disconnect := lineup.Skip, lineup.Disconnect
	for query, want := range map[string]Request{
		"":                                 {},
		"a=b":                              {},
		"&&=&;":                            {},
		"X-Plex-Token=abc&x=%20":           {},
		"token=/udp/1:2&bad=%zz&a=1&a=2":   {}, // not ours: not looked at
		"Start=x&starts=x&xstart=x&SLOW=x": {},
		"start=30s":                        {Start: back},
		"a=b&start=30s&c":                  {Start: back},
		"start=%330s":                      {Start: back},
		"start=key":                        {Start: key},
		"start=live&slow=disconnect":       {Start: live, Slow: &disconnect},
		"slow=skip":                        {Slow: &skip},
	} {
		for _, path := range []string{"/$news", "/udp/239.1.1.1:5000"} {
			got, err := Parse(path + "?" + query)
			got.Name, got.Source, got.Params, got.Asked, got.Query = "", nil, "", "", nil
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s?%s: %+v, %v; want %+v", path, query, got, err, want)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		path, query string
		status      int
		text        string // part of it
	}{
		{"", "", 404, "/$NAME"},
		{"/", "", 404, "/udp/GROUP:PORT"},
		{"*", "", 404, ""},
		{"/favicon.ico", "", 404, ""},
		{"/status", "", 404, ""},
		{"/UDP/239.1.1.1:5000", "", 404, ""},
		{"/udpx/239.1.1.1:5000", "", 404, ""},
		{"//udp/239.1.1.1:5000", "", 404, ""},
		{"/../udp/239.1.1.1:5000", "", 404, ""},
		{"/%zz/239.1.1.1:5000", "", 404, ""},
		{"/udp/239.1.1.1:5000/x", "", 404, "followed by more"},
		{"/udp/239.1.1.1:5000//", "", 404, ""},
		{"/udp%2F239.1.1.1:5000", "", 404, ""},
		{"/udp", "", 400, "no address"},
		{"/udp/", "", 400, "no address"},
		{"/udp/239.1.1.1", "", 400, `"239.1.1.1"`},
		{"/udp/239.1.1.1:0", "", 400, "port 0"},
		{"/udp/239.1.1.1:65536", "", 400, "65536"},
		{"/udp/239.1.1.1:-1", "", 400, ""},
		{"/udp/239.1.1:5000", "", 400, ""},
		{"/udp/239.1.1.256:5000", "", 400, ""},
		{"/udp/10.0.0.7:239.1.1.1:5000", "", 400, "use @"},
		{"/udp/[fd00::7]:[ff35::1]:5000", "", 400, "use @"},
		{"/src/udp://10.0.0.7:239.1.1.1:5000/dst/", "", 400, "use @"},
		{"/udp/fd00::1:5000", "", 400, "[ADDRESS]:PORT"},
		{"/udp/example.org:5000", "", 400, ""},
		{"/udp/fd00::7@239.1.1.1:5000", "", 400, "IP versions"},
		{"/udp/10.0.0.7@10.0.0.8:5000", "", 400, "no multicast group"},
		{"/udp/@239.1.1.1:5000", "", 400, "source"},
		{"/udp/[fe80::1%25eth0]:5000", "", 400, "zone"},
		{"/udp/239.1.1.1:5000%2F", "", 400, "bad character"},
		{"/udp/239.1.1.1%00:5000", "", 400, "bad character"},
		{"/udp/239.1.1.1:5000%0d%0aSet-Cookie:x", "", 400, `\r\n`},
		{"/udp/%20239.1.1.1:5000", "", 400, "bad character"},
		{"/udp/٢٣٩.1.1.1:5000", "", 400, "bad character"},
		{"/udp/239.1.1.1:5000%20", "", 400, "bad character"},
		{"/udp/239.1.1.1%zz:5000", "", 400, "%zz"},
		{"/udp/239.1.1.1:5000%", "", 400, ""},
		{"/udp/" + strings.Repeat("1", 8000), "", 400, "8000"},
		{"/udp/" + strings.Repeat("1", 300), "", 400, "300"},
		{"/udp/239.1.1.1:5000|239.1.1.1:5000", "", 400, "twice"},
		{"/udp/239.1.1.1:5000|239.1.1.2:5000|239.1.1.3:5000", "", 400, "3 legs"},
		{"/udp/239.1.1.1:5000|", "", 400, "bad address"},
		{"/udp/|", "", 400, "bad address"},
		{"/$", "", 400, "bad channel name"},
		{"/$/", "", 400, "bad channel name"},
		{"/$a%20b", "", 400, `"a b"`},
		{"/$a%0ab", "", 400, `\n`},
		{"/$" + strings.Repeat("a", 65), "", 400, "65"},
		{"/$news/x", "", 404, "followed by more"},
		{"/$news//", "", 404, "followed by more"},
		{"/udp/$news", "", 400, "bad address"},
		{"/$$news", "", 400, "bad channel name"},
		{"/$news", "start=", 400, "want live, key or"},
		{"/$news", "start", 400, "want live, key or"},
		{"/$news", "start=30", 400, "such as 30s"},
		{"/$news", "start=+30s", 400, "such as 30s"},
		{"/$news", "start=25h", 400, "at most 24h"},
		{"/$news", "start=%zz", 400, "%zz"},
		{"/$news", "start=" + strings.Repeat("0", 99) + "1s", 400, "101 characters"},
		{"/$news", "start=live&start=live", 400, "twice"},
		{"/$news", "slow=skip&a=b&slow=disconnect", 400, "twice"},
		{"/$news", "slow=wait", 400, "cannot wait"},
		{"/$news", "slow=fast", 400, "want skip or disconnect"},
		{"/udp/239.1.1.1:5000", "slow=fast", 400, "want skip or disconnect"},
		{"/udp/239.1.1.1:5000", "a=\x00", 400, "control character"},
		{"/udp/239.1.1.1:5000", "a=b c", 400, "%20"},
		{"/src/udp://239.1.1.1:5000", "", 400, "no /dst"},
		{"/src/udp%3A%2F%2F239.1.1.1%3A5000%2Fdst%2F", "", 400, "no /dst"},
		{"/src", "", 400, "no /dst"},
		{"/src/", "x=y", 400, "no /dst"},
		{"/src/dst/", "", 400, "no /dst"}, // there is no source before it
		{"/src//dst/", "", 400, "no source"},
		{"/src/239.1.1.1:5000/dst/", "", 400, "no URL"},
		{"/src/ftp://h/x/dst/", "", 400, "unsupported scheme"},
		{"/src/udp://example.org:5000/dst/", "", 400, "bad address"},
		{"/src/http://h/x%zz/dst/", "", 400, "hexadecimal"},
		{"/src/http://h/x#y/dst/", "", 400, "#"},
		{"/src/%zz/dst/", "", 400, "%zz"},
		{"/src/udp://%zz/dst/", "", 400, "%zz"},
		{"/src/file:///a/%2e%2e/b/dst/", "", 400, "double dots"},
		{"/src/file:///a%0ab/dst/", "", 400, "control character"},
		{"/src/http%3A%2F%2Fh%2F%0D%0AX%3Ay/dst/", "", 400, "control characters"},
		{"/src/$a%20b/dst/", "", 400, `"a b"`},
		{"/src/$/dst/", "", 400, "bad channel name"},
		{"/src/$%zz/dst/", "", 400, "%zz"},
		{"/src/$news/x/dst/", "", 400, "bad channel name"},
		{"/src/udp://239.1.1.1:5/dst/x", "", 400, "destination"},
		{"/src/udp://239.1.1.1:5/dst/$news", "", 400, "cannot be a destination"},
		{"/src/udp://239.1.1.1:5/dst/udp://1.1.1.1@239.1.1.2:5", "", 400, "only a source"},
		{"/src/udp://239.1.1.1:5/dst/udp://239.1.1.2:5|udp://239.1.1.3:5", "", 400, "destination"},
		{"/src/udp://239.1.1.1:5/dst/tcp://h%3Fa:1", "", 400, "destination"},
		{"/src/udp://239.1.1.1:5/dst/tcp://h:1", "write=append", 400, "only a file"},
		{"/src/udp://239.1.1.1:5/dst/file:///x", "write=over", 400, "truncate"},
		{"/src/udp://239.1.1.1:5/dst/file:///x", "method=PUT", 400, "http"},
		{"/src/udp://239.1.1.1:5/dst/http://h", "method=GET", 400, "PUT or POST"},
		{"/src/udp://239.1.1.1:5/dst/http://h", "bitrate=8M", 400, "udp"},
		{"/src/udp://239.1.1.1:5/dst/udp://239.1.1.2:5", "bitrate=0", 400, "such as"},
		{"/src/udp://239.1.1.1:5/dst/udp://239.1.1.2:5", "bitrate=-1", 400, "such as"},
		{"/src/udp://239.1.1.1:5/dst/udp://239.1.1.2:5", "bitrate=101G", 400, "such as"},
		{"/src/udp://239.1.1.1:5/dst/udp://239.1.1.2:5", "bitrate=9223372036854775807G", 400, "such as"},
		{"/src/udp://239.1.1.1:5/dst/udp://239.1.1.2:5", "bitrate=1&bitrate=1", 400, "twice"},
		{"http://tv.example", "", 404, ""},
		{"http://tv.example", "x=/udp/239.1.1.1:5000", 404, ""},
		{"ftp://tv.example/udp/239.1.1.1:5000", "", 404, ""},
		{"udp/239.1.1.1:5000", "", 404, ""},
		{"$news", "", 404, ""},
	} {
		target := c.path
		if c.query != "" {
			target += "?" + c.query
		}
		got, err := Parse(target)
		var e *Error
		if !errors.As(err, &e) || e.Status != c.status || !strings.Contains(e.Text, c.text) {
			t.Errorf("%q ? %q: %v, %v; want %d and %q", c.path, c.query, got, err, c.status, c.text)
		}
	}
}

// TestErrorsKeepSecrets: an error reaches the log and the client.
func TestErrorsKeepSecrets(t *testing.T) {
	for _, target := range []string{
		"/udp/239.1.1.1?token=SECRET", "/$a b?token=SECRET", "/src/http://u:SECRET@h:x/dst/", "/src/http://h:x/?token=SECRET/dst/", "/src/udp://239.1.1.1?token=SECRET/dst/",
		"/src/http%3A%2F%2Fu%3ASECRET%40h%3Ax/dst/", "/src/udp://239.1.1.1:5/dst/http://u:SECRET@h:x/", "/src/udp://239.1.1.1:5/dst/x?token=SECRET",
		"/src/$a%20b?token=SECRET/dst/", "/src/http://h/?token=SECRET", "/src/file:///x/../y?token=SECRET/dst/", "/x?SECRET", "/src/file%3A%2F%2Fx%3FSECRET/dst/",
		"/src/http%3A%2F%2Fu%3ASECRET%40h%0a/dst/",
		"/$news%3Ftoken=SECRET", "/$u:SECRET%40h", "/udp/http:%2F%2Fu:SECRET%40h%2F", "/udp/239.1.1.1:5000%3Ftoken=SECRET%2F", "/udp/239.1.1.1:5000%3Fa%20SECRET",
	} {
		if r, err := Parse(target); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %+v, %v", target, r, err)
		}
	}
}

// TestLogged: what logs are told of a bad parameter has nothing of its value.
func TestLogged(t *testing.T) {
	for _, target := range []string{
		"/udp/239.1.1.1:5000?start=SECRET", "/udp/239.1.1.1:5000?slow=SECRET", "/$news?start=%zzSECRET",
		"/src/$news/dst/file:///a?write=SECRET", "/src/$news/dst/http://h/a?method=SECRET", "/src/$news/dst/udp://10.0.0.1:5000?bitrate=SECRET",
	} {
		_, err := Parse(target)
		var bad *Error
		if !errors.As(err, &bad) || bad.Status != http.StatusBadRequest || bad.Logged == "" || strings.Contains(bad.Logged, "SECRET") {
			t.Errorf("%s: %+v", target, err)
		}
	}
}
