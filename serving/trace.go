package serving

import (
	"fmt"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/content"
)

// trace keeps what a list is made from while it is made, where its record is to tell of it: a list is made again from that alone
// (replay.go). It holds no working memory of the request. Of other lists it keeps nothing.
type trace struct {
	on     bool
	inputs inputs
	times  []ExplainedStage
	looked map[string]bool // items whose rows are among the inputs
}

// inputs are what a list was made from: the column of that name in the log of exposures. What is not here (the request's moment, its
// id, the version of the model) is in the record itself.
type inputs struct {
	Request     *Request          `json:"request"`
	Placement   control.Placement `json:"placement"` // as it was set up then
	Profile     []byte            `json:"profile,omitempty"`
	Known       bool              `json:"known"`                  // whether the visitor was
	ProfileLost bool              `json:"profile_lost,omitempty"` // it could not be read
	// Rules are those that were in force, as they were then.
	Rules []*control.Rule `json:"rules,omitempty"`
	// User are the attributes of the user that expressions could read.
	User map[string]string `json:"user,omitempty"`
	// FreshSessions are how many closed sessions lay over the version, which is trained without them.
	FreshSessions int `json:"fresh_sessions,omitempty"`
	// Only are the items of the version that the families were asked for, by their numbers in it (the portable format of Roaring), where
	// a filter said so; OnlyLost that they took more than a record keeps.
	Only     []byte                `json:"only,omitempty"`
	OnlyLost bool                  `json:"only_lost,omitempty"`
	Stages   []tracedStage         `json:"stages"`
	Rows     []*event.CatalogueRow `json:"rows,omitempty"` // of the items that were looked at, where they have one
	Said     []tracedSaid          `json:"said,omitempty"` // of the others, what events said
	// Exploration is the share of lists that give a place to what hardly anybody has met, Unmet what was looked at for it.
	Exploration float64  `json:"exploration,omitempty"`
	Unmet       []string `json:"unmet,omitempty"`
	// Sunk has what the scores of items were multiplied by because they were shown before.
	Sunk map[string]float64 `json:"sunk,omitempty"`
	// Vectors are what is said of the items that a diverse list was chosen from.
	Vectors map[string]content.Vector `json:"vectors,omitempty"`
}

// tracedStage is a stage that was asked.
type tracedStage struct {
	Place      int            `json:"place"` // among those of the placement
	LastResort bool           `json:"last_resort,omitempty"`
	Sources    []tracedSource `json:"sources"`
}

// tracedSource is what a source proposed.
type tracedSource struct {
	Family  string    `json:"family"`
	Model   bool      `json:"model,omitempty"` // the version in force made it
	Rung    rung      `json:"rung,omitempty"`
	Weight  float64   `json:"weight"`
	Scale   float64   `json:"scale,omitempty"`
	IDs     []string  `json:"ids"`
	Scores  []float64 `json:"scores"`
	Origins []string  `json:"origins,omitempty"` // "" where it follows from nothing; none where all do
}

// tracedSaid is what events said of an item.
type tracedSaid struct {
	ItemID   string   `json:"item_id"`
	Name     string   `json:"name,omitempty"`
	Category string   `json:"category,omitempty"`
	Brand    string   `json:"brand,omitempty"`
	Price    *float64 `json:"price,omitempty"`
	Interest float64  `json:"interest,omitempty"`
	Events   int64    `json:"events,omitempty"`
	FirstAt  int64    `json:"first_at,omitempty"`
}

// begin starts to keep what the list of a query is made from.
func (t *trace) begin(q *query) {
	t.on, t.looked = true, map[string]bool{}
	t.inputs = inputs{Request: q.request, Placement: q.placement, Known: q.visitor.known, ProfileLost: q.profileLost, Exploration: q.exploration}
	if q.visitor.known {
		t.inputs.Profile = q.visitor.profile.Encode(nil)
	}
	t.inputs.User = q.mem.restriction.user
	t.inputs.Rules = slices.Clone(q.mem.restriction.rules)
	if q.model != nil {
		t.inputs.FreshSessions = q.model.fresh
	}
}

func (t *trace) reset() { *t = trace{} }

// asked keeps what a stage proposed.
func (t *trace) asked(place int, s stage, sources []source) {
	if !t.on {
		return
	}
	kept := tracedStage{Place: place, LastResort: s.lastResort, Sources: make([]tracedSource, len(sources))}
	for i := range sources {
		kept.Sources[i] = traced(&sources[i])
	}
	t.inputs.Stages = append(t.inputs.Stages, kept)
}

