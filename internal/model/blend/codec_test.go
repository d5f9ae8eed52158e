package blend

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
)

func stored(t testing.TB, cfg Config) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := (&Model{cfg: cfg}).Encode(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCodecKeepsTheConfiguration(t *testing.T) {
	cfg := Config{Members: []string{"a", "b"}, Depth: 7, Scale: ScaleRank, RankScale: 2.5, Contexts: []Context{
		{MinItems: 1, MaxItems: 3, History: HistoryNone, Segment: "mobile", Weights: []float32{1, 0.25}, Examples: 9}, {Weights: []float32{0, 1}, Examples: 20},
	}}
	const text = `{"members":["a","b"],"depth":7,"scale":"rank","rank_scale":2.5,"contexts":[{"min_items":1,"max_items":3,"history":"none",` +
		`"segment":"mobile","weights":[1,0.25],"examples":9},{"weights":[0,1],"examples":20}]}`
	b := stored(t, cfg)
	if !bytes.Contains(b, []byte(text)) {
		t.Errorf("stored as %q", b)
	}
	got, err := Decode(artifact.File{Bytes: b})
	if err != nil || !reflect.DeepEqual(got, cfg) {
		t.Errorf("came back as %+v, %v", got, err)
	}
	cfg.Contexts[1].Weights[1] = 2
	if _, err := Decode(artifact.File{Bytes: stored(t, cfg)}); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("a weight of 2: error %v, want ErrCorrupt", err)
	}
}

func FuzzDecode(f *testing.F) {
	valid := stored(f, Config{Members: []string{"a"}, Depth: 1, Scale: ScaleTop, Contexts: []Context{{Weights: []float32{1}}}})
	f.Add(valid)
	f.Add(valid[:len(valid)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg, err := Decode(artifact.File{Bytes: b})
		if err != nil {
			if !errors.Is(err, artifact.ErrCorrupt) {
				t.Errorf("error %v is not ErrCorrupt", err)
			}
			return
		}
		scorers := map[string]model.Scorer{}
		for _, name := range cfg.Members {
			scorers[name] = lists{name: name}
		}
		if _, err := New(cfg, scorers); err != nil {
			t.Errorf("decoded, but %v", err)
		}
	})
}
