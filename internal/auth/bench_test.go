package auth

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkAsk is what one question costs, by who decides. The helper is a shell: what a
// line there and back costs, and no more than that is sluice's.
func BenchmarkAsk(b *testing.B) {
	q := question("udp://239.1.1.1:5000?auth=ef031204ba0c&token=sesame")
	var tokens []Token
	for i := range 100 {
		tokens = append(tokens, Token{fmt.Sprint("user", i), fmt.Sprint("other", i)})
	}
	allow := []string{"sh", "-c", `while read -r id rest; do echo "$id 0"; done`}
	deny := []string{"sh", "-c", `while read -r id rest; do echo "$id 1"; done`}
	sample := filepath.Join("..", "..", "dist", "auth", "helper.sh")
	for name, c := range map[string]Config{
		"nothing":      {},
		"token of 100": {Tokens: append(tokens, Token{"bob", "sesame"})},
		"remembered":   {Helper: deny, Helpers: 1},
		"helper":       {Helper: allow, Helpers: 1},
		"dist helper":  {Helper: []string{sample, "/dev/null"}, Helpers: 1, DeniedFor: -1},
	} {
		b.Run(name, func(b *testing.B) {
			g, err := New(c, discard())
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error)
			go func() { done <- g.Run(ctx) }()
			g.Ask(ctx, q)
			for b.Loop() {
				g.Ask(ctx, q)
			}
			if s := g.Stats(); s.TimedOut > 0 {
				b.Errorf("%+v", s)
			}
			cancel()
			<-done
		})
	}
}
