package trainer

import (
	"maps"
	"testing"
)

func TestWeightsAsText(t *testing.T) {
	want := DefaultWeights()
	got, err := ParseWeights(FormatWeights(want))
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("came back as %v, %v", got, err)
	}
	if got, err := ParseWeights(" view_item=1, play=0.5 "); err != nil || got["play"] != 0.5 || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "view_item", "view_item=", "=1", "view_item=1,view_item=2", "view_item=-1", "view_item=0", "a=1001", "a=NaN"} {
		if _, err := ParseWeights(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
