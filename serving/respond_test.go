package serving

import "testing"

// An item that its own views brought back must not be explained by itself.
func TestReasonOfAnItemSeenBefore(t *testing.T) {
	q := &query{}
	if got := q.reason("tent", contribution{family: "vstan", origin: "tent"}); got != "often viewed again" {
		t.Errorf("reason %q", got)
	}
	if got := q.reason("tent", contribution{family: "vstan"}); got != "" {
		t.Errorf("reason %q of nothing", got)
	}
}
