package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/auth"
	"sluice/internal/uri"
)

// path is the name of a file or a directory.
type path struct{ to *string }

func (v path) String() string { return *v.to }

// Type implements Value.
func (v path) Type() string { return "path" }

func (v path) Set(text string) error { return word(v).Set(text) }

// checked is a text that check permits; "" always is.
type checked struct {
	to    *string
	check func(string) error
	what  string
}

func (v checked) String() string { return *v.to }

// Type implements Value.
func (v checked) Type() string { return v.what }

func (v checked) Set(text string) error {
	if text != "" {
		if err := v.check(text); err != nil {
			return err
		}
	}
	return word{v.to}.Set(text)
}

// checkWeb permits the absolute URLs of HTTP, over TLS or not.
func checkWeb(s string) error {
	switch scheme, _, _ := strings.Cut(s, "://"); strings.ToLower(scheme) {
	case "http", "https":
		_, err := uri.Parse(s)
		return err
	}
	return fmt.Errorf("%q is no URL of the web: want http:// or https://", uri.Shown(s))
}

func checkMethod(s string) error {
	if s != "PUT" && s != "POST" {
		return fmt.Errorf("bad method %q: want PUT or POST", s)
	}
	return nil
}

// either is one of two words.
type either struct {
	to      *bool
	yes, no string
}

func (v either) String() string {
	if *v.to {
		return v.yes
	}
	return v.no
}

// Type implements Value.
func (v either) Type() string { return v.yes + ", " + v.no }

func (v either) Set(text string) error {
	if text != v.yes && text != v.no {
		return fmt.Errorf("bad value %q: want %s or %s", text, v.yes, v.no)
	}
	*v.to = text == v.yes
	return nil
}

// protocol is that of helpers, of which there is one.
type protocol struct{}

func (protocol) String() string { return "a1p" }

// Type implements Value.
func (protocol) Type() string { return "a1p" }

func (protocol) Set(text string) error { return auth.CheckProtocol(text) }

// end is where something is sent.
type end struct{ to *uri.End }

func (v end) String() string {
	if *v.to == (uri.End{}) {
		return ""
	}
	return v.to.String()
}

// Type implements Value.
func (v end) Type() string { return "URL" }

func (v end) Set(text string) error {
	e, err := uri.ParseTarget(text)
	if err != nil {
		return err
	}
	*v.to = e
	return nil
}

// command is a program and its arguments: a list, or one text with blanks between them.
type command struct{ to *[]string }

func (v command) String() string { return strings.Join(*v.to, " ") }

// Type implements Value.
func (v command) Type() string { return "list of words" }

// Clear implements List.
func (v command) Clear() { *v.to = nil }

// Items implements List.
func (v command) Items() []string { return *v.to }

func (v command) Set(text string) error {
	var words []string
	for _, w := range strings.Fields(text) {
		if err := printable(w); err != nil {
			return fmt.Errorf("bad text %q: %w", w, err)
		}
		words = append(words, w)
	}
	*v.to = words
	return nil
}

// Add implements List.
func (v command) Add(item string) error {
	if err := printable(item); err != nil {
		return fmt.Errorf("bad text %q: %w", item, err)
	}
	if item == "" && len(*v.to) == 0 {
		return errors.New("no program: want its path")
	}
	*v.to = append(*v.to, item)
	return nil
}

// choice is one of several words, which stand in the order of T's constants.
type choice[T ~uint8] struct {
	to    *T
	words []string
}

func (v choice[T]) String() string { return v.words[*v.to] }

// Type implements Value.
func (v choice[T]) Type() string { return strings.Join(v.words, ", ") }

func (v choice[T]) Set(text string) error {
	i := slices.Index(v.words, text)
	if i < 0 {
		last := len(v.words) - 1
		return fmt.Errorf("bad value %q%s: want %s or %s", text, didYouMean(text, v.words), strings.Join(v.words[:last], ", "), v.words[last])
	}
	*v.to = T(i)
	return nil
}
