package trainer

import (
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// A shop whose visitors go back and forth wants repeats; one whose visitors walk on does not.
func TestPolicyFollowsTheShop(t *testing.T) {
	forward := planted(600, 1)
	back := planted(600, 1)
	for i := range back { // a b c d e becomes a b a b a
		if i%5 > 1 {
			back[i].Items = back[i-2].Items
		}
	}
	for want, events := range map[model.RepeatPolicy][]Interaction{model.RepeatsNone: forward, model.RepeatsNotCurrent: back} {
		d := read(t, Config{}, events...)
		split, err := splitForGate(d)
		if err != nil {
			t.Fatal(err)
		}
		chosen, err := (&run{cfg: Config{Skip: Optional()}, deps: Deps{Progress: func(Progress) {}}}).choose(t.Context(), d, split, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chosen {
			if (c.Name == ModelTransitions || c.Name == ModelSessionKNN) && c.Repeats != want {
				t.Errorf("%s: chose %s, want %s", c.Name, c.Repeats, want)
			}
		}
	}
}
