//go:build linux && !(386 || arm || mips || mipsle)

package loop

import "golang.org/x/sys/unix"

const sysSendfile = unix.SYS_SENDFILE