func traced(s *source) tracedSource {
	kept := tracedSource{
		Family: s.family, Model: s.model, Rung: s.rung, Weight: s.weight, Scale: s.scale,
		IDs: make([]string, len(s.items)), Scores: make([]float64, len(s.items)), Origins: make([]string, len(s.items)),
	}
	follows := false
	for i, p := range s.items {
		kept.IDs[i], kept.Scores[i], kept.Origins[i] = p.id, p.score, p.origin
		follows = follows || p.origin != ""
	}
	if !follows {
		kept.Origins = nil
	}
	return kept
}

// source is the inverse of traced.
func (s *tracedSource) source() source {
	out := source{family: s.Family, model: s.Model, rung: s.Rung, weight: s.Weight, scale: s.Scale, items: make([]proposal, len(s.IDs))}
	for i, id := range s.IDs {
		out.items[i] = proposal{id: id, score: s.Scores[i]}
		if s.Origins != nil {
			out.items[i].origin = s.Origins[i]
		}
	}
	return out
}

// sawRow keeps what an item was decided on: its row, or without one what events say of it.
func (t *trace) sawRow(q *query, id string, row *Row) {
	if !t.on || t.looked[id] {
		return
	}
	t.looked[id] = true
	if row != nil {
		t.inputs.Rows = append(t.inputs.Rows, row.whole())
		return
	}
	if it := q.trends.items[id]; it != nil {
		t.inputs.Said = append(t.inputs.Said, tracedSaid{
			ItemID: id, Name: it.name, Category: it.category, Brand: it.brand, Price: it.price, Interest: it.interest,
			Events: it.events, FirstAt: it.firstAt,
		})
	}
}

// maxOnlyBytes is how much of a record says which items the families were asked for: those of 250,000 take no more.
const maxOnlyBytes = 32 << 10

// keptOnly keeps which items of the version the families were asked for.
func (t *trace) keptOnly(mask *model.Mask, items int) {
	if !t.on || t.inputs.Only != nil || t.inputs.OnlyLost {
		return
	}
	only := roaring.New()
	for item := range uint32(items) {
		if mask.Allows(int32(item)) {
			only.Add(item)
		}
	}
	only.RunOptimize()
	if t.inputs.OnlyLost = only.GetSerializedSizeInBytes() > maxOnlyBytes; !t.inputs.OnlyLost {
		t.inputs.Only, _ = only.ToBytes() // memory takes all that is written
	}
}

// mask is the inverse of keptOnly. It reports false where the record does not say which items the families were asked for.
func (in *inputs) mask(mask *model.Mask, items int) (kept bool, err error) {
	if in.Only == nil {
		return false, nil
	}
	only := roaring.New()
	if err := only.UnmarshalBinary(in.Only); err != nil {
		return false, fmt.Errorf("read which items the families were asked for: %w", err)
	}
	mask.Reset(items, false)
	only.Iterate(func(item uint32) bool {
		if int(item) < items { // else of a closed session over the version
			mask.Allow(int32(item))
		}
		return true
	})
	return true, nil
}

// sank keeps what an item's score was multiplied by because it was shown before.
func (t *trace) sank(id string, factor float64) {
	if !t.on {
		return
	}
	if t.inputs.Sunk == nil {
		t.inputs.Sunk = map[string]float64{}
	}
	t.inputs.Sunk[id] = factor
}

// sawUnmet keeps an item that was looked at for the place of exploration.
func (t *trace) sawUnmet(id string) {
	if t.on {
		t.inputs.Unmet = append(t.inputs.Unmet, id)
	}
}

// took keeps what a step took.
func (t *trace) took(stage string, took time.Duration, items int) {
	if t.on {
		t.times = append(t.times, ExplainedStage{stage, took.Microseconds(), items})
	}
}

// sawAll keeps what all that was proposed is decided on: a boost looks at it before it is ranked.
func (t *trace) sawAll(q *query, ranked *ranking) {
	if !t.on {
		return
	}
	for _, c := range ranked.all[ranked.first:] {
		t.sawRow(q, c.id, q.catalogue.row(q.site, c.id))
	}
}

// vectorsOf appends what is said of items: of a list that is made again, as its record has it.
func (q *query) vectorsOf(dst []content.Vector, ids []string) []content.Vector {
	if q.vectors != nil {
		for _, id := range ids {
			dst = append(dst, q.vectors[id])
		}
		return dst
	}
	first := len(dst)
	dst = q.similar.Vectors(dst, ids)
	if t := &q.mem.trace; t.on {
		if t.inputs.Vectors == nil {
			t.inputs.Vectors = make(map[string]content.Vector, len(ids))
		}
		for i, id := range ids {
			t.inputs.Vectors[id] = dst[first+i]
		}
	}
	return dst
}
