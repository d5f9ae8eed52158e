package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model/content"
)

// ErrCompactRecord says that a record does not hold what its list was made from.
var ErrCompactRecord = errors.New("the record of this list is compact")

// Replay says whether a list that is made again is the one that was shown.
type Replay struct {
	RecID        string    `json:"rec_id"`
	Site         string    `json:"site"`
	Placement    string    `json:"placement"`
	ModelVersion string    `json:"model_version"`
	ServedAt     time.Time `json:"served_at"`
	FoundIn      string    `json:"found_in"`
	Identical    bool      `json:"identical"` // both verdicts
	// Ranking: what the sources proposed then, ranked, filtered, re-ranked and filled now, gives the items, in their order, with their
	// scores, that were shown.
	Ranking Verdict `json:"ranking"`
	// Proposals: the version that the record names, asked with the profile in the record, proposes what it proposed then.
	Proposals Verdict `json:"proposals"`
}

// Verdict is one comparison.
type Verdict struct {
	Identical   bool     `json:"identical"`
	Compared    []string `json:"compared"`
	NotCompared []string `json:"not_compared"` // and why
	Differences []string `json:"differences"`
}

// maxDifferences bounds those that a verdict tells.
const maxDifferences = 100

func newVerdict() Verdict {
	return Verdict{Identical: true, Compared: []string{}, NotCompared: []string{}, Differences: []string{}}
}

func (v *Verdict) differ(format string, args ...any) {
	v.Identical = false
	if len(v.Differences) < maxDifferences {
		v.Differences = append(v.Differences, fmt.Sprintf(format, args...))
	}
}

func (v *Verdict) skip(format string, args ...any) {
	v.NotCompared = append(v.NotCompared, fmt.Sprintf(format, args...))
}

// Replay makes a list of a site again from its record, and compares. It returns ErrUnknownList, and ErrCompactRecord where the record
// does not hold what the list was made from.
func (s *Serving) Replay(ctx context.Context, site, recID string) (*Replay, error) {
	x, where, err := s.recall(ctx, site, recID)
	if err != nil {
		return nil, err
	}
	r, err := s.replay(ctx, x)
	if err != nil {
		return nil, fmt.Errorf("replay %s: %w", recID, err)
	}
	r.FoundIn = where
	return r, nil
}

func (s *Serving) replay(ctx context.Context, x *event.Exposure) (*Replay, error) {
	if len(x.Inputs) == 0 {
		return nil, fmt.Errorf("%w: it does not hold what the list was made from; explained lists do, and the share that serving.full_exposures says", ErrCompactRecord)
	}
	if x.FeatureVersion != feature.Version {
		return nil, fmt.Errorf("it was made from features of version %d, and this program computes version %d: replay it with the program of then", x.FeatureVersion, feature.Version)
	}
	var in inputs
	if err := json.Unmarshal(x.Inputs, &in); err != nil {
		return nil, fmt.Errorf("read what the list was made from: %w", err)
	}
	r := &Replay{RecID: x.RecID, Site: x.Site, Placement: x.Placement, ModelVersion: x.ModelVersion, ServedAt: x.ServedAt}
	var err error
	if r.Ranking, err = s.rankAgain(ctx, x, &in); err != nil {
		return nil, err
	}
	if r.Proposals, err = s.proposeAgain(ctx, x, &in); err != nil {
		return nil, err
	}
	r.Identical = r.Ranking.Identical && r.Proposals.Identical
	return r, nil
}

