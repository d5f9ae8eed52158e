package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

const (
	// eraseLeaseName is the one lease of all erasures.
	eraseLeaseName = "erasures"
	// eraseLease is how long a process that erases may be silent before another one goes on.
	eraseLease = 15 * time.Second
	// maintenanceTTL is the same for the lease of the lake, which others hold for longer.
	maintenanceTTL = time.Minute
)

// Moments of an erasure at which a test may kill the process.
const (
	stepErasureResolved  = "erasure resolved"  // the ledger has everybody's browsers and sessions
	stepErasureAsked     = "states asked for"  // the generation is wanted, nobody knows for whom
	stepErasureAwaited   = "generation known"  // and now the erasures do
	stepErasureRebuilt   = "states without"    // states and online store know nothing any more
	stepErasureForgotten = "checkpoints gone"  // neither do the checkpoints
	stepErasureRewritten = "lake rewritten"    // neither does the lake
	stepErasureFilled    = "fillers written"   // nothing is deleted from a log yet
	stepErasureCut       = "one log cut"       // some partitions are
	stepErasureTruncated = "logs cut"          // all are
	stepErasureProved    = "everything looked" // nothing was found, nobody knows
)

// ErasureJobs keeps which erasures are to be done and how far they have come; *control.Store does.
type ErasureJobs interface {
	UnfinishedErasures(ctx context.Context) ([]control.Erasure, error)
	Ledger(ctx context.Context) (*erasure.Ledger, error)
	ResolveErasure(ctx context.Context, id string, from control.ErasureStep, until time.Time, entries []erasure.Entry) error
	AwaitErasedStates(ctx context.Context, id string, generation int64) error
	EnterErasureStep(ctx context.Context, id string, from, to control.ErasureStep) error
	TroubleErasure(ctx context.Context, id, trouble string) error
	CertifyErasure(ctx context.Context, id string, certificate any, done bool) error
	RequestRebuild(ctx context.Context, topic string) (int64, error)
	HoldLease(ctx context.Context, name, holder string, ttl time.Duration, work func(context.Context, control.Lease) error) error
}

// Deletable deletes from the front of a log; *kafka.Client does.
type Deletable interface {
	DeleteRecords(ctx context.Context, topic string, partition int32, before int64) (start int64, err error)
}

// ErasableLake is the lake as an erasure needs it; *lake.Lake is one.
type ErasableLake interface {
	Erase(ctx context.Context, ledger *erasure.Ledger) ([]lake.Erasure, error)
	Survey(ctx context.Context, ledger *erasure.Ledger) ([]lake.Survey, error)
	Identities(ctx context.Context, table string, ledger *erasure.Ledger, f func(row erasure.Row, covered bool) error) error
	ScanEvents(ctx context.Context, r lake.ScanRequest, yield func(lake.EventRow) error) error
	ScanExposures(ctx context.Context, r lake.ScanRequest, yield func(lake.ExposureRow) error) error
}

// Erasing is what a stream erases people with. Rejects is the directory of rows that imports on this machine have rejected.
type Erasing struct {
	Jobs    ErasureJobs
	Log     Deletable
	Lake    ErasableLake
	Rejects string
}

// Certificate says what was held of a person by every store that was looked through, before and after. Rows is what was taken
// out of the lake.
type Certificate struct {
	Until  time.Time      `json:"until"`
	Before Holdings       `json:"before"`
	After  Holdings       `json:"after,omitempty"`
	Lake   []lake.Erasure `json:"lake,omitempty"`
}

// watchErasures erases whoever is to be erased until ctx ends, one process at a time. It takes all that wait at once: each step
// costs as much for one as for many.
func (s *Stream) watchErasures(ctx context.Context) error {
	if s.deps.Erasing == nil {
		return nil
	}
	s.watch(ctx, s.eraseWanted, func(err error) time.Duration {
		if errors.Is(err, control.ErrLeaseHeld) || errors.Is(err, control.ErrErasureMoved) {
			return s.rebuildPoll // another process does it, or tends the lake; or it begins again
		}
		if errors.Is(err, errUncompacted) {
			s.log.Info("an erasure waits for Kafka", "why", err, "pause", compactionPoll)
			return compactionPoll
		}
		s.log.Error("people could not be erased yet; trying again", "error", err, "pause", retryMax)
		return retryMax
	})
	return nil
}

