// Package content recommends items that are like those of the query by what the shop says of them: title, categories, brand,
// labels, price and the shop's own fields. It needs no events, so an item that nobody has met can be recommended and has
// similar items.
//
// An item is a vector of terms: words, pairs of neighbouring words and pieces of words, hashed into a fixed number of buckets a
// field (Weinberger, Dasgupta, Langford, Smola, Attenberg: Feature Hashing for Large Scale Multitask Learning, ICML 2009), each
// weighing its frequency in the item times its rarity among all items (Salton, Buckley: Term-weighting approaches in automatic
// text retrieval, 1988). The vector of each field is brought to length 1 and weighted by Config, then the whole to length 1, so
// that the product of two vectors is the cosine of their angle. A query is the decayed sum of the vectors of its items.
//
// Model is trained and answers in the indices of a vocabulary; Live follows a catalogue as it changes and answers in item ids.
package content

import (
	"fmt"

	"github.com/millrace/millrace/internal/model"
)

// Config says how items are compared. The zero value is not valid; start from Default.
type Config struct {
	// Title, Categories, Brand, Labels, Fields (the shop's own) and Price are what the fields of an item weigh against each
	// other; 0 leaves a field out. A field that an item does not have weighs nothing.
	Title      float64 `json:"title"`
	Categories float64 `json:"categories"`
	Brand      float64 `json:"brand"`
	Labels     float64 `json:"labels"`
	Fields     float64 `json:"fields"`
	Price      float64 `json:"price"`
	// Pairs is what two neighbouring words weigh as one term, relative to a word; 0 leaves pairs out.
	Pairs float64 `json:"pairs"`
	// Pieces is what each sequence of PieceLength letters within a word weighs, relative to a word; 0 leaves them out. They bring
	// together forms of one word, and compounds with their parts.
	Pieces      float64 `json:"pieces"`
	PieceLength int     `json:"piece_length"`
	// MaxTerms bounds the terms of an item; the strongest stay.
	MaxTerms int `json:"max_terms"`
	// HistoryDecay is the weight lost with each step back in the query.
	HistoryDecay float64 `json:"history_decay"`
	// LastItems is how many distinct items of the query, newest first, are looked up.
	LastItems int `json:"last_items"`
	// MinScore is the cosine below which items are not alike.
	MinScore float64 `json:"min_score"`
	// Repeats says which items of the session may be recommended again. Those that the answer follows from never are: that a thing
	// is like itself says nothing.
	Repeats model.RepeatPolicy `json:"repeats"`
}

// Default returns the configuration that does well untuned on the texts of shops.
func Default() Config {
	return Config{
		Title: 1, Categories: 0.8, Brand: 0.3, Labels: 0.3, Fields: 0.5, Price: 0.2,
		Pairs: 0.5, Pieces: 0.5, PieceLength: 4,
		MaxTerms: 48, HistoryDecay: 0.7, LastItems: 6, MinScore: 0.05, Repeats: model.RepeatsNone,
	}
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	sum := 0.0
	for field, weight := range c.weights() {
		if !(weight >= 0 && weight <= maxWeight) {
			return fmt.Errorf("content weight %g of field %d must be 0 to %d", weight, field, maxWeight)
		}
		sum += weight
	}
	switch {
	case sum == 0:
		return fmt.Errorf("content needs a field with a weight above 0")
	case !(c.Pairs >= 0 && c.Pairs <= 1) || !(c.Pieces >= 0 && c.Pieces <= 1):
		return fmt.Errorf("content weights of pairs (%g) and pieces (%g) must be 0 to 1", c.Pairs, c.Pieces)
	case c.PieceLength < 2 || c.PieceLength > maxPieceLength:
		return fmt.Errorf("content pieces have %d letters, it must be 2 to %d", c.PieceLength, maxPieceLength)
	case c.MaxTerms < 1 || c.MaxTerms > maxTerms:
		return fmt.Errorf("content keeps %d terms of an item, it must be 1 to %d", c.MaxTerms, maxTerms)
	case !(c.HistoryDecay > 0 && c.HistoryDecay <= 1):
		return fmt.Errorf("content decay %g must be above 0 and at most 1", c.HistoryDecay)
	case c.LastItems < 1 || c.LastItems > maxLastItems:
		return fmt.Errorf("content looks at %d items of a query, it must be 1 to %d", c.LastItems, maxLastItems)
	case !(c.MinScore >= 0 && c.MinScore < 1):
		return fmt.Errorf("content's least score %g must be 0 or more and below 1", c.MinScore)
	case !c.Repeats.Valid():
		return fmt.Errorf("content repeat policy %q is unknown", c.Repeats)
	}
	return nil
}

// weights are the weights of the fields, in the order of the field constants.
func (c Config) weights() [numFields]float64 {
	return [numFields]float64{c.Title, c.Categories, c.Brand, c.Labels, c.Fields, c.Price}
}

// Limits of a configuration, beyond which it is a mistake.
const (
	maxWeight      = 1000
	maxPieceLength = 16
	maxTerms       = 1024
	maxLastItems   = 100
)