// rebuild makes the query of a list from its record: what prepare reads from the house is read from there.
func (s *Serving) rebuild(ctx context.Context, mem *scratch, x *event.Exposure, in *inputs) (*query, error) {
	if in.Request == nil {
		return nil, errors.New("the record does not hold the request")
	}
	if p := in.Request.compile(s.filters); p != nil {
		return nil, fmt.Errorf("the request does not compile any more: %s", p.Detail)
	}
	alike, err := content.NewLive(content.Default(), nil, nil)
	if err != nil {
		return nil, err
	}
	q := &mem.query
	*q = query{
		site: x.Site, placement: in.Placement, request: in.Request, limit: in.Placement.Limit, now: x.ServedAt, mem: mem,
		trends: in.trends(), catalogue: in.catalogue(), similar: alike, visitor: &mem.visitor, settings: s.settings.of(ctx, &in.Placement, x.Variant),
		profileLost: in.ProfileLost, vectors: in.Vectors, exploration: in.Exploration, sunk: in.Sunk,
	}
	q.visitor.profileID, q.visitor.known = x.ProfileID, in.Known
	if in.Known {
		profile, err := feature.DecodeProfile(in.Profile)
		if err != nil {
			return nil, fmt.Errorf("read the visitor's profile: %w", err)
		}
		q.visitor.profile = *profile
	}
	q.decide()
	q.remember()
	q.follow()
	var rules []compiledRule
	for _, rule := range in.Rules {
		c, wrong := compileRule(s.filters, rule)
		if wrong != nil {
			return nil, fmt.Errorf("rule %s does not compile any more: %w", rule.ID, wrong.err)
		}
		rules = append(rules, c)
	}
	q.restrict(rules, in.User)
	return q, nil
}

// catalogue has the rows that the list was decided on.
func (in *inputs) catalogue() *Catalogue {
	c := &Catalogue{sites: map[string]*siteItems{}, shared: newSharedTexts()}
	rows := make([]*Row, len(in.Rows))
	for i, row := range in.Rows {
		rows[i] = newRow(row, c.shared)
	}
	c.force(rows, func(_, _ *Row) verdict { return changed })
	return c
}

// trends have what events said of the items without a row, and what could be drawn for the place of exploration.
func (in *inputs) trends() *siteTrends {
	t := &siteTrends{items: make(map[string]*said, len(in.Said))}
	for _, it := range in.Said {
		t.items[it.ItemID] = &said{
			id: it.ItemID, name: it.Name, category: it.Category, brand: it.Brand, price: it.Price, interest: it.Interest,
			events: it.Events, firstAt: it.FirstAt,
		}
	}
	for _, id := range in.Unmet {
		t.unmet = append(t.unmet, unmet{id: id})
	}
	return t
}

// stages are those that were asked, each with its answer.
func (in *inputs) stages() []stage {
	list := make([]stage, len(in.Stages))
	for i := range in.Stages {
		logged := &in.Stages[i]
		list[i] = stage{lastResort: logged.LastResort, ask: func(q *query) {
			for j := range logged.Sources {
				q.propose(logged.Sources[j].source())
			}
		}}
	}
	return list
}

// rankAgain makes the list of what was proposed, in the pipeline that served it.
func (s *Serving) rankAgain(ctx context.Context, x *event.Exposure, in *inputs) (Verdict, error) {
	mem := s.scratches.get()
	defer s.scratches.put(mem)
	v := newVerdict()
	q, err := s.rebuild(ctx, mem, x, in)
	if err != nil {
		return v, err
	}
	q.stages() // says which rung is expected
	selected := q.choose(nil, in.stages())
	selected.explore(x.RecID)
	shown := selected.shown
	for i := range max(len(shown), len(x.Items)) {
		switch {
		case i >= len(shown):
			v.differ("position %d: %s was shown, and now there is nothing", i, x.Items[i].ItemID)
		case i >= len(x.Items):
			v.differ("position %d: nothing was shown, and now there is %s", i, shown[i].id)
		case shown[i].id != x.Items[i].ItemID:
			v.differ("position %d: %s was shown, and now there is %s", i, x.Items[i].ItemID, shown[i].id)
		case shown[i].score != x.Items[i].Score:
			v.differ("position %d: %s had the score %v, and has %v", i, shown[i].id, x.Items[i].Score, shown[i].score)
		case x.Items[i].Propensity != nil && *x.Items[i].Propensity != selected.propensity(i):
			v.differ("position %d: %s had the propensity %v, and has %v", i, shown[i].id, *x.Items[i].Propensity, selected.propensity(i))
		}
	}
	v.Compared = append(v.Compared, "rank", "re-rank", "fill", "exploration")
	return v, nil
}
