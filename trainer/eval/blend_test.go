package eval

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
)

// strider is a log of striding sessions.
func strider(sessions int) *Log {
	log := &Log{Vocabulary: model.NewVocabulary(), Sessions: striding(sessions), Logical: true}
	for i := range 40 {
		log.Vocabulary.Add(fmt.Sprint(i))
	}
	return log
}

// A blend alone settles its members by itself, weighs them by the validation part and says what each adds.
func TestBlendJoinsTheModels(t *testing.T) {
	log := strider(400)
	for _, names := range [][]string{{ModelBlend}, {ModelPopularity, ModelTransitions, ModelBlend}} {
		r, err := RunOn(context.Background(), Config{Data: "memory", Models: names, Holdout: 0.2}, log)
		if err != nil {
			t.Fatal(err)
		}
		result := r.Results[len(r.Results)-1]
		cfg := result.Params.(blend.Config)
		want := 5 // nothing is known of items or orders
		if len(names) > 1 {
			want = 2
		}
		if len(cfg.Members) != want || cfg.Validate() != nil || result.RepeatPolicy != policyPerMember || result.Tuning == nil {
			t.Errorf("%v: %+v", names, result)
		}
		sum := 0.0
		for _, share := range result.Shares {
			sum += share
		}
		if math.Abs(sum-1) > 1e-6 || result.Shares[ModelPopularity] > 0.3 {
			t.Errorf("%v: shares %v", names, result.Shares)
		}
		if hr := result.Metrics["HR@20"].Value; hr < 0.9 {
			t.Errorf("%v: HR %g", names, hr)
		}
	}
}

// Too little to fit on: all count alike.
func TestBlendOfLittleDataCountsAllAlike(t *testing.T) {
	log := strider(30)
	d, err := SplitLog(log, Config{Holdout: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	if d.Valid.Len() >= MinPredictions {
		t.Fatalf("%d validation cases", d.Valid.Len())
	}
	chosen, err := Choose(context.Background(), d, []string{ModelPopularity, ModelVSTAN, ModelBlend}, ChooseOptions{Depth: 20})
	if err != nil {
		t.Fatal(err)
	}
	cfg := chosen[2].Params.(blend.Config)
	if w := cfg.Contexts[0].Weights; len(cfg.Contexts) != 1 || w[0] != 1 || w[1] != 1 || chosen[2].Tuning != nil {
		t.Errorf("%+v, %+v", cfg, chosen[2].Tuning)
	}
	joined, err := chosen[2].Fit(context.Background(), d.TuneTrain)
	if err != nil {
		t.Fatal(err)
	}
	if got := joined.Score(nil, model.Query{Items: []int32{0}}, 5); len(got) == 0 {
		t.Error("no answer")
	}
}
