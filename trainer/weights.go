package trainer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/event"
)

// DefaultWeights says which events tell what visitors want, and how much each counts for. Impressions (view_item_list) are not
// among them: they tell what the shop wants.
func DefaultWeights() map[string]float64 {
	return map[string]float64{
		event.ViewItem: 1, event.SelectItem: 1, event.RateItem: 1, event.AddToWishlist: 2, event.AddToCart: 3, event.Purchase: 5,
	}
}

const (
	// maxWeight bounds what an event counts for: beyond it one purchase would drown all that was looked at.
	maxWeight = 1000
	// maxTypes bounds the types that count: a type's number is kept in a byte.
	maxTypes = 100
)

// ParseWeights reads type=weight,... and checks it.
func ParseWeights(text string) (map[string]float64, error) {
	out := map[string]float64{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		weight, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil || name == "" {
			return nil, fmt.Errorf("%q is not of the form TYPE=NUMBER, such as add_to_cart=3", part)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("type %s is named twice", name)
		}
		out[name] = weight
	}
	return out, checkWeights(out)
}

// FormatWeights is the inverse of ParseWeights, types in alphabetical order.
func FormatWeights(weights map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		parts = append(parts, name+"="+strconv.FormatFloat(weights[name], 'g', -1, 64))
	}
	return strings.Join(parts, ",")
}

func checkWeights(weights map[string]float64) error {
	counted := 0
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		weight := weights[name]
		if !(weight >= 0 && weight <= maxWeight) {
			return fmt.Errorf("event type %s counts %g, must be 0 to %d", name, weight, maxWeight)
		}
		if weight > 0 {
			counted++
		}
	}
	if counted == 0 || counted > maxTypes {
		return fmt.Errorf("%d event types count, must be 1 to %d", counted, maxTypes)
	}
	return nil
}
