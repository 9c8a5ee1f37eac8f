package relay

import (
	"testing"

	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainInNamespace(m) }
