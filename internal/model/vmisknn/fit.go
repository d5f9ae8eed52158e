package vmisknn

import (
	"math"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// maxAgeScales bounds age/SNH: exp(-700) is the smallest power that a float64 still holds with precision. Beyond it all
// ages weigh the same.
const maxAgeScales = 700

// Model is an index with one configuration and the tables that it implies.
type Model struct {
	cfg      Config
	index    *Index
	itemGain []float32 // by item: what idf makes of a vote
	ageDecay []float64 // by session, VSTAN with SNH only
	newDecay []float64 // the same of the sessions that lie over those (Over)
	distance []float32 // by distance from the last shared item in a neighbour, as far as the longest one goes
	pool     sync.Pool // of *scratch
}

// Fit indexes the sessions over a vocabulary of numItems.
func Fit(cfg Config, sessions *model.Sessions, numItems int) (*Model, error) {
	index, err := BuildIndex(sessions, numItems)
	if err != nil {
		return nil, err
	}
	return New(cfg, index)
}

// New puts a configuration over an index; many models may share one index.
func New(cfg Config, index *Index) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m := &Model{cfg: cfg, index: index}
	if cfg.Scoring == VSTAN && cfg.SNH > 0 {
		m.ageDecay = ageDecays(index.ends, newestEnd(index), cfg.SNH)
	}
	m.fill(index.longest())
	return m, nil
}

// fill makes the tables that follow from index and configuration, for sessions of up to longest items.
func (m *Model) fill(longest int) {
	cfg, numItems := m.cfg, m.index.numItems()
	m.itemGain = make([]float32, numItems)
	for item, idf := range m.index.idf() {
		switch {
		case cfg.Scoring == VSTAN:
			m.itemGain[item] = float32(1 + idf*cfg.IDFWeight)
		case cfg.IDFWeight > 0:
			m.itemGain[item] = float32(idf * cfg.IDFWeight)
		default:
			m.itemGain[item] = 1
		}
	}
	m.distance = make([]float32, longest)
	for d := range m.distance {
		m.distance[d] = 1
		if cfg.Scoring == VSTAN {
			m.distance[d] = float32(decayOver(d, cfg.INH))
		}
	}
	m.pool.New = func() any { return newScratch(m.itemGain) }
}

// newestEnd is the end of the newest session of an index, 0 where there is none.
func newestEnd(x *Index) int64 {
	if len(x.ends) == 0 {
		return 0
	}
	return x.ends[len(x.ends)-1]
}

// age is what VSTAN's decay over time leaves of a session.
func (m *Model) age(session int32) float64 {
	if s := int(session); s >= len(m.ageDecay) {
		return m.newDecay[s-len(m.ageDecay)]
	}
	return m.ageDecay[session]
}

// ageDecays returns exp(-age/snh) of each session, its age in days counted from a time.
func ageDecays(ends []int64, from int64, snh float64) []float64 {
	out := make([]float64, len(ends))
	const day = float64(24 * time.Hour / time.Millisecond)
	for s, end := range ends {
		days := float64(from-end) / day
		out[s] = math.Exp(-max(-maxAgeScales, min(days/snh, maxAgeScales)))
	}
	return out
}

// positionWeight is the VMIS weight of the item at a position of 1 (oldest) to length (newest).
func positionWeight(decay Decay, position, length int) float64 {
	p, l := float64(position), float64(length)
	switch decay {
	case DecayLinear:
		return max(0, 1-0.1*(l-p))
	case DecayDiv:
		return p / l
	case DecayQuadratic:
		return p / l * p / l
	case DecayLog:
		return 1 / math.Log10(l-p+1.7)
	case DecaySame:
		return 1
	default:
		return 0
	}
}

// decayOver is exp(-steps/scale), and 1 when the scale is 0: no decay.
func decayOver(steps int, scale float64) float64 {
	if scale == 0 {
		return 1
	}
	return math.Exp(-float64(steps) / scale)
}
