//go:build e2e && linux

package e2e

// origin_c is limits, CORS, rights, hooks and low latency: lines 51 to 67, 71, 73 and 75.
func origin_c() []line {
	return []line{}
}
