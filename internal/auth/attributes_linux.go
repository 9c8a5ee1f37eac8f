package auth

import "syscall"

// attributes gives a helper a process group of its own, and lets the kernel kill it when
// this process is gone, however that went.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
