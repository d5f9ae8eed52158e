package eval

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/vmisknn"
)

// realData returns the path of a public data set. They may not be redistributed, so they are no part of the project.
func realData(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("MILLRACE_TEST_DATA")
	if dir == "" {
		t.Skip("MILLRACE_TEST_DATA does not name the folder of public data sets")
	}
	return filepath.Join(dir, name, "events.csv.gz")
}

func result(t *testing.T, r *Report, name string) Result {
	t.Helper()
	for _, result := range r.Results {
		if result.Model == name {
			t.Logf("%s: HR@20 %.4f, MRR@20 %.4f, n = %d, params %+v", name,
				result.Metrics["HR@20"].Value, result.Metrics["MRR@20"].Value, r.Examples, result.Params)
			return result
		}
	}
	t.Fatalf("no result of %s", name)
	return Result{}
}

func atLeast(t *testing.T, r Result, metric string, floor float64) {
	t.Helper()
	if got := r.Metrics[metric].Value; got < floor {
		t.Errorf("%s of %s is %.4f, the floor is %g", metric, r.Model, got, floor)
	}
}

func TestRealSerenadeFloors(t *testing.T) {
	r, err := Run(context.Background(), Config{Data: realData(t, "serenade-clicks"), SplitColumn: "split", Tune: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Examples != 931 {
		t.Errorf("n = %d, want 931", r.Examples)
	}
	vstan := result(t, r, ModelVSTAN)
	atLeast(t, vstan, "MRR@20", 0.36)
	atLeast(t, vstan, "HR@20", 0.65)
	vmis := result(t, r, ModelVMIS)
	atLeast(t, vmis, "MRR@20", 0.34)
	atLeast(t, vmis, "HR@20", 0.62)
	moves := result(t, r, ModelTransitions)
	atLeast(t, moves, "MRR@20", 0.27)
	atLeast(t, moves, "HR@20", 0.58)
	atLeast(t, result(t, r, ModelPopularity), "HR@20", 0.01)
}

// A dozen trials find little in a space of millions; they must not cost what the defaults have.
func TestRealRetailrocketFloors(t *testing.T) {
	r, err := Run(context.Background(), Config{Data: realData(t, "retailrocket-sessions"), Tune: true, Trials: 12, Models: []string{ModelVSTAN}})
	if err != nil {
		t.Fatal(err)
	}
	checkRetailrocket(t, r)
}

// The standard parameters must do: visitors of this shop go back and forth, and a list without repeats finds a third less.
func TestRealRetailrocketFloorsUntuned(t *testing.T) {
	r, err := Run(context.Background(), Config{Data: realData(t, "retailrocket-sessions"), SplitColumn: "split", Models: []string{ModelVSTAN}})
	if err != nil {
		t.Fatal(err)
	}
	checkRetailrocket(t, r)
	if r.RepeatPolicy != string(model.RepeatsAllowed) {
		t.Errorf("repeats %s", r.RepeatPolicy)
	}
}

func checkRetailrocket(t *testing.T, r *Report) {
	t.Helper()
	if r.Examples != 19_867 || r.Clock != clockLogical {
		t.Errorf("n = %d on the %s clock, want 19867 on the logical one", r.Examples, r.Clock)
	}
	vstan := result(t, r, ModelVSTAN)
	atLeast(t, vstan, "HR@20", 0.55)
	atLeast(t, vstan, "MRR@20", 0.29)
}

// BenchmarkRealQuery asks with every prefix of the test sessions of a real shop; the metric to watch is p99-us.
func BenchmarkRealQuery(b *testing.B) {
	c, err := Config{Data: realData(b, "retailrocket-sessions")}.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	log, err := Load(context.Background(), c)
	if err != nil {
		b.Fatal(err)
	}
	d, err := SplitLog(log, c)
	if err != nil {
		b.Fatal(err)
	}
	scorer, err := vmisknn.Fit(vmisknn.Default(vmisknn.VSTAN), d.Train.Sessions, d.Vocabulary.Len())
	if err != nil {
		b.Fatal(err)
	}
	var p99 time.Duration
	queries := 0
	for b.Loop() {
		o, err := Measure(context.Background(), scorer, d.Test, 20, nil)
		if err != nil {
			b.Fatal(err)
		}
		p99, queries = o.Percentile(0.99), queries+o.Predictions()
	}
	b.ReportMetric(micros(p99), "p99-us")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(queries), "ns/query")
}
