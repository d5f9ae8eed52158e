package synthetic

import (
	"math/rand/v2"

	"github.com/millrace/millrace/internal/model"
)

// Clicks is the size of a history of sessions. There is at least one item.
type Clicks struct {
	Clicks, Items int
	Seed          uint64
}

const (
	// goesOn is the chance that a session has one more click: four on the average, and a long tail.
	goesOn = 0.75
	// longest bounds a session.
	longest = 200
	// stays is the chance that the next click is within the taste of the session.
	stays = 0.9
	// clickGap and sessionGap are milliseconds between clicks, and between the beginnings of sessions.
	clickGap, sessionGap = 20_000, 1000
)

// Sessions returns sessions of exactly so many clicks, oldest session first. A session has a taste, of which most of its clicks
// are; an item may come again. All count 1, and no visitor is known.
func Sessions(shape Clicks) *model.Sessions {
	rng := rand.New(rand.NewPCG(shape.Seed, 2))
	choices := newChoices(shape.Items)
	out := &model.Sessions{Items: make([]int32, 0, shape.Clicks), Times: make([]int64, 0, shape.Clicks)}
	var items [longest]int32
	var times [longest]int64
	for start := int64(0); out.Events() < shape.Clicks; start += sessionGap {
		n, group := 0, rng.IntN(groups)
		for left := min(longest, shape.Clicks-out.Events()); n < left && (n == 0 || rng.Float64() < goesOn); n++ {
			if rng.Float64() >= stays {
				group = rng.IntN(groups)
			}
			items[n], times[n] = choices.draw(rng, group), start+int64(n)*clickGap
		}
		out.Append(items[:n], times[:n])
	}
	return out
}
