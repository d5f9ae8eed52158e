package linalg

import "testing"

// A wrong unit, or a round that took no time, is orders of magnitude away from any processor.
func TestPeakIsThatOfAProcessor(t *testing.T) {
	if rate := Peak(); !(rate > 1e7 && rate < 1e13) {
		t.Errorf("one processor makes %g operations a second", rate)
	}
}
