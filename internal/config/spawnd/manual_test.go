package spawnd

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// wordsOf are all words that a grammar begins directives with, in all spellings.
func wordsOf[T any](g grammar[T]) (list []string) {
	for _, d := range g.words {
		list = append(append(list, d.name), d.also...)
	}
	return list
}

// TestManualHasTheDirectives: tcprelay(1) explains each word, where it stands.
func TestManualHasTheDirectives(t *testing.T) {
	text, err := os.ReadFile("../../../docs/tcprelay.md")
	if err != nil {
		t.Fatal(err)
	}
	_, manual, found := strings.Cut(string(text), "\n## The file\n")
	sections := strings.Split(manual, "\n### ")
	section := func(headings ...string) string {
		var all []string
		for _, s := range sections {
			for _, heading := range headings {
				if strings.HasPrefix(s, heading+"\n") {
					all = append(all, s)
				}
			}
		}
		if len(all) != len(headings) {
			t.Fatalf("docs/tcprelay.md has %d of the sections %q", len(all), headings)
		}
		return strings.Join(all, "\n")
	}
	if !found {
		t.Fatal("docs/tcprelay.md does not explain the file")
	}
	for where, words := range map[string][]string{
		section("Anywhere", "Outside of sections", "Without effect"):    wordsOf(topGrammar()),
		section("In spawnd's section", "Anywhere", "Without effect"):    wordsOf(spawndGrammar()),
		section("In `spawn`", "In spawnd's section", "Without effect"):  wordsOf(spawnGrammar()),
		section("In `listen`", "In spawnd's section", "Without effect"): wordsOf(listenGrammar()),
		section("In tcprelay's section", "Anywhere", "Without effect"):  wordsOf(workerGrammar()),
		section("In `remote`"): wordsOf(remoteGrammar()),
	} {
		for _, word := range words {
			if !regexp.MustCompile("`[^`\n]*\\b" + regexp.QuoteMeta(word) + "\\b[^`\n]*`").MatchString(where) {
				t.Errorf("docs/tcprelay.md does not explain %q in %.60q…", word, where)
			}
		}
	}
}
