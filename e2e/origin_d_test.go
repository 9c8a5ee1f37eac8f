//go:build e2e && linux

package e2e

// origin_d is players, a thousand readers and paces: lines 68, 70 and 74.
func origin_d() []line {
	return []line{
		{68, testLowLatency, false},      // origin_d_players_test.go
		{70, testThousandReaders, false}, // origin_d_crowd_test.go
		{74, testPaces, false},           // origin_d_pace_test.go
	}
}
