package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/ease"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/registry"
)

// champion is the version in force, as far as it can be used.
type champion struct {
	manifest registry.Manifest
	params   map[string]json.RawMessage // by the names of today's methods
	bundle   *registry.Bundle           // nil when a file is damaged
	judged   string                     // the model of the bundle that the gate looks at
	damage   error
}

// champion loads the version in force; nil when there is none. A damaged one is no obstacle: training is the cure.
func (r *run) champion(ctx context.Context) (*champion, error) {
	manifest, ok, err := r.deps.Registry.Champion(ctx, r.cfg.Site)
	if errors.Is(err, registry.ErrCorrupt) || errors.Is(err, registry.ErrUnknownVersion) {
		return &champion{damage: err}, nil
	}
	if err != nil || !ok {
		return nil, err
	}
	c := &champion{manifest: manifest, params: map[string]json.RawMessage{}}
	if c.bundle, err = r.deps.Registry.Load(ctx, r.cfg.Site, manifest.Version); errors.Is(err, registry.ErrCorrupt) {
		c.damage = err
	} else if err != nil {
		return nil, err
	}
	if c.bundle != nil {
		if c.judged = judgedOf(c.bundle); c.judged == "" {
			c.bundle, c.damage = nil, fmt.Errorf("version %s has no model %s", manifest.Version, GatedModel)
		}
	}
	for name, info := range manifest.Models {
		c.params[name] = info.Params
	}
	// Versions of before there was a blend call their session kNN by its kind, whatever its scoring.
	if old, ok := c.params[vmisknn.Kind]; ok && c.params[ModelSessionKNN] == nil {
		c.params[ModelSessionKNN] = old
	}
	return c, nil
}

// judgedOf names the model of a version that answers most requests: its blend, or its session kNN where it has none.
func judgedOf(b *registry.Bundle) string {
	for _, name := range []string{GatedModel, ModelSessionKNN, vmisknn.Kind} {
		if b.Scorers[name] != nil {
			return name
		}
	}
	return ""
}

// base is what today's search begins with: the champion's parameters, or the defaults. A blend's weights are always fitted anew. How
// many items EASE takes as a whole follows from the memory that there is.
func (r *run) base(c *champion) (map[string]json.RawMessage, error) {
	base := map[string]json.RawMessage{}
	if c != nil {
		maps.Copy(base, c.params)
	}
	cfg := ease.Default()
	if given, ok := base[ModelEASE]; ok {
		if err := json.Unmarshal(given, &cfg); err != nil {
			return nil, fmt.Errorf("read parameters of %s: %w", ModelEASE, err)
		}
	}
	cfg.MaxItems = min(ease.Default().MaxItems, r.deps.Limits.wholeItems())
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("encode parameters of %s: %w", ModelEASE, err)
	}
	base[ModelEASE] = text
	return base, nil
}

// translated asks a model of another vocabulary in the words of the test's.
type translated struct {
	scorer model.Scorer
	to     []int32 // by index of the test: the model's index, -1 where it does not know the item
	from   []int32 // by index of the model: the test's index, -1 where the test does not know the item
}

func newTranslated(c *champion, v *model.Vocabulary) *translated {
	b := c.bundle
	t := &translated{scorer: b.Scorers[c.judged], to: make([]int32, v.Len()), from: make([]int32, b.Vocabulary.Len())}
	for i := range t.from {
		t.from[i] = -1
	}
	for i := range t.to {
		t.to[i] = -1
		if j, ok := b.Vocabulary.Index(v.ID(int32(i))); ok {
			t.to[i], t.from[j] = j, int32(i)
		}
	}
	return t
}

// Name implements model.Scorer.
func (t *translated) Name() string { return t.scorer.Name() }

// Score implements model.Scorer. An item that the test does not know keeps its place in the list, as -1.
func (t *translated) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	q.Items, q.History = t.known(q.Items), t.known(q.History)
	first := len(dst)
	dst = t.scorer.Score(dst, q, k)
	for i := range dst[first:] {
		s := &dst[first+i]
		s.Item = t.from[s.Item]
		if s.Because >= 0 {
			s.Because = t.from[s.Because]
		}
	}
	return dst
}

// known translates the items that the model knows.
func (t *translated) known(items []int32) []int32 {
	out := make([]int32, 0, len(items))
	for _, i := range items {
		if j := t.to[i]; j >= 0 {
			out = append(out, j)
		}
	}
	return out
}
