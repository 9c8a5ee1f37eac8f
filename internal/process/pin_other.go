//go:build !linux

package process

import (
	"errors"
	"fmt"
)

// CPUs returns errors.ErrUnsupported: this system does not tell.
func CPUs() ([]int, error) {
	return nil, fmt.Errorf("the CPUs of this process: %w on this system", errors.ErrUnsupported)
}

// Pin returns errors.ErrUnsupported. cpuset(1) pins a process from outside.
func Pin(cpu int) error {
	return fmt.Errorf("pin to CPU %d: %w on this system: start it with `cpuset -l %d`", cpu, errors.ErrUnsupported, cpu)
}
