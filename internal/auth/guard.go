package auth

import "fmt"

// CheckProtocol says whether helpers can be spoken to in that protocol.
func CheckProtocol(name string) error {
	switch name {
	case "a1p":
		return nil
	case "b2p":
		return fmt.Errorf("helper protocol b2p: its messages are specified nowhere that we know; use a1p")
	}
	return fmt.Errorf("unknown helper protocol %q: want a1p", name)
}
