//go:build e2e && linux

package e2e

// relay_c is how tcprelay behaves: lines 32 to 47.
func relay_c() []line {
	return []line{
		// relay_c_remotes_test.go
		{32, testTcprelayWeights, false},
		{33, testTcprelayTies, false},
		{34, testTcprelayOneDown, false},
		{35, testTcprelayTriesAgain, false},
		{36, testTcprelayAllDown, false},
		{39, testTcprelayFrom, false},
		{44, testTcprelaySticky, false},
		// relay_c_ends_test.go
		{37, testTcprelayIdle, false},
		{38, testTcprelayRetires, false},
		{47, testTcprelayDrains, false},
		// relay_c_secure_test.go
		{40, testTcprelaySecure, false},
		{41, testTcprelayAuto, false},
		// relay_c_proxy_test.go
		{42, testTcprelayBehindProxy, false},
		{43, testRelayAsProxy, false},
		// relay_c_reload_test.go
		{45, testTcprelaySCTP, false},
		{46, testTcprelayReloads, false},
	}
}
