package serving

// maxExplainedItems bounds the items of the visitor's session that an explanation names, the newest.
const maxExplainedItems = 50

// Explanation says how a list came about. Its scores compare within it only.
type Explanation struct {
	FreshSessions int              `json:"fresh_sessions" doc:"Sessions that were closed since the model was trained, and lie over it."`
	Visitor       ExplainedVisitor `json:"visitor" doc:"What the list followed from."`
	Applied       ExplainedRules   `json:"applied" doc:"What bounded the list."`
	Stages        []ExplainedStage `json:"stages" doc:"The steps in their order; those of the ladder are missing where the list was full before."`
	Items         []ExplainedItem  `json:"items" doc:"What was shown, by position."`
	Considered    []ExplainedItem  `json:"considered" doc:"What was ranked, at most the 100 best, with why an item was not shown."`
}

// ExplainedVisitor is a visitor as far as the list follows from them.
type ExplainedVisitor struct {
	Known      bool              `json:"known" doc:"Whether the visitor has a profile."`
	Lost       bool              `json:"lost" doc:"The profile could not be read."`
	Items      []string          `json:"items" doc:"The items that the list follows from, the oldest first."`
	Categories []ExplainedShare  `json:"categories" doc:"The categories that it follows from, the strongest first."`
	Seen       int               `json:"seen" doc:"How many items the profile has as seen."`
	Bought     int               `json:"bought" doc:"How many it has as bought."`
	Context    map[string]string `json:"context,omitempty" doc:"As asked."`
}

// ExplainedShare is a category with its share of the visitor's interest.
type ExplainedShare struct {
	Category string  `json:"category" doc:"The category."`
	Share    float64 `json:"share" doc:"0 to 1"`
}

// ExplainedRules are what bounded a list.
type ExplainedRules struct {
	Limit       int     `json:"limit" doc:"How many were wanted."`
	Excluded    int     `json:"excluded" doc:"How many ids exclude_ids named."`
	DropCurrent bool    `json:"drop_current" doc:"What the visitor is looking at is left out."`
	Bought      string  `json:"bought" enum:"show,demote,hide" doc:"What becomes of items that were bought."`
	Seen        string  `json:"seen" enum:"show,demote,hide" doc:"What becomes of items that were seen."`
	Diversity   float64 `json:"diversity" doc:"How much the items should differ."`
	Strict      bool    `json:"strict" doc:"The list is left short rather than filled from the ladder."`

	Rules []string `json:"rules" doc:"The ids of the rules that were in force."`
}

// ExplainedStage is what one step did.
type ExplainedStage struct {
	Stage  string `json:"stage" enum:"visitor,candidates,rank,rerank" doc:"Which step."`
	Micros int64  `json:"us" doc:"How long it took, in microseconds."`
	Items  int    `json:"items" doc:"Sources that proposed something, items ranked, or items shown by then."`
}

// ExplainedItem is an item with what spoke for it.
type ExplainedItem struct {
	ItemID  string          `json:"item_id" doc:"The item."`
	Score   float64         `json:"score" doc:"As it was ranked."`
	Dropped string          `json:"dropped,omitempty" doc:"Why it is not shown; empty where it is, or was not needed."`
	Parts   []ExplainedPart `json:"parts" doc:"The strongest first. They sum up to the score, but for what was demoted or boosted."`
}

// ExplainedPart is what one family says for an item.
type ExplainedPart struct {
	Family string  `json:"family" doc:"Which family."`
	Score  float64 `json:"score" doc:"What it adds."`
	Origin string  `json:"origin,omitempty" doc:"The item or category that it follows from."`
}

// explain says how the list came about. It holds none of the query's memory.
func (s *selection) explain() *Explanation {
	q := s.query
	e := &Explanation{
		FreshSessions: q.mem.trace.inputs.FreshSessions,
		Visitor: ExplainedVisitor{
			Known: q.visitor.known, Lost: q.profileLost, Seen: len(q.visitor.profile.Seen), Bought: len(q.visitor.profile.Bought),
			Items: append([]string{}, q.items[max(0, len(q.items)-maxExplainedItems):]...), Categories: []ExplainedShare{}, Context: q.request.Context,
		},
		Applied: ExplainedRules{
			Limit: q.limit, Excluded: len(q.request.ExcludeIDs), DropCurrent: q.policy.dropCurrent, Bought: q.policy.bought.does, Seen: q.policy.seen.does,
			Diversity: q.diversity, Strict: q.strict, Rules: q.mem.restriction.ruleIDs(),
		},
		Stages: append([]ExplainedStage{}, q.mem.trace.times...),
		Items:  make([]ExplainedItem, len(s.shown)), Considered: make([]ExplainedItem, len(s.seen)),
	}
	for _, a := range q.affinities() {
		e.Visitor.Categories = append(e.Visitor.Categories, ExplainedShare{a.category, a.share})
	}
	for i, item := range s.shown {
		e.Items[i] = explained(item.candidate)
	}
	for i, c := range s.seen {
		e.Considered[i] = explained(c)
	}
	return e
}

func explained(c *candidate) ExplainedItem {
	item := ExplainedItem{ItemID: c.id, Score: c.score, Dropped: c.dropped, Parts: make([]ExplainedPart, len(c.parts))}
	for i, part := range c.parts {
		item.Parts[i] = ExplainedPart{Family: part.family, Score: part.score, Origin: part.origin}
	}
	return item
}
