package eval

import (
	"testing"

	"go.uber.org/goleak"
)

// Tuning works on several settings at once; none of its goroutines may outlive a run.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
