package onlinestore

import "testing"

// TestSilence: while a part is silent nobody waits for it, when the time has come one asks, and an answer lets all in.
func TestSilence(t *testing.T) {
	var s silence
	steps := []struct {
		name string
		do   func()
		want []bool // of admit, one call after the other
	}{
		{"a part that answers", func() {}, []bool{true, true}},
		{"one that did not", s.timedOut, []bool{false, false}},
		{"the time has come", func() { s.until.Store(1) }, []bool{true, false, false}},
		{"whoever asked got an answer", s.answered, []bool{true, true}},
		{"or none", s.timedOut, []bool{false}},
	}
	for _, step := range steps {
		step.do()
		for i, want := range step.want {
			if got := s.admit(); got != want {
				t.Fatalf("%s: read %d is admitted: %v", step.name, i, got)
			}
		}
	}
}
