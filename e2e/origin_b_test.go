//go:build e2e && linux

package e2e

// origin_b is uploads, sinks, retention and pushes: lines 32 to 50, and 72.
func origin_b() []line {
	return []line{}
}
