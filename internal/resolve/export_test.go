package resolve

import "context"

// Once resolves name once. An answer without an address is an error.
func Once(ctx context.Context, c Config, name Name) ([]Answer, error) {
	if answers, is := literal(name); is {
		return answers, nil
	}
	return newResolver(c).resolve(ctx, name)
}