func (s *Stream) eraseWanted(ctx context.Context) error {
	jobs := s.deps.Erasing.Jobs
	if wanted, err := jobs.UnfinishedErasures(ctx); err != nil || len(wanted) == 0 {
		return err
	}
	return jobs.HoldLease(ctx, eraseLeaseName, fmt.Sprintf("pid %d", os.Getpid()), eraseLease, func(ctx context.Context, _ control.Lease) error {
		wanted, err := jobs.UnfinishedErasures(ctx) // the holder before may have finished
		if err != nil || len(wanted) == 0 {
			return err
		}
		r := &erasureRound{s: s, jobs: jobs, wanted: wanted}
		err = r.run(ctx)
		if err != nil && !errors.Is(err, control.ErrErasureMoved) {
			r.tell(ctx, err)
		}
		return err
	})
}

// erasureRound takes erasures through their steps together, from the earliest that one of them is in: doing a step again
// changes nothing.
type erasureRound struct {
	s      *Stream
	jobs   ErasureJobs
	wanted []control.Erasure
	ledger *erasure.Ledger // of those people alone
	done   []lake.Erasure
}

func (r *erasureRound) run(ctx context.Context) error {
	at := slices.MinFunc(r.wanted, func(a, b control.Erasure) int {
		switch {
		case a.Step.Before(b.Step):
			return -1
		case b.Step.Before(a.Step):
			return 1
		}
		return 0
	}).Step
	r.s.log.Info("erasing people", "erasures", len(r.wanted), "step", at)
	for _, step := range []struct {
		step control.ErasureStep
		do   func(context.Context) error
	}{
		{control.ErasureResolving, r.resolve},
		{control.ErasureRebuilding, r.rebuild},
		{control.ErasureRewriting, r.rewrite},
		{control.ErasureTruncating, r.truncate},
		{control.ErasureProving, r.prove},
	} {
		if step.step.Before(at) {
			continue
		}
		if err := r.read(ctx); err != nil {
			return err
		}
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.step, err)
		}
	}
	return nil
}

// read reads the ledger of the round's people as it stands now.
func (r *erasureRound) read(ctx context.Context) error {
	all, err := r.jobs.Ledger(ctx)
	if err != nil {
		return err
	}
	if all == nil {
		return errors.New("the ledger of erased people is empty, although some are to be erased: restore the control store")
	}
	r.ledger = all.Of(func(id string) bool {
		return slices.ContainsFunc(r.wanted, func(e control.Erasure) bool { return e.ID == id })
	})
	return nil
}

// enter notes that all erasures of the round have come to a step.
func (r *erasureRound) enter(ctx context.Context, step control.ErasureStep) error {
	for i := range r.wanted {
		e := &r.wanted[i]
		if err := r.jobs.EnterErasureStep(ctx, e.ID, e.Step, step); err != nil {
			return err
		}
		e.Step = step
	}
	return nil
}

// tell notes why erasures do not go on.
func (r *erasureRound) tell(ctx context.Context, why error) {
	for _, e := range r.wanted {
		if err := r.jobs.TroubleErasure(context.WithoutCancel(ctx), e.ID, why.Error()); err != nil {
			r.s.log.Warn("the trouble of an erasure was not noted", "erasure", e.ID, "error", err)
		}
	}
}

