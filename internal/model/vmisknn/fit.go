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
	m := &Model{cfg: cfg, index: index, itemGain: make([]float32, index.numItems())}
	for item, idf := range index.idf() {
		switch {
		case cfg.Scoring == VSTAN:
			m.itemGain[item] = float32(1 + idf*cfg.IDFWeight)
		case cfg.IDFWeight > 0:
			m.itemGain[item] = float32(idf * cfg.IDFWeight)
		default:
			m.itemGain[item] = 1
		}
	}
	if cfg.Scoring == VSTAN && cfg.SNH > 0 {
		m.ageDecay = ageDecays(index.ends, cfg.SNH)
	}
	m.distance = make([]float32, index.longest())
	for d := range m.distance {
		m.distance[d] = 1
		if cfg.Scoring == VSTAN {
			m.distance[d] = float32(decayOver(d, cfg.INH))
		}
	}
	numItems := index.numItems()
	m.pool.New = func() any { return newScratch(numItems) }
	return m, nil
}

// ageDecays returns exp(-age/snh) of each session, its age in days counted from the newest session.
func ageDecays(ends []int64, snh float64) []float64 {
	out := make([]float64, len(ends))
	const day = float64(24 * time.Hour / time.Millisecond)
	for s, end := range ends {
		days := float64(ends[len(ends)-1]-end) / day
		out[s] = math.Exp(-min(days/snh, maxAgeScales))
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
