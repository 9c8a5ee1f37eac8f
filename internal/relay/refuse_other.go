//go:build !linux

package relay

import (
	"errors"

	"sluice/internal/netx"
)

// canRefuse says whether the socket can be shut without losing its address.
func (s *socket) canRefuse() bool { return false }

func refuse(*netx.Held) error { return errors.ErrUnsupported }

func listenAgain(*netx.Held, int) error { return nil }
