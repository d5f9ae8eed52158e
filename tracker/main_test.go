package tracker

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks that requests leave no goroutine behind, the pooled decompressors included.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
