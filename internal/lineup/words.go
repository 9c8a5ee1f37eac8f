package lineup

import (
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/internal/uri"
)

// MaxName is the length of the longest name, in bytes of UTF-8.
const MaxName = 64

// CheckName says why no channel can have that name. A name is made of letters and digits
// of any script, dots, dashes and underscores; in a URL those that are not ASCII become
// percent-encoded.
func CheckName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("channel name of %d bytes: want at most %d", len(name), MaxName)
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !InName(r) }) {
		return fmt.Errorf("bad channel name %q: want letters, digits, dots, dashes and underscores", uri.Shown(name))
	}
	return nil
}

// InName says whether a name may have r. Marks are what many scripts write letters with.
func InName(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '.' || r == '-' || r == '_'
}

// CheckContentType says why no answer can have that type; "" is none.
func CheckContentType(s string) error {
	if s == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(s)
	if err != nil || !strings.Contains(kind, "/") || len(s) > MaxText || strings.ContainsFunc(s, notASCII) {
		return fmt.Errorf("bad content type %q: want a media type such as video/mp2t", clip(s))
	}
	return nil
}

// CheckRedirect says why clients cannot be sent there; "" is nowhere.
func CheckRedirect(s string) error {
	if s == "" {
		return nil
	}
	if err := checkWeb(s); err != nil {
		return fmt.Errorf("bad redirect: %w", err)
	}
	return nil
}

// checkWeb says why s is no URL of the web that may be shown to anybody.
func checkWeb(s string) error {
	e, err := uri.Parse(s)
	switch {
	case err != nil:
		return err
	case !e.Web():
		return fmt.Errorf("%s is not of http or https", e.Tag())
	case e.User != "":
		return errors.New("a URL for clients has no credentials")
	case uri.Printable(s) != s:
		return fmt.Errorf("%q has other letters than ASCII: write %%D1%%82 and the like", uri.Mask(clip(s)))
	}
	return nil
}

func (l Listing) check() error {
	for _, t := range []struct{ name, text string }{{"group", l.Group}, {"title", l.Title}, {"guide", l.Guide}} {
		if err := checkText(t.text); err != nil {
			return fmt.Errorf("%s %w", t.name, err)
		}
	}
	return CheckLogo(l.Logo)
}

// CheckLogo says why s is no URL of a picture; "" is none.
func CheckLogo(s string) error {
	if s == "" {
		return nil
	}
	if err := checkWeb(s); err != nil {
		return fmt.Errorf("bad logo: %w", err)
	}
	return nil
}

func checkText(s string) error {
	switch {
	case len(s) > MaxText:
		return fmt.Errorf("of %d bytes: want at most %d", len(s), MaxText)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, notOfLines):
		return fmt.Errorf("%q: want one line of UTF-8", clip(s))
	}
	return nil
}

// notOfLines holds for control characters and for Unicode's own line ends.
func notOfLines(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) }

func notASCII(r rune) bool { return r < ' ' || r > '~' }

// clip is s as an error may repeat it.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
