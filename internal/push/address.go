package push

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// address is where a server is.
type address struct {
	url           url.URL // without user and password
	authorization string  // "" = none
}

// parseAddress reads a URL. Its errors do not repeat it: there may be a password in it.
func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" || u.Opaque != "" {
		return address{}, errors.New("bad URL of a server; want one such as https://HOST/live/")
	}
	a := address{url: *u}
	if u.User != nil {
		password, _ := u.User.Password()
		a.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
	}
	a.url.User = nil
	return a, nil
}

// String is the address for people: nothing of it is secret.
func (a address) String() string { return plain(a.url) }

// plain is a URL without user, password and query, which may be a token.
func plain(u url.URL) string {
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

// of is the URL of an object; "" is the address itself. A query stays behind it.
func (a address) of(name string) *url.URL {
	u := a.url
	if name != "" {
		u.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + "/" + (&url.URL{Path: name}).EscapedPath()
		u.Path = strings.TrimSuffix(u.Path, "/") + "/" + name
	}
	return &u
}

// checkHeader permits headers that can be sent, but for those that say how a message is sent.
func checkHeader(h http.Header) error {
	for name, values := range h {
		token := name != "" && !strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
		})
		if !token {
			return fmt.Errorf("bad name of a header %q", name)
		}
		switch http.CanonicalHeaderKey(name) {
		case "Connection", "Content-Length", "Expect", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
			return fmt.Errorf("the header %s says how an upload is sent: nobody else may", name)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("bad value of the header %s: it has a control character", name) // it may be a secret
			}
		}
	}
	return nil
}
