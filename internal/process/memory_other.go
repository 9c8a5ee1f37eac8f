//go:build !linux && !freebsd

package process

// Memory is how many bytes the machine has. 0 means unknown, as on this system.
func Memory() int64 { return 0 }
