package process

import "golang.org/x/sys/unix"

// Memory is how many bytes the machine has. 0 means unknown.
func Memory() int64 {
	n, err := unix.SysctlUint64("hw.physmem")
	if err != nil || n > 1<<62 {
		return 0
	}
	return int64(n)
}
