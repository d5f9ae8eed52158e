package vmisknn

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/millrace/millrace/internal/model"
)

// The oracle answers a query from the definitions, with maps and sorts: the published loop over posting lists with a
// set of the m newest sessions, then the formulas. Nothing here is fast.

type plainSession struct {
	items []int32 // distinct, in the order of their last occurrence
	end   int64
}

// plainSessions returns the possible neighbours, oldest first.
func plainSessions(s *model.Sessions) []plainSession {
	var lengths []int
	for i := range s.Len() {
		items, _ := s.At(i)
		lengths = append(lengths, len(items))
	}
	slices.Sort(lengths)
	longest := lengths[int(math.Ceil(0.995*float64(len(lengths))))-1]
	var out []plainSession
	for i := range s.Len() {
		items, times := s.At(i)
		if len(items) < 2 || len(items) > longest {
			continue
		}
		p := plainSession{end: times[len(times)-1]}
		for e, item := range items {
			if !slices.Contains(items[e+1:], item) {
				p.items = append(p.items, item)
			}
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b plainSession) int { return cmp.Compare(a.end, b.end) })
	return out
}

func plainIDF(s *model.Sessions) map[int32]float64 {
	clicks := map[int32]float64{}
	for _, item := range s.Items {
		clicks[item]++
	}
	for item, n := range clicks {
		clicks[item] = math.Log(float64(len(s.Items)) / n)
	}
	return clicks
}

