package process

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become changes the user. Capabilities belong to threads (capabilities(7)), so each
// call is made on all of them.
func (a Account) become(raw bool) error {
	if !raw || !hasRaw() {
		return a.setIDs()
	}
	_, _, no := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0)
	if errors.Is(no, unix.ENOTSUP) { // the program has threads of cgo
		return a.setIDs()
	}
	if no != 0 {
		return fmt.Errorf("keep CAP_NET_RAW: %w", no)
	}
	if err := a.setIDs(); err != nil {
		return err
	}
	if err := keepRaw(); err != nil {
		return fmt.Errorf("keep CAP_NET_RAW: %w", err)
	}
	return nil
}

const rawBit = 1 << unix.CAP_NET_RAW

func hasRaw() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[0].Permitted&rawBit != 0
}

// keepRaw gives all capabilities up but the one.
func keepRaw() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: rawBit, Permitted: rawBit, Inheritable: rawBit}}
	_, _, no := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0)
	if no == 0 {
		_, _, no = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW, 0, 0, 0)
	}
	if no != 0 {
		return no
	}
	return nil
}
