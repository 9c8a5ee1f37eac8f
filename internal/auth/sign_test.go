package auth

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const unauthorized = http.StatusUnauthorized

var (
	key    = []byte("0123456789abcdef0123456789abcdef")
	newKey = []byte("fedcba9876543210fedcba9876543210")
)

// request is one for a path, with that query.
func request(path, query string) Question {
	q := question("udp://239.1.1.1:5000?" + query)
	q.Path = path
	return q
}

// TestSignVector: what others have to compute, from the words of Config.Secrets and RFC 2104.
//
//	printf '/udp/239.1.1.1:5000\n1900000000' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
func TestSignVector(t *testing.T) {
	at := time.Unix(1_900_000_000, 999)
	same(t, Sign(key, "/udp/239.1.1.1:5000", at, netip.Addr{}),
		"expires=1900000000&sign=5cdfc8a922d53ced44d324e291fd867339ab31451f584ada94c7844252d1fcd5")
	same(t, Sign(key, "/$news", at, netip.MustParseAddr("::ffff:192.0.2.7")),
		"expires=1900000000&ip=192.0.2.7&sign=792d7996fb95306a384dabd2758e9b11d3d49c04a1e0ff186b02481e474c4832")
	same(t, Sign(key, "/$news", at, netip.MustParseAddr("2001:DB8::7")),
		"expires=1900000000&ip=2001%3Adb8%3A%3A7&sign=d0c61ca50703829ee1e4a0985b948ef2c350ea06040ab30fab3a2c253d54b801")
}

func TestSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Config{Secrets: [][]byte{newKey, key}}, discard())
		if err != nil {
			t.Fatal(err)
		}
		const path = "/udp/239.1.1.1:5000"
		until := time.Now().Add(time.Hour)
		good := Sign(key, path, until, netip.Addr{})
		own := Sign(key, path, until, netip.MustParseAddr("192.0.2.7"))
		six := request(path, Sign(key, path, until, netip.MustParseAddr("2001:db8::7")))
		six.Peer = netip.MustParseAddrPort("[2001:db8::7]:1")
		mapped := request(path, own)
		mapped.Peer = netip.MustParseAddrPort("[::ffff:192.0.2.7]:1")
		_, sign, _ := strings.Cut(good, "sign=")

		for name, c := range map[string]struct {
			q    Question
			code int
			why  string
		}{
			"good":                    {request(path, good), ok, ""},
			"capital digits":          {request(path, good[:len(good)-len(sign)]+strings.ToUpper(sign)), ok, ""},
			"with more parameters":    {request(path, "start=30s&"+good+"&token=x"), ok, ""},
			"the newer key":           {request(path, Sign(newKey, path, until, netip.Addr{})), ok, ""},
			"of the address":          {request(path, own), ok, ""},
			"of the address, IPv6":    {six, ok, ""},
			"of the address, mapped":  {mapped, ok, ""},
			"none":                    {request(path, ""), unauthorized, "no signature"},
			"without sign":            {request(path, "expires=99999999999"), unauthorized, "no signature"},
			"another path":            {request("/udp/239.1.1.1:5001", good), denied, "bad signature"},
			"the path, other letters": {request("/udp/%3239.1.1.1:5000", good), denied, "bad signature"},
			"another time":            {request(path, strings.Replace(good, "expires=9", "expires=8", 1)), denied, "bad signature"},
			"no time":                 {request(path, "sign="+sign), denied, "bad signature"},
			"an address added":        {request(path, good+"&ip=192.0.2.7"), denied, "bad signature"},
			"no address added":        {request(path, good+"&ip="), denied, "bad signature"},
			"the address left out":    {request(path, strings.Replace(own, "&ip=192.0.2.7", "", 1)), denied, "bad signature"},
			"of another address":      {request(path, Sign(key, path, until, netip.MustParseAddr("192.0.2.8"))), denied, "another address"},
			"another key":             {request(path, Sign([]byte("another key of enough bytes"), path, until, netip.Addr{})), denied, "bad signature"},
			"cut off":                 {request(path, good[:len(good)-2]), denied, "bad signature"},
			"no digits":               {request(path, "expires=99999999999&sign=zz"), denied, "bad signature"},
			"empty":                   {request(path, "expires=99999999999&sign="), denied, "bad signature"},
			"signed, but no time":     {request(path, signedText(path, "soon")), denied, "bad time"},
			"signed, no such time":    {request(path, signedText(path, "99999999999999999999")), denied, "bad time"},
		} {
			a := g.Ask(t.Context(), c.q)
			if a.Code != c.code || !strings.Contains(a.Reason, c.why) {
				t.Errorf("%s: %+v, want %d %s", name, a, c.code, c.why)
			}
		}

		time.Sleep(time.Hour - time.Nanosecond)
		if a := g.Ask(t.Context(), request(path, good)); a.Code != ok {
			t.Errorf("just before the end: %+v", a)
		}
		time.Sleep(time.Nanosecond)
		if a := g.Ask(t.Context(), request(path, good)); a.Code != denied || !strings.Contains(a.Reason, "expired") {
			t.Errorf("at the end: %+v", a)
		}
	})
}

