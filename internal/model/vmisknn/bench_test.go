package vmisknn

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// shopSessions is a shop of a given size with long-tailed item popularity and four clicks a session.
func shopSessions(sessions, items int) *model.Sessions {
	rng := rand.New(rand.NewPCG(1, 0))
	zipf := rand.NewZipf(rng, 1.1, 20, uint64(items-1))
	s := &model.Sessions{}
	for i := range sessions {
		var clicked [4]int32
		var times [4]int64
		for e := range clicked {
			clicked[e], times[e] = int32(zipf.Uint64()), int64(i)*10_000+int64(e)*1000
		}
		s.Append(clicked[:], times[:])
	}
	return s
}

func BenchmarkBuildIndex(b *testing.B) {
	s := shopSessions(50_000, 20_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := BuildIndex(s, 20_000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(s.Events())*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// Popular items make the query as hard as it gets: full candidate lists for every one of them.
func BenchmarkScore(b *testing.B) {
	index, err := BuildIndex(shopSessions(50_000, 20_000), 20_000)
	if err != nil {
		b.Fatal(err)
	}
	for _, scoring := range []Scoring{VMIS, VSTAN} {
		b.Run(string(scoring), func(b *testing.B) {
			m, err := New(Default(scoring), index)
			if err != nil {
				b.Fatal(err)
			}
			q := model.Query{Items: []int32{3, 1, 4, 15, 9}}
			dst := make([]model.Scored, 0, 20)
			b.ReportAllocs()
			for b.Loop() {
				dst = m.Score(dst[:0], q, 20)
			}
		})
	}
}
