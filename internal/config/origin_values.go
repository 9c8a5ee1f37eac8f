package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"sluice/internal/origin"
)

// originDoors is a list of Doors that may be empty; nobody asks for their aliases.
func originDoors(to *[]Door) List {
	return list[Door]{to: to, parse: parseOriginDoor, write: Door.String, what: "addresses"}
}

func parseOriginDoor(text string) (Door, error) {
	d, err := parseDoor(text)
	if err == nil && d.Alias != "" {
		err = fmt.Errorf("%q has an alias, which is of use for gws only", text)
	}
	return d, err
}

// places is a list of directories and files of rules, or GMem.
func places(to *[]string) List {
	return list[string]{to: to, parse: parsePlaceOfObjects, write: same, what: "paths", lines: true}
}

func parsePlaceOfObjects(s string) (string, error) {
	if s == GMem {
		return s, nil
	}
	return parseDirectory(s)
}

// place is one of places; "" is none.
type place struct{ to *string }

func (v place) String() string { return *v.to }

// Type implements Value.
func (v place) Type() string { return "path" }

func (v place) Set(text string) (err error) {
	if text != "" {
		text, err = parsePlaceOfObjects(text)
	}
	if err == nil {
		*v.to = text
	}
	return err
}

// prefixesOf is a list of beginnings of paths of HTTP; each ends with a slash.
func prefixesOf(to *[]string) List {
	return list[string]{to: to, parse: func(s string) (string, error) {
		if s == "/" {
			return s, nil
		}
		s = strings.TrimSuffix(s, "/")
		if checkPlainPath(s) != nil {
			return "", fmt.Errorf("bad beginning of paths %q: want one such as /live/", s)
		}
		return s + "/", nil
	}, write: same, what: "paths"}
}

// checkPlainPath permits a path that is a name of an object behind its first slash, as it is once the
// percent signs of a request are decoded.
func checkPlainPath(s string) error {
	name, ok := strings.CutPrefix(s, "/")
	if !ok || name == "." || !fs.ValidPath(name) || printable(name) != nil || strings.ContainsAny(name, `\?#%`) {
		return fmt.Errorf("bad path %q: want one such as /live.ts", s)
	}
	return nil
}

// webs is a list of URLs of the web.
func webs(to *[]string) List {
	return list[string]{to: to, parse: func(s string) (string, error) { return s, checkWeb(s) }, write: same, what: "URLs", lines: true}
}

// headers is a list of names and values of headers in turn.
func headers(to *[]string) List {
	return list[string]{to: to, parse: func(s string) (string, error) { return s, checkHeaderValue(s) }, write: same, what: "names and values"}
}

// privateHeaders are headers whose values are not shown: to other servers they may be credentials.
type privateHeaders struct{ List }

// checkHeaderValue permits what a value of a header may be.
func checkHeaderValue(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("bad text: a header has printable ASCII only")
	}
	return nil
}

// checkHeaders says what is wrong with names and values in turn.
func checkHeaders(list []string) error {
	if len(list)%2 != 0 {
		return fmt.Errorf("%d names and values of headers: the last name has no value", len(list))
	}
	for name := range slices.Chunk(list, 2) {
		if err := checkHeaderName(name[0]); err != nil {
			return err
		}
	}
	return nil
}

// checkHeaderName permits the names of headers, but for those that say where a message ends.
func checkHeaderName(s string) error {
	token := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
	if !token {
		return fmt.Errorf("bad name of a header %q", s)
	}
	switch http.CanonicalHeaderKey(s) {
	case "Connection", "Content-Length", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return fmt.Errorf("the header %s says how a message is sent: nobody else may", s)
	}
	return nil
}

// pairs are names and values in turn, of which there are as many.
func pairs(list []string) (out [][2]string) {
	for p := range slices.Chunk(list, 2) {
		out = append(out, [2]string{p[0], p[1]})
	}
	return out
}

// requestLog is reqlog of GPAC's httpout.
type requestLog struct{ to *origin.RequestLog }

// String is what Set reads.
func (v requestLog) String() string {
	words := slices.Clone(v.to.Methods)
	if v.to.All {
		words = []string{"*"}
	}
	if v.to.Record {
		words = append(words, "REC")
	}
	text := strings.Join(words, ",")
	if v.to.NoEnd {
		text = "-" + text
	}
	return text
}

// Type implements Value.
func (v requestLog) Type() string { return "list of methods" }

func (v requestLog) Set(text string) error {
	var l origin.RequestLog
	rest, noEnd := strings.CutPrefix(text, "-")
	if l.NoEnd = noEnd; noEnd && rest == "" {
		return errors.New("behind - want methods, or *")
	}
	for word := range strings.SplitSeq(rest, ",") {
		word = strings.ToUpper(strings.TrimSpace(word))
		switch word {
		case "":
			continue
		case "*":
			l.All = true
		case "REC":
			l.Record = true
		default:
			method, err := loggedMethod(word)
			if err != nil {
				return err
			}
			if !slices.Contains(l.Methods, method) {
				l.Methods = append(l.Methods, method)
			}
		}
	}
	*v.to = l
	return nil
}

// loggedMethod is the method that a word of reqlog stands for: three letters of it will do.
func loggedMethod(word string) (string, error) {
	for _, m := range []string{"GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"} {
		if word == m || word == m[:3] {
			return m, nil
		}
	}
	return "", fmt.Errorf("unknown method %q: want GET, PUT, POST, DELETE, HEAD, OPTIONS, REC or *", word)
}
