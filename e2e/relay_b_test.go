//go:build e2e

package e2e

// relay_b is tcprelay's files and its process: lines 20 to 31, 48 and 61.
func relay_b() []line {
	return []line{}
}
