// Package vmisknn recommends what the nearest past sessions went on to: the VMIS-kNN index (Kersbergen, Sprangers and
// Schelter, "Serenade", SIGMOD 2022) with its own scoring or with that of VSTAN (Ludewig, Mauro, Latifi and Jannach,
// "Empirical analysis of session-based recommendation algorithms", 2020).
package vmisknn

import (
	"fmt"

	"github.com/millrace/millrace/internal/model"
)

// Scoring chooses the formulas by which neighbours and items are weighed.
type Scoring string

// The scorings.
const (
	// VMIS: similarity is the sum of the position weights of shared items; an item of a neighbour gets similarity *
	// idf * (1 - 0.1 d), d steps being between the end of the query and the most recent shared item.
	VMIS Scoring = "vmis"
	// VSTAN: similarity is a cosine whose weights fall exponentially with position, and falls with the age of the
	// neighbour; an item of a neighbour also counts by its distance from the last shared item there.
	VSTAN Scoring = "vstan"
)

// Decay is the weight of a query item by its position under VMIS; position 1 is the oldest of L items, L the newest.
type Decay string

// The decays.
const (
	DecayLinear    Decay = "linear"    // 1 - 0.1 (L - position), at least 0
	DecayDiv       Decay = "div"       // position / L
	DecayQuadratic Decay = "quadratic" // (position / L)^2
	DecayLog       Decay = "log"       // 1 / log10(L - position + 1.7)
	DecaySame      Decay = "same"      // 1
)

// Decays lists the decays.
func Decays() []Decay { return []Decay{DecayLinear, DecayDiv, DecayQuadratic, DecayLog, DecaySame} }

// Limits of a configuration; they bound the time and memory of one query.
const (
	// MaxCandidates bounds M; published settings stay below 2,500 sessions.
	MaxCandidates = 10_000
	// MaxLastItems bounds LastItems; the position of an item in the query is stored in seven bits.
	MaxLastItems = 100
)

// Config says how neighbours are found and weighed. The zero value is not valid; start from Default.
type Config struct {
	Scoring Scoring `json:"scoring"`
	// M is how many of the newest sessions that share an item with the query are candidates.
	M int `json:"m"`
	// K is how many of the candidates, most similar first, vote.
	K int `json:"k"`
	// LastItems is how many distinct items of the query, newest first, are looked up.
	LastItems int `json:"last_items"`
	// IDFWeight is how much rare items are preferred; 0 not at all.
	IDFWeight float64 `json:"idf_weight"`
	// Decay is the position weight of VMIS.
	Decay Decay `json:"decay,omitempty"`
	// SPW is the scale in positions of VSTAN's session weight exp((position - L)/SPW); 0 turns it off.
	SPW float64 `json:"spw,omitempty"`
	// IPW is the scale in positions of VSTAN's weight of the last shared item; 0 turns it off.
	IPW float64 `json:"ipw,omitempty"`
	// INH is the scale in items of VSTAN's distance from the last shared item in the neighbour; 0 turns it off.
	INH float64 `json:"inh,omitempty"`
	// SNH is the scale in days of VSTAN's age of a neighbour; 0 turns it off.
	SNH float64 `json:"snh_days,omitempty"`
	// Repeats says which items of the session may be recommended again.
	Repeats model.RepeatPolicy `json:"repeats"`
}

// Default returns settings that do well untuned on shop sessions.
func Default(scoring Scoring) Config {
	c := Config{Scoring: scoring, M: 500, K: 100, LastItems: 10, IDFWeight: 1, Repeats: model.RepeatsNotCurrent}
	if scoring == VSTAN {
		c.K, c.SPW, c.IPW, c.INH, c.SNH = 500, 2, 2, 2, 30
	} else {
		c.Decay = DecayDiv
	}
	return c
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Scoring != VMIS && c.Scoring != VSTAN:
		return fmt.Errorf("session kNN scoring %q is unknown", c.Scoring)
	case c.M < 1 || c.M > MaxCandidates || c.K < 1:
		return fmt.Errorf("session kNN needs 1 to %d candidates (m = %d) and 1 or more neighbours (k = %d)", MaxCandidates, c.M, c.K)
	case c.LastItems < 1 || c.LastItems > MaxLastItems:
		return fmt.Errorf("session kNN looks up %d last items, must be 1 to %d", c.LastItems, MaxLastItems)
	case !(c.IDFWeight >= 0) || !(c.SPW >= 0) || !(c.IPW >= 0) || !(c.INH >= 0) || !(c.SNH >= 0):
		return fmt.Errorf("session kNN weights must not be negative: idf %g, spw %g, ipw %g, inh %g, snh %g",
			c.IDFWeight, c.SPW, c.IPW, c.INH, c.SNH)
	case c.Scoring == VMIS && positionWeight(c.Decay, 1, 1) == 0:
		return fmt.Errorf("session kNN decay %q is unknown", c.Decay)
	case !c.Repeats.Valid():
		return fmt.Errorf("session kNN repeat policy %q is unknown", c.Repeats)
	}
	return nil
}
