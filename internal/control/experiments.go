package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/event"
)

const (
	// MaxExperiments is how many experiments a site has, those that ended among them: operators read the list.
	MaxExperiments = 200
	// MinArms and MaxArms bound the arms of an experiment: one compares nothing, and each more leaves fewer visitors to the others.
	MinArms = 2
	MaxArms = 10
	// MaxArmWeight bounds the weight of an arm; one visitor in ten thousand is rarer than anything that can be measured.
	MaxArmWeight = 10_000
	// DefaultVariant is the variant of lists that no experiment has to do with. No arm has the name.
	DefaultVariant = "default"
	// maxExperimentName bounds what an experiment is called.
	maxExperimentName = 200
)

var (
	// ErrUnknownExperiment means that a site has no experiment of an id.
	ErrUnknownExperiment = errors.New("the site has no such experiment")
	// ErrTooManyExperiments means that a site has MaxExperiments.
	ErrTooManyExperiments = fmt.Errorf("the site has %d experiments, which is the limit", MaxExperiments)
	// ErrLongExperiment means that an experiment is longer than what is kept of one.
	ErrLongExperiment = fmt.Errorf("the experiment has more than %d bytes", maxDocumentBytes)
)

// ExperimentState is where an experiment stands. It goes from each to the next alone.
type ExperimentState string

// The states of experiments.
const (
	ExperimentDraft   ExperimentState = "draft"   // may be changed
	ExperimentRunning ExperimentState = "running" // visitors are in its arms
	ExperimentStopped ExperimentState = "stopped" // stays as it ran
)

// Arm is what an experiment compares: the placement with some of its settings changed.
type Arm struct {
	Name     string          `json:"name" minLength:"1" maxLength:"64" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"Its name in variants; not default." example:"diverse"`
	Weight   int             `json:"weight" minimum:"1" maximum:"10000" doc:"Its share of the visitors, beside the weights of the others." example:"50"`
	Limit    int             `json:"limit,omitempty" minimum:"1" maximum:"100" doc:"How many items a list has, instead of as many as the placement says." example:"8"`
	Settings json.RawMessage `json:"settings,omitempty" doc:"An object of settings of a placement, each instead of the placement's own; null is what follows from the kind."`
}

// Experiment compares arms on a placement.
type Experiment struct {
	Site      string          `json:"-"`
	ID        string          `json:"experiment_id" doc:"Its name in paths and variants." example:"diverse-home"`
	Name      string          `json:"name" doc:"What people call it." example:"A more diverse home page"`
	Placement string          `json:"placement" doc:"Where it runs." example:"home"`
	Arms      []Arm           `json:"arms" doc:"What it compares, in the order in which visitors are told apart."`
	State     ExperimentState `json:"state" enum:"draft,running,stopped" doc:"Where it stands." example:"running"`
	StartedAt time.Time       `json:"started_at,omitzero" doc:"When it was started."`
	StoppedAt time.Time       `json:"stopped_at,omitzero" doc:"When it was stopped."`
	Revision  int64           `json:"revision" doc:"Counts its changes." example:"3"`
	UpdatedAt time.Time       `json:"updated_at" doc:"When it was last changed."`
}

// ETag identifies the revision of an experiment.
func (e Experiment) ETag() string { return strconv.FormatInt(e.Revision, 10) }

// Variant is the name of an arm in answers and exposures.
func (e *Experiment) Variant(arm int) string { return e.ID + ":" + e.Arms[arm].Name }

// FieldError is what is wrong with a field of a document, at a JSON pointer, and what to do about it.
type FieldError struct{ Pointer, Detail, Hint string }

func (e *FieldError) Error() string { return e.Pointer + ": " + e.Detail }

// Check reports what is wrong with an experiment as a *FieldError, apart from what its arms' settings mean.
func (e *Experiment) Check() error {
	if err := event.CheckSite(e.Site); err != nil {
		return err
	}
	switch {
	case !placementName.MatchString(e.ID):
		return &FieldError{"/experiment_id", fmt.Sprintf("id %q is not 1 to 64 characters of a-z, 0-9, _ and -", clip(e.ID)), ""}
	case len(e.Name) > maxExperimentName:
		return &FieldError{"/name", fmt.Sprintf("name has %d bytes, the limit is %d", len(e.Name), maxExperimentName), ""}
	case len(e.Arms) < MinArms || len(e.Arms) > MaxArms:
		return &FieldError{"/arms", fmt.Sprintf("there are %d arms, it must be %d to %d", len(e.Arms), MinArms, MaxArms),
			"an arm without settings is the placement as it is, to compare with"}
	}
	names := make(map[string]bool, len(e.Arms))
	for i := range e.Arms {
		if wrong := e.Arms[i].check(names); wrong != nil {
			wrong.Pointer = "/arms/" + strconv.Itoa(i) + wrong.Pointer
			return wrong
		}
	}
	return nil
}

