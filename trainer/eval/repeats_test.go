package eval

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/transitions"
)

// pacing is a shop whose visitors go back and forth between two items, each pair its own.
func pacing(sessions int) *model.Sessions {
	s := &model.Sessions{}
	for i := range sessions {
		a, at := int32(i%20)*2, int64(i)*1000
		s.Append([]int32{a, a + 1, a, a + 1}, []int64{at, at + 1, at + 2, at + 3})
	}
	return s
}

// striding is one whose visitors walk on through chains of six.
func striding(sessions int) *model.Sessions {
	s := &model.Sessions{}
	for i := range sessions {
		first, at := int32(i%6)*6+int32(i%3), int64(i)*1000
		s.Append([]int32{first, first + 1, first + 2, first + 3}, []int64{at, at + 1, at + 2, at + 3})
	}
	return s
}

func fitMoves(t *testing.T, train *model.Sessions, policy model.RepeatPolicy) model.Scorer {
	t.Helper()
	cfg := transitions.Default()
	cfg.Repeats = policy
	m, err := transitions.Fit(cfg, train, 40)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// One fit behind the filter answers as a fit with the policy itself would.
func TestFilteredAnswersAsThePolicyDoes(t *testing.T) {
	train := pacing(200)
	all := fitMoves(t, train, model.RepeatsAllowed)
	items, _ := train.At(0)
	for _, policy := range model.RepeatPolicies() {
		want := fitMoves(t, train, policy)
		for _, k := range []int{1, 3, 50} {
			for n := 1; n <= len(items); n++ {
				q := model.Query{Items: items[:n]}
				if want, got := want.Score(nil, q, k), (filtered{all, policy}).Score(nil, q, k); !slices.Equal(got, want) {
					t.Errorf("%s, k %d, %d items: %v, want %v", policy, k, n, got, want)
				}
			}
		}
	}
}

// echo recommends the session itself, newest first, and then the item after the newest.
type echo struct{}

func (echo) Name() string { return "echo" }

func (echo) Score(dst []model.Scored, q model.Query, k int) []model.Scored {
	list := slices.Clone(q.Items)
	slices.Reverse(list)
	for _, item := range append(list, q.Items[len(q.Items)-1]+1) {
		seen := slices.ContainsFunc(dst, func(s model.Scored) bool { return s.Item == item })
		if len(dst) < k && !seen {
			dst = append(dst, model.Scored{Item: item})
		}
	}
	return dst
}

func TestRepeatsFollowTheShop(t *testing.T) {
	for want, shop := range map[model.RepeatPolicy]func(int) *model.Sessions{
		model.RepeatsNotCurrent: pacing, model.RepeatsNone: striding,
		model.RepeatsAllowed: func(sessions int) *model.Sessions { // every item is looked at twice
			s := &model.Sessions{}
			for range sessions {
				s.Append([]int32{1, 1, 5, 5}, []int64{1, 2, 3, 4})
			}
			return s
		},
	} {
		for _, present := range model.RepeatPolicies() {
			if present == model.RepeatsUnseen && want == model.RepeatsNone {
				continue // nobody has a history here, so that the two are one, and the present policy stays
			}
			got, tuning, err := ChooseRepeats(context.Background(), echo{}, present, NextItem(shop(60)), 20)
			if err != nil {
				t.Fatal(err)
			}
			if got != want || tuning.Examples != 180 || tuning.Trials != 4 || len(tuning.Grid["repeats"]) != 4 {
				t.Errorf("chose %s over %s by %+v, want %s", got, present, tuning, want)
			}
		}
	}
}

// Too few predictions say nothing: the present policy stays, and nobody claims it was chosen.
func TestRepeatsStayOnTooLittle(t *testing.T) {
	scorer := fitMoves(t, pacing(300), model.RepeatsAllowed)
	for sessions, chosen := range map[int]bool{0: false, MinPredictions/3 - 1: false, MinPredictions / 3: true} {
		got, tuning, err := ChooseRepeats(context.Background(), scorer, model.RepeatsNone, NextItem(pacing(sessions)), 20)
		if err != nil {
			t.Fatal(err)
		}
		if chosen != (tuning != nil) || chosen == (got == model.RepeatsNone) {
			t.Errorf("%d sessions: %s, %+v", sessions, got, tuning)
		}
	}
}

// Untuned, the policy comes from the validation part alone, whatever the test would like.
func TestUntunedRunChoosesRepeatsOnValidation(t *testing.T) {
	var b strings.Builder
	b.WriteString("session_id,item_id,split\n")
	write := func(split string, sessions *model.Sessions) {
		for i := range sessions.Len() {
			items, _ := sessions.At(i)
			for _, item := range items {
				fmt.Fprintf(&b, "%s%d,i%d,%s\n", split, i, item, split)
			}
		}
	}
	write("train", pacing(100))
	write("valid", pacing(30))
	write("test", striding(60))
	path := filepath.Join(t.TempDir(), "pacing.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), Config{Data: path, SplitColumn: "split", Models: []string{ModelTransitions, ModelVMIS, ModelVSTAN}})
	if err != nil {
		t.Fatal(err)
	}
	if r.RepeatPolicy == string(model.RepeatsNone) || r.RepeatPolicy == mixedPolicies {
		t.Errorf("repeats %s, which the validation part does not ask for", r.RepeatPolicy)
	}
	for _, result := range r.Results {
		if result.Tuning == nil || result.Tuning.Examples != 90 || result.Tuning.Value < 0.5 {
			t.Errorf("%s says of the choice: %+v", result.Model, result.Tuning)
		}
	}
}
