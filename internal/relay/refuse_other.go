//go:build !linux

package relay

import (
	"errors"
	"os"
)

// canRefuse says whether the socket can be shut without losing its address.
func (s *socket) canRefuse() bool { return false }

func refuse(*os.File) error { return errors.ErrUnsupported }

func listenAgain(*os.File, int) error { return nil }

func unrefuse(*os.File, int) error { return errors.ErrUnsupported }
