package serving

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// What a placement does with items that the visitor has seen, or bought.
const (
	ItemsShown   = "show"   // as any other item
	ItemsDemoted = "demote" // count less
	ItemsHidden  = "hide"   // left out, unless the list would be empty
)

const (
	// maxSetting bounds caps, weights of sources and days: more is a mistake.
	maxSetting = 10_000
)

// Settings are what an operator decides for a placement beyond its kind and limit: the JSON object control.Placement.Settings. What
// is left out follows the kind. A request may choose diversity, strict and fields itself.
type Settings struct {
	// Sources are where candidates come from and what each counts, instead of the kind's own: the proposals of each are brought to 1
	// for the best, times its weight, and added up. The ladder below stays.
	Sources map[string]float64 `json:"sources,omitempty"`
	// Diversity is from 0, the best items, to 1, the most different ones.
	Diversity float64 `json:"diversity,omitempty"`
	// MaxPerCategory and MaxPerBrand cap how many items of one category or brand a list shows; 0 is no cap.
	MaxPerCategory int `json:"max_per_category,omitempty"`
	MaxPerBrand    int `json:"max_per_brand,omitempty"`
	// Rotation sinks what was lately shown to the visitor, by the node that is asked, and ignored; nil is the kind's choice: on for home.
	Rotation *bool `json:"rotation,omitempty"`
	// Exploration is the share of requests, 0 to 1, whose list gives one place to a new item; nil is the kind's choice.
	Exploration *float64 `json:"exploration,omitempty"`
	// FullExposures is the share of lists, 0 to 1, of which everything is recorded that they were made from; nil is the installation's.
	FullExposures *float64 `json:"full_exposures,omitempty"`
	// Strict leaves a list short rather than fill it from the ladder.
	Strict bool `json:"strict,omitempty"`
	// Filter leaves out what it does not match, as that of a request does.
	Filter string `json:"filter,omitempty"`
	// Boost multiplies scores, beside that of a request.
	Boost []Boost `json:"boost,omitempty"`
	// Seen and Bought are show, demote or hide, for items met in the last SeenDays and BoughtDays; 0 days is for ever.
	Seen       string `json:"seen,omitempty"`
	SeenDays   int    `json:"seen_days,omitempty"`
	Bought     string `json:"bought,omitempty"`
	BoughtDays int    `json:"bought_days,omitempty"`
	// Fields are the item fields of an answer to a request that names none.
	Fields []string `json:"fields,omitempty"`

	expressions expressions // of Filter and Boost
}

// SourceNames are the names that Settings.Sources may hold.
func SourceNames() []string {
	names := make([]string, 0, len(namedSources()))
	for _, s := range namedSources() {
		names = append(names, s.name)
	}
	return names
}

// ParseSettings reads the settings of a placement of a kind; nothing, or null, is the kind's own. The problem's pointer is within the
// settings.
func ParseSettings(kind string, raw json.RawMessage) (*Settings, *httpserver.Problem) {
	s := &Settings{}
	if len(raw) > 0 && !bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		if p := httpserver.DecodeJSON(raw, s); p != nil {
			return nil, p
		}
	}
	if p := s.check(kind); p != nil {
		return nil, p
	}
	return s, nil
}

func (s *Settings) check(kind string) *httpserver.Problem {
	for _, p := range []*httpserver.Problem{
		checkUnit("/diversity", s.Diversity), s.checkFullExposures(), s.checkSources(), s.checkExploration(kind), s.checkFields(), s.compile(),
		checkCount("/max_per_category", s.MaxPerCategory), checkCount("/max_per_brand", s.MaxPerBrand),
		checkCount("/seen_days", s.SeenDays), checkCount("/bought_days", s.BoughtDays),
		checkPolicy("/seen", s.Seen), checkPolicy("/bought", s.Bought),
	} {
		if p != nil {
			return p
		}
	}
	return nil
}

func (s *Settings) checkSources() *httpserver.Problem {
	for name, weight := range s.Sources {
		if known := SourceNames(); !slices.Contains(known, name) {
			p := invalid("/sources/"+escapePointer(name), "%q is no source of candidates", name)
			p.Hint = "sources are " + strings.Join(known, ", ")
			return p
		}
		if !(weight > 0 && weight <= maxSetting) {
			return invalid("/sources/"+name, "a weight is above 0 and at most %d, not %g", maxSetting, weight)
		}
	}
	return nil
}

func (s *Settings) checkExploration(kind string) *httpserver.Problem {
	if s.Exploration == nil {
		return nil
	}
	if (showsFacts(kind) || kind == control.KindExplore) && *s.Exploration != 0 {
		p := invalid("/exploration", "a placement of kind %s has no place to explore with: it shows facts, or nothing but new items", kind)
		p.Hint = "leave exploration out, or use a placement of another kind"
		return p
	}
	return checkUnit("/exploration", *s.Exploration)
}

func (s *Settings) checkFullExposures() *httpserver.Problem {
	if s.FullExposures == nil {
		return nil
	}
	return checkUnit("/full_exposures", *s.FullExposures)
}

// fullShare is the share of lists of which everything is recorded, usual being that of the installation.
func (s *Settings) fullShare(usual float64) float64 {
	if s.FullExposures != nil {
		return *s.FullExposures
	}
	return usual
}

// compile compiles the settings' expressions.
func (s *Settings) compile() *httpserver.Problem {
	var wrong *fault
	if s.expressions, wrong = compileExpressions(nil, s.Filter, s.Boost); wrong != nil {
		return wrong.problem()
	}
	return nil
}

func (s *Settings) checkFields() *httpserver.Problem {
	if len(s.Fields) > maxFields {
		return invalid("/fields", "fields names %d fields, the limit is %d", len(s.Fields), maxFields)
	}
	return nil
}

func checkUnit(pointer string, value float64) *httpserver.Problem {
	if !(value >= 0 && value <= 1) {
		return invalid(pointer, "%s is %g, it must be 0 to 1", pointer[1:], value)
	}
	return nil
}

func checkCount(pointer string, value int) *httpserver.Problem {
	if value < 0 || value > maxSetting {
		return invalid(pointer, "%s is %d, it must be 0 to %d", pointer[1:], value, maxSetting)
	}
	return nil
}

func checkPolicy(pointer, value string) *httpserver.Problem {
	known := []string{ItemsShown, ItemsDemoted, ItemsHidden}
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	p := invalid(pointer, "%s is %q", pointer[1:], value)
	p.Hint = "use one of " + strings.Join(known, ", ")
	return p
}

// showsFacts reports whether a kind's list says what is so, and not what the visitor might like.
func showsFacts(kind string) bool {
	switch kind {
	case control.KindPopular, control.KindTrending, control.KindRecent, control.KindAgain:
		return true
	}
	return false
}