// plainQuery returns the last distinct items, oldest first.
func plainQuery(cfg Config, q model.Query) []int32 {
	var items []int32
	for i := len(q.Items) - 1; i >= 0 && len(items) < cfg.LastItems; i-- {
		if item := q.Items[i]; item >= 0 && item < numItems && !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	slices.Reverse(items)
	return items
}

func plainWeight(cfg Config, q model.Query, position, length int) float64 {
	p, l := float64(position), float64(length)
	if q.Set {
		return 1
	}
	if cfg.Scoring == VSTAN {
		if cfg.SPW == 0 {
			return 1
		}
		return math.Exp((p - l) / cfg.SPW)
	}
	switch cfg.Decay {
	case DecayLinear:
		return math.Max(0, 1-0.1*(l-p))
	case DecayDiv:
		return p / l
	case DecayQuadratic:
		return (p / l) * (p / l)
	case DecayLog:
		return 1 / math.Log10(l-p+1.7)
	default:
		return 1
	}
}

// plainCandidates is the loop of VMIS-kNN: session number to summed weight. Sums are rounded as the model rounds them, so
// that sessions which tie there tie here.
func plainCandidates(cfg Config, q model.Query, sessions []plainSession, items []int32) map[int]float32 {
	found := map[int]float32{}
	for i := len(items) - 1; i >= 0; i-- {
		weight := float32(plainWeight(cfg, q, i+1, len(items)))
		if weight == 0 {
			continue
		}
		looked := 0
		for s := len(sessions) - 1; s >= 0 && looked < cfg.M; s-- {
			if !slices.Contains(sessions[s].items, items[i]) {
				continue
			}
			looked++
			if _, ok := found[s]; ok {
				found[s] += weight
				continue
			}
			if len(found) < cfg.M {
				found[s] = weight
				continue
			}
			oldest := math.MaxInt
			for other := range found {
				oldest = min(oldest, other)
			}
			if s < oldest {
				break
			}
			delete(found, oldest)
			found[s] = weight
		}
	}
	return found
}

func plainScores(cfg Config, train *model.Sessions, q model.Query) [numItems]float64 {
	sessions, idf, items := plainSessions(train), plainIDF(train), plainQuery(cfg, q)
	found := plainCandidates(cfg, q, sessions, items)
	newest, squares := 0, 0.0
	for s := range found {
		newest = max(newest, s)
	}
	for i := range items {
		squares += math.Pow(plainWeight(cfg, q, i+1, len(items)), 2)
	}
	type neighbour struct {
		session    int
		similarity float64
	}
	var neighbours []neighbour
	for s, weight := range found {
		similarity := float64(weight)
		if cfg.Scoring == VSTAN {
			similarity /= math.Sqrt(squares) * math.Sqrt(float64(len(sessions[s].items)))
			if cfg.SNH > 0 {
				similarity *= math.Exp(-float64(sessions[newest].end-sessions[s].end) / 86_400_000 / cfg.SNH)
			}
		}
		neighbours = append(neighbours, neighbour{s, similarity})
	}
	slices.SortFunc(neighbours, func(a, b neighbour) int {
		if float32(a.similarity) != float32(b.similarity) {
			return cmp.Compare(b.similarity, a.similarity)
		}
		return b.session - a.session
	})
	var scores [numItems]float64
	for _, n := range neighbours[:min(cfg.K, len(neighbours))] {
		for at, item := range sessions[n.session].items {
			scores[item] += plainVote(cfg, q, sessions[n.session].items, items, at, n.similarity, idf[item])
		}
	}
	for _, item := range slices.Concat(q.Excluded(cfg.Repeats)[0], q.Excluded(cfg.Repeats)[1]) {
		if item >= 0 && item < numItems {
			scores[item] = 0
		}
	}
	return scores
}

func plainVote(cfg Config, q model.Query, neighbour, items []int32, at int, similarity, idf float64) float64 {
	lastShared, recent := 0, 0
	for place, item := range neighbour {
		p := 1 + slices.Index(items, item)
		if p == 0 {
			continue
		}
		lastShared = place
		if plainWeight(cfg, q, p, len(items)) > 0 {
			recent = max(recent, p)
		}
	}
	if cfg.Scoring == VMIS {
		gain := 1.0
		if cfg.IDFWeight > 0 {
			gain = idf * cfg.IDFWeight
		}
		return gain * math.Max(0, 1-0.1*float64(len(items)-recent)) * similarity
	}
	vote := similarity * (1 + idf*cfg.IDFWeight)
	if cfg.INH > 0 {
		vote *= math.Exp(-math.Abs(float64(at-lastShared)) / cfg.INH)
	}
	if position := 1 + slices.Index(items, neighbour[lastShared]); cfg.IPW > 0 && !q.Set {
		vote *= math.Exp(float64(position-len(items)) / cfg.IPW)
	}
	return vote
}

const numItems = 30

// randomSessions has sessions of one event, very long ones, repeats, equal times and a history of some months.
func randomSessions(seed uint64, n int) *model.Sessions {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := &model.Sessions{}
	at := int64(0)
	for i := range n {
		length := 1 + rng.IntN(8)
		if i%100 == 50 {
			length = 80
		}
		at += int64(rng.IntN(3)) * 3_600_000 * 12
		var items []int32
		var times []int64
		for range length {
			items = append(items, int32(rng.ExpFloat64()*6)%numItems)
			times = append(times, at)
		}
		s.Append(items, times)
	}
	return s
}

func randomQuery(rng *rand.Rand) model.Query {
	q := model.Query{Set: rng.IntN(5) == 0}
	for range rng.IntN(12) {
		q.Items = append(q.Items, rng.Int32N(numItems+2)-1) // some outside the vocabulary
	}
	return q
}

func randomConfig(rng *rand.Rand) Config {
	pick := func(values ...float64) float64 { return values[rng.IntN(len(values))] }
	cfg := Config{
		Scoring: VMIS, M: 1 + rng.IntN(60), K: 1 + rng.IntN(60), LastItems: 1 + rng.IntN(12), IDFWeight: pick(0, 1, 5),
		Decay: Decays()[rng.IntN(len(Decays()))], Repeats: model.RepeatPolicies()[rng.IntN(4)],
	}
	if rng.IntN(2) == 0 {
		cfg.Scoring, cfg.Decay = VSTAN, ""
		cfg.SPW, cfg.IPW, cfg.INH, cfg.SNH = pick(0, 1e-5, 1, 4), pick(0, 1, 4), pick(0, 0.5, 3), pick(0, 2.5, 40)
	}
	return cfg
}
