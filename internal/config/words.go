package config

import (
	"errors"
	"fmt"
	"strings"
)

// Some values are texts of several words: what they are about, then options, which are
// a word (backup) or NAME=VALUE (weight=2). Blanks stand between them; in a word, what
// has blanks itself is put in double quotes, within which \" and \\ are these characters.

// splitWords are the words of a text, without their quotes. Its errors show nothing of
// the text: it may have a secret.
func splitWords(text string) ([]string, error) {
	if err := printable(text); err != nil {
		return nil, err
	}
	var words []string
	for rest := strings.TrimLeft(text, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, more, err := cutWord(rest)
		if err != nil {
			return nil, err
		}
		words, rest = append(words, word), more
	}
	return words, nil
}

// cutWord reads the word that s begins with.
func cutWord(s string) (word, rest string, err error) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			return b.String(), s[i:], nil
		case c == '\\' && quoted && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New("a quote is open at the end")
	}
	return b.String(), "", nil
}

// quoteWord writes a word so that splitWords reads it.
func quoteWord(s string) string {
	if s != "" && !strings.ContainsAny(s, ` "`) {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`
}

// setOptions sets what the words say; the names are the keys of the table, and a boolean
// is said by its name alone.
func setOptions(t table, words []string) error {
	said := make(map[string]bool, len(words))
	for _, w := range words {
		name, text, hasText := strings.Cut(w, "=")
		s, ok := t.find(name)
		_, alone := s.value.(boolean)
		switch {
		case !ok:
			return fmt.Errorf("unknown option %q%s: want %s", name, didYouMean(name, t.keys()), optionNames(t))
		case said[name]:
			return fmt.Errorf("the option %s is there twice", name)
		case alone && hasText:
			return fmt.Errorf("the option %s has no value: write %s alone, or leave it out", name, name)
		case alone:
			text = "true"
		case text == "":
			return fmt.Errorf("the option %s has no value: write %s=…", name, name)
		}
		said[name] = true
		if err := s.value.Set(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// hasOption says whether the word is one of the options.
func (t table) hasOption(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	_, ok := t.find(name)
	return ok
}

// writeOptions writes what differs from base, a table of the same options.
func writeOptions(t, base table) []string {
	var words []string
	for _, s := range different(t, base) {
		if _, alone := s.value.(boolean); alone {
			words = append(words, s.key)
			continue
		}
		words = append(words, s.key+"="+quoteWord(s.value.String()))
	}
	return words
}

// optionNames lists the options as they are written: backup, name=, weight=.
func optionNames(t table) string {
	var names []string
	for _, s := range t {
		if _, alone := s.value.(boolean); alone {
			names = append(names, s.key)
			continue
		}
		names = append(names, s.key+"=…")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
