package vmisknn

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/model"
)

// Over returns a model that answers as one fitted on the sessions of base and then on newer ones, without the cost of
// fitting: only the newer ones are indexed, and base is not touched. numItems is that of base's vocabulary and of what the
// newer sessions add to it. All newer sessions count as newer than those of base.
func Over(base *Model, newer *model.Sessions, numItems int) (*Model, error) {
	old := base.index
	if old.base != nil {
		return nil, errors.New("session kNN: a model over another one cannot have a third over it")
	}
	if numItems < old.numItems() {
		return nil, fmt.Errorf("session kNN: %d items are fewer than the %d of the model below", numItems, old.numItems())
	}
	if err := newer.Check(numItems); err != nil {
		return nil, fmt.Errorf("session kNN: index newer sessions: %w", err)
	}
	x := &Index{base: old, first: old.sessions(), clicks: make([]int32, numItems)}
	copy(x.clicks, old.clicks)
	x.add(newer, MaxNewerLength)
	m := &Model{cfg: base.cfg, index: x}
	if m.cfg.Scoring == VSTAN && m.cfg.SNH > 0 {
		from := newestEnd(old)
		if old.sessions() == 0 {
			from = newestEnd(x)
		}
		m.ageDecay, m.newDecay = base.ageDecay, ageDecays(x.ends, from, m.cfg.SNH)
	}
	m.fill(max(len(base.distance), x.longest()))
	return m, nil
}

// MaxNewerLength is how many events a newer session may have to be a neighbour: a quantile of a handful says nothing.
const MaxNewerLength = 50