// check reports what is wrong with an arm, and adds its name to those of the others.
func (a *Arm) check(names map[string]bool) *FieldError {
	switch {
	case !placementName.MatchString(a.Name):
		return &FieldError{"/name", fmt.Sprintf("name %q is not 1 to 64 characters of a-z, 0-9, _ and -", clip(a.Name)), ""}
	case a.Name == DefaultVariant:
		return &FieldError{"/name", "no arm is called " + DefaultVariant, "lists outside of experiments have that variant; call it control, for example"}
	case names[a.Name]:
		return &FieldError{"/name", "two arms are called " + a.Name, "figures are told apart by the names of arms"}
	case a.Weight < 1 || a.Weight > MaxArmWeight:
		return &FieldError{"/weight", fmt.Sprintf("weight is %d, it must be 1 to %d", a.Weight, MaxArmWeight), "leave out an arm that nobody is to see"}
	case a.Limit < 0 || a.Limit > MaxPlacementLimit:
		return &FieldError{"/limit", fmt.Sprintf("limit is %d, it must be 1 to %d", a.Limit, MaxPlacementLimit), "leave it out for the placement's own"}
	}
	names[a.Name] = true
	if _, err := a.Of(Placement{}); err != nil {
		return &FieldError{"/settings", "settings are not a JSON object", "name the settings that differ from those of the placement"}
	}
	return nil
}

// Of is a placement as the arm has it: with the arm's limit, and its settings over the placement's own, key by key.
func (a *Arm) Of(p Placement) (Placement, error) {
	if a.Limit > 0 {
		p.Limit = a.Limit
	}
	var own, over map[string]json.RawMessage
	for _, of := range []struct {
		text json.RawMessage
		keys *map[string]json.RawMessage
	}{{p.Settings, &own}, {a.Settings, &over}} {
		if len(of.text) == 0 {
			continue
		}
		if err := json.Unmarshal(of.text, of.keys); err != nil {
			return p, fmt.Errorf("read settings of arm %s on placement %s: %w", clip(a.Name), p.Name, err)
		}
	}
	if len(over) == 0 {
		return p, nil
	}
	laid := make(map[string]json.RawMessage, len(own)+len(over))
	maps.Copy(laid, own)
	maps.Copy(laid, over)
	text, err := json.Marshal(laid)
	p.Settings = text
	return p, err
}

// Running is an experiment that runs. It is shared: callers only read it.
type Running struct {
	Experiment
	Variants []RunningArm // by number of the arm
	Weight   uint64       // of all arms
}

// RunningArm is an arm of an experiment that runs.
type RunningArm struct {
	Variant   string
	Weight    uint64
	Placement Placement // as the arm has it
}

// run lays the arms of an experiment over its placement.
func (e Experiment) run(p Placement) (*Running, error) {
	r := &Running{Experiment: e, Variants: make([]RunningArm, len(e.Arms))}
	for i := range e.Arms {
		own, err := e.Arms[i].Of(p)
		if err != nil {
			return nil, err
		}
		r.Variants[i] = RunningArm{e.Variant(i), uint64(e.Arms[i].Weight), own} //nolint:gosec // 1 to MaxArmWeight
		r.Weight += uint64(e.Arms[i].Weight)                                    //nolint:gosec // likewise
	}
	return r, nil
}

// RunningExperiment is the experiment that runs on a placement, nil for none. The answer is at most CacheAge old.
func (s *Store) RunningExperiment(ctx context.Context, site, placement string) (*Running, error) {
	running, err := s.running.get(ctx)
	return running[site][placement], err
}

// RunningExperiments are the experiments that run on placements of a site, by placement. The answer is at most CacheAge old; callers only
// read it.
func (s *Store) RunningExperiments(ctx context.Context, site string) (map[string]*Running, error) {
	running, err := s.running.get(ctx)
	return running[site], err
}

// loadRunning reads the experiments that run, with their placements as they are now, by site and placement.
func (s *Store) loadRunning(ctx context.Context) (map[string]map[string]*Running, error) {
	all, err := experimentTable.read(ctx, s.db, `WHERE running <> ''`)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	stored, err := s.loadPlacements(ctx)
	if err != nil {
		return nil, err
	}
	running := make(map[string]map[string]*Running, len(all))
	for site, list := range all {
		running[site] = make(map[string]*Running, len(list))
		placements := withStandard(site, stored[site])
		for i := range list {
			p, ok := placements[list[i].Placement]
			if !ok {
				continue // nobody can delete it while this runs
			}
			if running[site][p.Name], err = list[i].run(p); err != nil {
				return nil, err
			}
		}
	}
	return running, nil
}