// signedText is a query with a good signature over a time that is none.
func signedText(path, expires string) string {
	const digits = "0123456789abcdef"
	sign := ""
	for _, b := range signature(key, path+"\n"+expires) {
		sign += string(digits[b>>4]) + string(digits[b&15])
	}
	return "expires=" + expires + "&sign=" + sign
}

func TestTokens(t *testing.T) {
	tokens := []Token{{"bob", "sesame"}, {"eve", "s&=% ü"}, {"bob", "a third"}}
	both, err := New(Config{Tokens: tokens, Secrets: [][]byte{key}}, discard())
	if err != nil {
		t.Fatal(err)
	}
	only, err := New(Config{Tokens: tokens}, discard())
	if err != nil {
		t.Fatal(err)
	}
	good := Sign(key, "/$news", time.Now().Add(time.Hour), netip.Addr{})
	for query, want := range map[string]struct{ both, only Answer }{
		"token=sesame":                       {Answer{User: "bob"}, Answer{User: "bob"}},
		"token=" + url.QueryEscape("s&=% ü"): {Answer{User: "eve"}, Answer{User: "eve"}},
		"token=a+third":                      {Answer{User: "bob"}, Answer{User: "bob"}},
		"token=sesame&sign=x":                {Answer{User: "bob"}, Answer{User: "bob"}},
		"token=Sesame":                       {refused("unknown token"), refused("unknown token")},
		"token=":                             {refused("unknown token"), refused("unknown token")},
		"token=x&token=sesame":               {refused("unknown token"), refused("unknown token")}, // the first counts
		"token=sesam&sign=x":                 {refused("bad signature"), refused("unknown token")},
		"token=sesam&" + good:                {Answer{}, refused("unknown token")},
		good:                                 {Answer{}, Answer{Code: unauthorized, Reason: "no token"}},
		"":                                   {Answer{Code: unauthorized, Reason: "neither token nor signature"}, Answer{Code: unauthorized, Reason: "no token"}},
	} {
		if got := both.Ask(t.Context(), request("/$news", query)); got != want.both {
			t.Errorf("%q, token or signature: %+v, want %+v", query, got, want.both)
		}
		if got := only.Ask(t.Context(), request("/$news", query)); got != want.only {
			t.Errorf("%q, token: %+v, want %+v", query, got, want.only)
		}
	}
	if s := only.Stats(); s.Asked != 11 || s.Denied != 7 || s.TimedOut != 0 {
		t.Errorf("%+v", s)
	}
}

func TestOwn(t *testing.T) {
	for parameter, want := range map[string]bool{"token": true, "expires": true, "sign": true, "ip": true, "auth": false, "key": false, "Token": false, "": false} {
		if Own(parameter) != want {
			t.Errorf("Own(%q) = %t", parameter, !want)
		}
	}
}
