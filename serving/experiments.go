package serving

import (
	"context"
	"log/slog"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/control"
)

// experiments tell the visitors of a placement apart while an experiment runs there. One that is started or stopped is in force within
// control.CacheAge on every node.
type experiments struct {
	store ExperimentControl
	log   *slog.Logger
	lost  rarely
}

// arm is the arm that a request is in, nil where there is none: no experiment runs on its placement, it names no visitor, or it goes on
// with a list from before the experiment. A list that is continued stays in its arm, whoever the visitor has become meanwhile.
func (e *experiments) arm(ctx context.Context, site string, request *Request, v *visitor) *control.RunningArm {
	running, err := e.store.RunningExperiment(ctx, site, request.Placement)
	if err != nil {
		e.lost.warn(ctx, e.log, "experiments cannot be read; placements are as they are outside of them", err)
	}
	if running == nil {
		return nil
	}
	if request.variant != "" {
		for i := range running.Variants {
			if running.Variants[i].Variant == request.variant {
				return &running.Variants[i]
			}
		}
		return nil
	}
	who := personOf(request, v)
	if who == "" {
		return nil
	}
	return armOf(running, who)
}

// personOf is who is in an arm: the user where the request names one or the browser is linked to one, so that all devices of somebody
// who is logged in have one arm; else the browser. "" is nobody.
func personOf(request *Request, v *visitor) string {
	switch {
	case request.UserID != "":
		return request.UserID
	case v.profile.UserID != "":
		return v.profile.UserID
	}
	return request.AnonymousID
}

// armOf is the arm of a person: XXH64 of SITE/EXPERIMENT/ID, a part of all hashes for each arm by its weight. It hangs on nothing else,
// so it is the same on every node, at any time, and says nothing of the same person's arm of another experiment.
func armOf(running *control.Running, who string) *control.RunningArm {
	var hash xxhash.Digest
	hash.Reset()
	for _, part := range [...]string{running.Site, "/", running.ID, "/", who} {
		_, _ = hash.WriteString(part) // never fails
	}
	place, _ := bits.Mul64(hash.Sum64(), running.Weight)
	last := len(running.Variants) - 1
	for i := range last {
		if place < running.Variants[i].Weight {
			return &running.Variants[i]
		}
		place -= running.Variants[i].Weight
	}
	return &running.Variants[last]
}