// rebuild has every state made again without the people, and waits until the online store shows only those.
func (r *erasureRound) rebuild(ctx context.Context) error {
	generation := int64(0)
	for _, e := range r.wanted {
		generation = max(generation, e.Generation)
	}
	// One that came later is in the ledger for longer than its generation is wanted, but not in that of the others.
	if slices.ContainsFunc(r.wanted, func(e control.Erasure) bool { return e.Generation == 0 }) {
		var err error
		if generation, err = r.jobs.RequestRebuild(ctx, event.TopicEvents); err != nil {
			return err
		}
		if err := r.s.at(stepErasureAsked); err != nil {
			return err
		}
		for _, e := range r.wanted {
			if err := r.jobs.AwaitErasedStates(ctx, e.ID, generation); err != nil {
				return err
			}
		}
	}
	if err := r.s.at(stepErasureAwaited); err != nil {
		return err
	}
	for {
		status, err := r.s.RebuildStatus(ctx, generation)
		if err != nil {
			return err
		}
		if status.Done == status.Partitions {
			break
		}
		if err := pause(ctx, r.s.rebuildPoll); err != nil {
			return err
		}
	}
	if err := r.s.at(stepErasureRebuilt); err != nil {
		return err
	}
	if err := r.forgetCheckpoints(ctx, generation); err != nil {
		return err
	}
	if err := r.s.at(stepErasureForgotten); err != nil {
		return err
	}
	return r.enter(ctx, control.ErasureRewriting)
}

// forgetCheckpoints deletes the checkpoints that were made before a generation.
func (r *erasureRound) forgetCheckpoints(ctx context.Context, generation int64) error {
	if r.s.deps.Bucket == nil {
		return nil
	}
	in, err := r.s.layoutNow(ctx)
	if err != nil {
		return err
	}
	for number := range in.partitions {
		if err := state.NewCheckpoints(r.s.deps.Bucket, in.epoch, number).Forget(ctx, generation); err != nil {
			return err
		}
	}
	return state.ForgetEpochs(ctx, r.s.deps.Bucket, in.epoch)
}

// rewrite takes the people out of the lake. Nobody may tend it meanwhile.
func (r *erasureRound) rewrite(ctx context.Context) error {
	err := r.jobs.HoldLease(ctx, lake.MaintenanceLease, fmt.Sprintf("erasures, pid %d", os.Getpid()), maintenanceTTL, func(ctx context.Context, _ control.Lease) (err error) {
		all, err := r.jobs.Ledger(ctx) // of everybody: what a restored copy has brought back goes, too
		if err != nil {
			return err
		}
		r.done, err = r.s.deps.Erasing.Lake.Erase(ctx, all)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.s.at(stepErasureRewritten); err != nil {
		return err
	}
	return r.enter(ctx, control.ErasureTruncating)
}

// prove looks through everything once more. Whoever is found is erased again from the first step on, but for what has a tombstone
// behind it: that is waited for.
func (r *erasureRound) prove(ctx context.Context) error {
	found, waits := false, false
	for _, e := range r.wanted {
		of := r.ledger.Of(func(id string) bool { return id == e.ID })
		after, err := r.s.survey(ctx, of)
		if err != nil {
			return err
		}
		if after.Total() == 0 {
			if err := r.s.at(stepErasureProved); err != nil {
				return err
			}
		}
		certificate, err := readCertificate(e.Certificate)
		if err != nil {
			return err
		}
		certificate.After = after
		if r.done != nil {
			certificate.Lake = r.done
		}
		if err := r.jobs.CertifyErasure(ctx, e.ID, certificate, after.Total() == 0); err != nil {
			return err
		}
		if after.Total() == 0 {
			r.s.log.Info("a person is erased", "erasure", e.ID, "site", e.Site, "until", certificate.Until)
			continue
		}
		if after.Total() == after[StoreUncompacted] {
			waits = true
			continue
		}
		found = true
		if err := r.jobs.EnterErasureStep(ctx, e.ID, e.Step, control.ErasureResolving); err != nil {
			return err
		}
	}
	if found {
		return errors.New("something of an erased person was found again, it is being erased from the first step on; the certificate says where")
	}
	if waits {
		return errors.Join(errUncompacted, r.stir(ctx))
	}
	return nil
}
