//go:build e2e && linux

package e2e

// origin_a is reading and what grows: lines 1 to 31.
func origin_a() []line {
	return []line{
		// origin_a_growing_test.go
		{23, testGrows, false},
	}
}
