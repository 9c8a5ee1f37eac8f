//go:build e2e

package e2e

// relay_a is cproxy mode and the core of the relay: lines 1 to 19.
func relay_a() []line {
	return []line{}
}
