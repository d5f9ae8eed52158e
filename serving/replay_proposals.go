package serving

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/registry"
)

// proposeAgain asks the version that a record names what it proposed then, where it alone decided that.
func (s *Serving) proposeAgain(ctx context.Context, x *event.Exposure, in *inputs) (Verdict, error) {
	v := newVerdict()
	if x.ModelVersion == "" {
		v.skip("there was no model: all sources follow from events and the catalogue")
		return v, nil
	}
	bundle, err := s.reg.Load(ctx, x.Site, x.ModelVersion)
	if errors.Is(err, registry.ErrUnknownVersion) {
		v.differ("the registry does not have version %s any more: no family can be asked again", x.ModelVersion)
		return v, nil
	}
	if err != nil {
		return v, fmt.Errorf("load version %s: %w", x.ModelVersion, err)
	}
	mem := s.scratches.get()
	defer s.scratches.put(mem)
	q, err := s.rebuild(ctx, mem, x, in)
	if err != nil {
		return v, err
	}
	q.model = newLoadedModel(bundle)
	mem.selection.begin(q) // says what is excluded, which the families are not asked for
	if mem.maskMade, err = in.mask(&mem.mask, q.model.Vocabulary.Len()); err != nil {
		return v, err
	}
	if q.filtered && !mem.maskMade {
		v.skip("what a filter left of the catalogue is not in the record: the families were asked for that alone")
		return v, nil
	}
	stages := slices.Clone(q.stages())
	for i := range in.Stages {
		logged := &in.Stages[i]
		if logged.Place >= len(stages) {
			v.differ("stage %d was asked, and the placement has only %d now", logged.Place, len(stages))
			continue
		}
		mem.sources = mem.sources[:0]
		stages[logged.Place].ask(q)
		in.compareStage(&v, logged, mem.sources, q.model)
	}
	return v, nil
}

// compareStage compares what one stage proposed with what it proposes.
func (in *inputs) compareStage(v *Verdict, logged *tracedStage, now []source, m *loadedModel) {
	used := make([]bool, len(now))
	for i := range logged.Sources {
		then := &logged.Sources[i]
		if !then.Model {
			v.skip("%s: follows from events, the catalogue or the visitor's history, of which only the answer is recorded", then.Family)
			continue
		}
		if in.FreshSessions > 0 && laidOver(then.Family, m) {
			v.skip("%s: %d sessions that were closed since the training lay over it, which are not recorded", then.Family, in.FreshSessions)
			continue
		}
		match := -1
		for j := range now {
			if !used[j] && now[j].model && now[j].family == then.Family {
				match = j
				break
			}
		}
		if match < 0 {
			v.differ("%s proposed %d items, and now proposes none", then.Family, len(then.IDs))
			continue
		}
		used[match] = true
		v.Compared = append(v.Compared, then.Family)
		then.compare(v, &now[match], in.FreshSessions > 0)
	}
	for j := range now {
		if !used[j] && now[j].model && in.FreshSessions == 0 && now[j].family != sourceTrending && now[j].family != sourcePopularity {
			v.differ("%s proposed nothing, and now proposes %d items", now[j].family, len(now[j].items))
		}
	}
}

// laidOver reports whether closed sessions are laid over a family.
func laidOver(family string, m *loadedModel) bool {
	return family == transitions.Name || m.session != nil && family == m.session.Name()
}

// compare compares what a source proposed, item by item. Where a blend had other members than it has now, only the items that both name
// compare: which of them make its list depends on all members.
func (s *tracedSource) compare(v *Verdict, now *source, partly bool) {
	scores := make(map[string]float64, len(now.items))
	for _, p := range now.items {
		scores[p.id] = p.score
	}
	if !partly && (s.Weight != now.weight || s.Scale != now.scale) {
		v.differ("%s counted %v, and counts %v", s.Family, s.Weight, now.weight)
	}
	for i, id := range s.IDs {
		score, ok := scores[id]
		switch {
		case !ok && !partly:
			v.differ("%s proposed %s, and does not now", s.Family, id)
		case ok && score != s.Scores[i]:
			v.differ("%s gave %s the score %v, and gives %v", s.Family, id, s.Scores[i], score)
		case !partly && now.items[min(i, len(now.items)-1)].id != id:
			v.differ("%s had %s in place %d, and has %s there", s.Family, id, i, now.items[min(i, len(now.items)-1)].id)
		}
		delete(scores, id)
	}
	if partly {
		return
	}
	for id := range scores {
		v.differ("%s did not propose %s, and does now", s.Family, id)
	}
}
