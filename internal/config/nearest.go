package config

import "fmt"

// didYouMean is " (did you mean …?)" when one of the words is near, else "".
func didYouMean(word string, words []string) string {
	if near := Nearest(word, words); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}

// maxNear is the longest word that is looked for.
const maxNear = 64

// Nearest returns the one of words that word was probably meant to be, "" when none
// is near: at most a third of its letters and one more are wrong, missing or too many.
func Nearest(word string, words []string) string {
	best, least := "", len(word)/3+1
	if len(word) > maxNear {
		return ""
	}
	for _, w := range words {
		if d := distance(word, w); d <= least && (best == "" || d < least) {
			best, least = w, d
		}
	}
	return best
}

// distance counts the letters to change, insert or remove (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
