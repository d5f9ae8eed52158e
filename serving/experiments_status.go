package serving

import (
	"context"
	"maps"
	"slices"
	"time"
)

// runningExperiment is what the status says of an experiment that runs.
type runningExperiment struct {
	ID        string     `json:"experiment_id" doc:"Its name in paths and variants." example:"diverse-home"`
	Name      string     `json:"name" doc:"What people call it." example:"A more diverse home page"`
	Placement string     `json:"placement" doc:"Where it runs." example:"home"`
	Since     time.Time  `json:"started_at" doc:"When it was started."`
	Arms      []armShare `json:"arms" doc:"Its arms."`
}

// armShare is an arm, and how many of the visitors are in it.
type armShare struct {
	Arm   string  `json:"arm" doc:"Its name." example:"diverse"`
	Share float64 `json:"share" doc:"Which part of the visitors is in it, 0 to 1." example:"0.5"`
}

// status says which experiments run on placements of a site, as this node has read last; none where it never could.
func (e *experiments) status(ctx context.Context, site string) []runningExperiment {
	running, err := e.store.RunningExperiments(ctx, site)
	if err != nil {
		e.lost.warn(ctx, e.log, "experiments cannot be read; placements are as they are outside of them", err)
	}
	list := make([]runningExperiment, 0, len(running))
	for _, placement := range slices.Sorted(maps.Keys(running)) {
		r := running[placement]
		x := runningExperiment{ID: r.ID, Name: r.Name, Placement: placement, Since: r.StartedAt, Arms: make([]armShare, len(r.Arms))}
		for i := range r.Arms {
			x.Arms[i] = armShare{r.Arms[i].Name, float64(r.Variants[i].Weight) / float64(r.Weight)}
		}
		list = append(list, x)
	}
	return list
}
