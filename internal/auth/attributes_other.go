//go:build !linux

package auth

import "syscall"

// attributes gives a helper a process group of its own. When this process is gone its
// input ends.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
