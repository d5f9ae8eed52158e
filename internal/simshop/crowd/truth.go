// Package crowd is a crowd of shoppers with planted tastes, who browse and click by a random utility model. Whoever makes lists for
// them can be measured exactly: the chance of every click is known, and so is the best list that anybody could make. What the numbers
// mean stands in the file that holds them, internal/simshop/testdata/ctr.json.
package crowd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
)

// Truth is the content of the file. Utilities are in units of log odds.
type Truth struct {
	About    []string `json:"about"`
	Seed     uint64   `json:"seed"`
	Shop     Shop     `json:"shop"`
	Shoppers Shoppers `json:"shoppers"`
	Visits   Visits   `json:"visits"`
	Clicks   Clicks   `json:"clicks"`
}

// Shop says what is on the shelves.
type Shop struct {
	Items               int     `json:"items"`
	Categories          int     `json:"categories"`
	Brands              int     `json:"brands"`
	BrandsPerCategory   int     `json:"brands_per_category"`
	StyleDimensions     int     `json:"style_dimensions"`
	AppealSigma         float64 `json:"appeal_sigma"`          // of the items of a category
	CategoryAppealSigma float64 `json:"category_appeal_sigma"` // of the categories
	ExposureExponent    float64 `json:"exposure_exponent"`     // exposure is rank^-exponent, the rank by appeal
	ExposureNoise       float64 `json:"exposure_noise"`        // and this standard deviation of chance
	VariantShare        float64 `json:"variant_share"`         // of items that are another colour of the one before
	UnavailableShare    float64 `json:"unavailable_share"`     // sold out when lists are asked for
}

// Shoppers says who comes and what they like.
type Shoppers struct {
	Count           int     `json:"count"`
	NewcomerShare   float64 `json:"newcomer_share"` // nobody has met them when they ask for a list
	InterestsMin    int     `json:"interests_min"`
	InterestsMax    int     `json:"interests_max"`
	InterestUtility float64 `json:"interest_utility"` // of the strongest one
	InterestStep    float64 `json:"interest_step"`    // each next one is weaker by that
	InterestSigma   float64 `json:"interest_sigma"`
	LikedBrands     int     `json:"liked_brands"` // of the brands in the shopper's categories
	DislikedBrands  int     `json:"disliked_brands"`
	BrandUtility    float64 `json:"brand_utility"`
	StyleUtility    float64 `json:"style_utility"`
	OwnSigma        float64 `json:"own_sigma"`    // of a shopper and an item alone
	WeeklyDrift     float64 `json:"weekly_drift"` // chance that one interest gives way to another category
}

// Visits says how they browse.
type Visits struct {
	Days                int     `json:"days"`
	Median              float64 `json:"median"` // visits of a shopper are log-normal
	Sigma               float64 `json:"sigma"`
	ViewsMean           float64 `json:"views_mean"` // of a visit, geometric
	ViewsMax            int     `json:"views_max"`
	FocusUtility        float64 `json:"focus_utility"`    // of the one interest that a visit is for
	BestsellerShare     float64 `json:"bestseller_share"` // of views that come from the page of bestsellers, with its position bias
	Bestsellers         int     `json:"bestsellers"`
	StrayShare          float64 `json:"stray_share"` // of views that follow exposure alone
	AgainInVisitUtility float64 `json:"again_in_visit_utility"`
	CartOffset          float64 `json:"cart_offset"` // what is viewed goes into the cart with sigmoid(utility + offset)
	CheckoutShare       float64 `json:"checkout_share"`
}

// Clicks says how they meet a list.
type Clicks struct {
	ListLength    int     `json:"list_length"`
	PositionBias  string  `json:"position_bias"` // in words; positionBias is it
	Offset        float64 `json:"offset"`
	Noise         float64 `json:"noise"`
	SeenUtility   float64 `json:"seen_utility"`   // of an item that the shopper has viewed
	BoughtUtility float64 `json:"bought_utility"` // or bought
	FocusUtility  float64 `json:"focus_utility"`  // of the interest that the running visit is for
	RunningShare  float64 `json:"running_share"`  // of known shoppers ask in the middle of a visit, the others when they arrive
}

// Read reads the file.
func Read(path string) (Truth, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Truth{}, fmt.Errorf("read planted tastes: %w", err)
	}
	var t Truth
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return Truth{}, fmt.Errorf("read planted tastes in %s: %w", path, err)
	}
	return t, nil
}

// Scaled is the same truth with fewer items and shoppers, n of each for 1; a category then has fewer items.
func (t Truth) Scaled(n int) Truth {
	t.Shop.Items /= n
	t.Shoppers.Count /= n
	return t
}

// random derives an independent generator for one purpose.
func (t Truth) random(purpose string, n int) *rand.Rand {
	h := fnv.New64a()
	h.Write(fmt.Appendf(nil, "%s/%d", purpose, n))
	return rand.New(rand.NewPCG(t.Seed, h.Sum64()))
}
