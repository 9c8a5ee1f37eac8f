//go:build linux && (amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le || s390x)

package loop

import "golang.org/x/sys/unix"

const sysSendfile = unix.SYS_SENDFILE
