package serving

import (
	"encoding/base64"
	"slices"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model/basket"
	"github.com/millrace/millrace/internal/model/content"
)

const (
	// maxReasons bounds the reasons of an item: people read one or two.
	maxReasons = 2
)

// DefaultFields are the catalogue fields of an answer that does not choose: what a product tile shows.
var DefaultFields = []string{"title", "brand", "categories", "price", "currency", "url", "image_url"}

// Answer is a list and where it came from.
type Answer struct {
	RecID        string       `json:"rec_id" doc:"The list's id; events that answer it carry it in rec.rec_id." example:"019c0f6e-5d2a-7c31-9a4e-2f7d1c0b8a55"`
	Placement    string       `json:"placement" doc:"As asked." example:"home"`
	Variant      string       `json:"variant" doc:"EXPERIMENT:ARM where an experiment runs on the placement, else default." example:"default"`
	ModelVersion string       `json:"model_version" doc:"The version that answered; empty while there is none." example:"20260302-120000-1"`
	ServedBy     string       `json:"served_by" doc:"The source that brought the first item most that no rule has pinned." example:"vstan"`
	Degraded     string       `json:"degraded" enum:"none,session,category,trending,static" doc:"none, or the rung of the ladder that had to answer." example:"none"`
	Stale        bool         `json:"stale" doc:"Whether after_event was not applied in time."`
	Items        []AnswerItem `json:"items" doc:"The list, best first."`
	// Token is opaque: today the list's id in its short form.
	Token string `json:"token" doc:"Goes back with the events that answer this list, in rec.token." example:"AZwPbl0qfDGaTi99HAuKVQ"`
	// Explain says how the list came about, where that was asked.
	Explain *Explanation `json:"explain,omitempty" doc:"How the list came about, where that was asked."`
}

// AnswerItem is one position.
type AnswerItem struct {
	ItemID   string         `json:"item_id" doc:"The item." example:"shoe-1"`
	Position int            `json:"position" minimum:"0" doc:"Counts from 0." example:"0"`
	Score    float64        `json:"score" doc:"Falls along the list; compares within one answer only." example:"0.83"`
	Reasons  []string       `json:"reasons" doc:"Why, in words, the strongest first." example:"[\"because you viewed Trail sock\"]"`
	Fields   map[string]any `json:"fields" doc:"The catalogue fields that were asked for, as far as the item has them."`

	view itemView // what Fields are written from
}

// respond turns a selection into the answer.
func (s *selection) respond(recID string, stale bool) *Answer {
	q := s.query
	a := &Answer{
		RecID: recID, Placement: q.placement.Name, Variant: q.variant, Stale: stale,
		ServedBy: rungNone.String(), Degraded: rungNone.String(), Items: make([]AnswerItem, len(s.shown)), Token: token(recID),
	}
	if q.model != nil {
		a.ModelVersion = q.model.Manifest.Version
	}
	if r := s.rung(); r > q.expected {
		a.Degraded = r.String()
	}
	if len(s.shown) > 0 {
		a.ServedBy = s.servedBy()
	}
	names := q.fieldNames()
	for i, item := range s.shown {
		a.Items[i] = AnswerItem{
			ItemID: item.id, Position: i, Score: item.score, Reasons: q.reasons(item.candidate),
		}
		a.Items[i].view = itemView{names: names, row: item.row}
		if item.row == nil {
			a.Items[i].view.said = q.trends.items[item.id]
		}
	}
	return a
}

// servedBy is the source that brought the first item most, which no rule has put there.
func (s *selection) servedBy() string {
	for _, item := range s.shown {
		if !item.pinned {
			return item.parts[0].family
		}
	}
	return sourcePinned
}

// token is a list's id in its short form.
func token(recID string) string {
	id, err := uuid.Parse(recID)
	if err != nil { // ids are made here
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// reasons say in words what brought an item, the strongest first.
func (q *query) reasons(c *candidate) []string {
	reasons := make([]string, 0, maxReasons)
	for _, part := range c.parts {
		if len(reasons) == maxReasons {
			break
		}
		if reason := q.reason(c.id, part); reason != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}

// reason is what one contribution says for an item, "" where it says nothing.
func (q *query) reason(id string, part contribution) string {
	switch part.family {
	case sourceCategory:
		return "popular in " + part.origin
	case sourceTrending:
		return "trending now"
	case sourcePopularity:
		return "popular"
	case sourceRecent:
		return "you viewed this recently"
	case sourceAgain:
		return "you bought this before"
	case sourceStatic:
		return "popular lately"
	case sourceCatalogue:
		return "from the catalogue"
	case sourcePinned:
		return "pinned by rule " + part.origin
	case sourceUnmet:
		if part.origin == "" {
			return "new here"
		}
		return "new, similar to " + q.nameOf(part.origin)
	case content.Name:
		return "similar to " + q.nameOf(part.origin)
	case basket.Name:
		return "often bought together with " + q.nameOf(part.origin)
	}
	switch part.origin {
	case "":
		return ""
	case id: // visitors of this shop come back to what they have seen
		return "often viewed again"
	}
	name := q.nameOf(part.origin)
	switch q.placement.Kind {
	case control.KindItem:
		return "often viewed together with " + name
	case control.KindCart:
		return "often chosen together with " + name
	}
	if q.lastDid(part.origin) == event.Purchase {
		return "because you bought " + name
	}
	return "because you viewed " + name
}

// lastDid is the type of the visitor's newest interaction with an item.
func (q *query) lastDid(id string) string {
	i := slices.IndexFunc(q.visitor.profile.Interactions, func(in feature.Interaction) bool { return in.ItemID == id })
	if i < 0 {
		return ""
	}
	return q.visitor.profile.Interactions[i].Type
}

// nameOf is what an item is called: by the catalogue, else by events, else its id.
func (q *query) nameOf(id string) string {
	if row := q.catalogue.row(q.site, id); row != nil && !row.Deleted && row.Title() != "" {
		return row.Title()
	}
	if it := q.trends.items[id]; it != nil && it.name != "" {
		return it.name
	}
	return id
}
