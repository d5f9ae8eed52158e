package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func randomExposure(rng *rand.Rand) *Exposure {
	text := func() string {
		return []string{"", "", "i1", "größe", `"quoted"`, "a<b&c", "line\nbreak", "\x7f", "\xff", " ", "popular in Shoes"}[rng.IntN(11)]
	}
	texts := func() (list []string) {
		for range rng.IntN(3) {
			list = append(list, text())
		}
		return list
	}
	number := func() float64 {
		return []float64{0, 1, -0.5, 0.123456789, 1e-7, 9.99e-7, 1e-6, 1e20, 1e21, -3e30, math.Copysign(0, -1), 5e-324}[rng.IntN(12)]
	}
	optional := func() *float64 {
		if rng.IntN(2) == 0 {
			return nil
		}
		n := number()
		return &n
	}
	x := &Exposure{
		RecID: text(), Site: text(), Placement: text(), Variant: text(), ModelVersion: text(), ServedBy: text(), Degraded: text(),
		Stale: rng.IntN(2) == 0, ServedAt: time.UnixMilli(rng.Int64N(1e13)).UTC(), ProfileID: text(), AnonymousID: text(), UserID: text(), SessionID: text(),
		Request: ExposureRequest{
			ItemIDs: texts(), Limit: rng.Int32N(3), Filter: text(), Boosts: texts(), ExcludeIDs: texts(), Diversity: optional(), AfterEvent: text(),
		},
		FeatureVersion: rng.Int32N(2), DurationMicros: rng.Int64N(3), Detail: text(),
	}
	if rng.IntN(3) == 0 {
		x.Request.Context = map[string]string{text(): text(), "device": "phone"}
	}
	if rng.IntN(4) > 0 {
		x.Items = []ExposureItem{}
	}
	for i := range rng.IntN(4) {
		x.Items = append(x.Items, ExposureItem{
			ItemID: text(), Position: int32(i), Score: number(), Source: text(), Propensity: optional(), Reasons: texts(),
		})
	}
	if rng.IntN(5) == 0 {
		x.Candidates = []ExposureCandidate{{ItemID: "i1", Scores: map[string]float64{"ease": 1}}}
	}
	return x
}

// What is written by hand is what encoding/json writes, to the byte.
func TestAppendExposure(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		x := randomExposure(rng)
		want, err := MarshalExposure(x)
		if err != nil {
			t.Fatal(err)
		}
		got, err := AppendExposure([]byte("before"), x)
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Fatalf("%v\n got %s\nwant %s", err, got, want)
		}
	}
}

// A record that JSON cannot hold is an error, not half a record.
func TestAppendExposureRefuses(t *testing.T) {
	for _, x := range []*Exposure{
		{Items: []ExposureItem{{Score: math.NaN()}}}, {Items: []ExposureItem{{Score: math.Inf(1)}}}, {ServedAt: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if b, err := AppendExposure(nil, x); err == nil || len(b) > 0 {
			t.Errorf("%+v: %s, %v", x, b, err)
		}
	}
}

func BenchmarkExposure(b *testing.B) {
	x := &Exposure{
		RecID: NewID(time.UnixMilli(1e12)), Site: "default", Placement: "home", Variant: "default", ModelVersion: "20260301T030000-abcdef", ServedBy: "ease",
		Degraded: "none", ServedAt: time.UnixMilli(1e12).UTC(), ProfileID: "default:a:browser:0", AnonymousID: "browser",
		Request: ExposureRequest{Limit: 12, ItemIDs: []string{"i100"}}, FeatureVersion: 3, DurationMicros: 210, Detail: DetailCompact,
	}
	for i := range 12 {
		x.Items = append(x.Items, ExposureItem{
			ItemID: fmt.Sprint("item-", i), Position: int32(i), Score: 1 / float64(i+3), Source: "ease", Reasons: []string{"because you viewed Trail shoe"},
		})
	}
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			if _, err := MarshalExposure(x); err != nil {
				b.Fatal(err)
			}
		}
	})
	var buffer []byte
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var err error
			if buffer, err = AppendExposure(buffer[:0], x); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(len(buffer)))
	})
}

// FuzzUnmarshalExposure: the decoder of exposures takes what the general one takes, and makes the same of it. It may take more.
func FuzzUnmarshalExposure(f *testing.F) {
	f.Add([]byte(`{"rec_id":"r","served_at":"2026-03-02T12:00:00Z","items":[{"item_id":"a","position":1,"score":0.5,"propensity":1,"reasons":["x\u00e9"]}],"features":{"a":1e-3},"inputs":{"k":[1,{}]}}`))
	f.Add([]byte(`{"request":{"item_ids":["a",null],"diversity":null,"context":{"k":"v"}},"candidates":[{"scores":{"ease":1},"dropped":"bought"}],"unknown":[{}],"stale":true}`))
	f.Add([]byte(`{"rec_id":"r"} x`))
	f.Add([]byte(`{"rec_id":"\"position\":","items":[{"item_id":"a","position":0}],"items":[{"position":1},{"position":2}]}`))
	f.Add([]byte(`{"duration_us":1.5}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, want Exposure
		owned := bytes.Clone(b)
		err, wanted := UnmarshalExposure(owned, &got), json.Unmarshal(b, &want)
		clear(owned) // it belongs to the caller
		if wanted == nil && err != nil {
			t.Fatalf("refused: %v", err)
		}
		if len(want.Items) == 0 && len(got.Items) == 0 {
			got.Items = want.Items // none are as good as null
		}
		if wanted == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("reads %+v, want %+v", got, want)
		}
	})
}
