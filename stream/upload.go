package stream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

const (
	// DefaultUploadInterval is how often a changed state goes to the bucket. A new owner that has no state of its own
	// reads at most this much of the log again.
	DefaultUploadInterval = time.Minute
	// cleanInterval is how often the checkpoints of a partition are tidied: each round lists all of them.
	cleanInterval = 10 * time.Minute
	// frozenPrefix begins the directories of states that are being uploaded.
	frozenPrefix = temporaryPrefix + "frozen-"
)

// upload keeps a checkpoint of a partition in the bucket, beside its loop. A bucket that is away costs nothing but a longer
// replay, so it is reported and tried again an interval later. Without a bucket it does nothing.
type upload struct {
	p       *partition
	points  *state.Checkpoints // nil without a bucket
	last    state.Manifest     // of the newest one, without its files
	at      time.Time          // when the newest one was begun, or put by an earlier owner
	cleaned time.Time
	running chan error // yields how the running one ended; nil when none runs
	cancel  context.CancelFunc
}

// newUpload goes on with the interval where the owner before left it: a partition that changes hands more often than that
// would never be uploaded otherwise.
func newUpload(ctx context.Context, p *partition) (u upload, err error) {
	u = upload{p: p, cleaned: time.Now()}
	if b := p.s.deps.Bucket; b != nil {
		u.points = state.NewCheckpoints(b, p.basis.Epoch, p.number)
		u.last, u.at, err = u.points.Newest(ctx)
	}
	return u, err
}

// ifDue begins an upload when the last one is long enough ago and something has changed. The owner calls it between two
// batches.
func (u *upload) ifDue(ctx context.Context) {
	if u.points == nil || time.Since(u.at) < u.p.s.cfg.UploadInterval {
		return
	}
	if u.running != nil {
		select {
		case err := <-u.running:
			u.cancel()
			u.ended(ctx, err)
		default:
			return
		}
	}
	u.begin(ctx)
}

// begin freezes the state and uploads it in a goroutine of its own.
func (u *upload) begin(ctx context.Context) {
	at, known, err := u.p.db.Position()
	m := state.Manifest{Position: at, Version: u.p.basis.Version, Epoch: u.p.basis.Epoch, Generation: u.p.basis.Generation}
	there := at.Epoch == u.last.Position.Epoch && at.Offset == u.last.Position.Offset && m.Generation == u.last.Generation && m.Version == u.last.Version
	if err == nil && (there || !known) {
		return
	}
	u.at = time.Now()
	dir := u.p.s.besideDir(frozenPrefix, u.p.number)
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err == nil {
		m.Position, err = u.p.db.Freeze(dir)
	}
	if err != nil {
		u.ended(ctx, err)
		return
	}
	u.last = m
	clean := time.Since(u.cleaned) > cleanInterval
	if clean {
		u.cleaned = time.Now()
	}
	running := make(chan error, 1)
	u.running = running
	ctx, u.cancel = context.WithCancel(ctx)
	go func() { running <- u.run(ctx, dir, m, clean) }() // stop waits for it
}

func (u *upload) run(ctx context.Context, dir string, m state.Manifest, clean bool) (err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	began := time.Now()
	n, err := u.points.Put(ctx, dir, m)
	if err != nil {
		return err
	}
	u.p.s.log.Debug("checkpoint is in the bucket", "partition", u.p.number, "offset", m.Position.Offset, "bytes", n, "took", time.Since(began))
	if !clean {
		return nil
	}
	err = u.points.Clean(ctx, time.Now())
	if u.p.number == 0 { // one of all partitions does it
		err = errors.Join(err, state.CleanEpochs(ctx, u.p.s.deps.Bucket, m.Epoch, time.Now()))
	}
	return err
}

func (u *upload) ended(ctx context.Context, err error) {
	u.running = nil
	if err == nil || ctx.Err() != nil {
		return
	}
	u.last = state.Manifest{} // try again even if nothing changes any more
	u.p.s.log.Warn("no checkpoint was put into the bucket; trying again later", "partition", u.p.number, "error", err)
}

// stop ends the running upload. What it has put stays and counts for the next one.
func (u *upload) stop() {
	if u.running != nil {
		u.cancel()
		if err := <-u.running; err != nil {
			u.p.s.log.Debug("upload of a checkpoint was stopped", "partition", u.p.number, "error", err)
		}
		u.running = nil
		u.last = state.Manifest{}
	}
}

// beginLast uploads what has changed, so that the next owner has little to read again; finish waits for it.
func (u *upload) beginLast(ctx context.Context) {
	if u.points != nil {
		u.stop()
		u.begin(ctx)
	}
}

func (u *upload) finish(ctx context.Context) {
	if u.running != nil {
		u.ended(ctx, <-u.running)
		u.cancel()
	}
}

// candidate is a local state that may be used.
type candidate struct {
	usable     bool
	position   state.Position
	generation int64
}

// fetchState makes the newest checkpoint of a partition in the bucket its next state, where there is one that is wanted and
// stands further than the local state. It reports whether there is a next state now.
//
// A restored state is exact: it is what the log up to its position makes of any state, whoever applied it. What its last
// owner applied after the checkpoint is replayed and published again; rows of the same position are the same, and where
// the online store has newer ones they stay.
func (s *Stream) fetchState(ctx context.Context, number int32, want basis, local candidate) (bool, error) {
	if s.deps.Bucket == nil {
		return false, nil
	}
	ranges, err := s.deps.Log.Offsets(ctx, event.TopicEvents)
	if err != nil {
		return false, err
	}
	dir := s.besideDir(buildPrefix, number)
	if err := os.RemoveAll(dir); err != nil {
		return false, fmt.Errorf("remove leftovers: %w", err)
	}
	restored, err := s.restoreNewest(ctx, number, dir, want, func(m state.Manifest) bool {
		return m.Position.Offset >= ranges[number].Start && // the log still has what follows
			(!local.usable || local.generation <= m.Generation && local.position.Before(m.Position))
	})
	if err != nil || !restored.Found {
		return false, err
	}
	s.log.Info("state restored from the bucket", "partition", number, "offset", restored.Manifest.Position.Offset,
		"had_offset", local.position.Offset, "log_end", ranges[number].End)
	return true, rename(dir, s.besideDir(nextPrefix, number))
}

// restoreNewest makes dir the newest sound checkpoint of a partition that has the features and the layout of a basis and is
// wanted for the rest.
func (s *Stream) restoreNewest(ctx context.Context, number int32, dir string, of basis, wanted func(state.Manifest) bool) (state.Restored, error) {
	restored, err := state.NewCheckpoints(s.deps.Bucket, of.Epoch, number).Restore(ctx, dir, func(m state.Manifest) bool {
		return m.Version == of.Version && m.Epoch == of.Epoch && m.Position.Epoch == of.Epoch && wanted(m)
	})
	if err == nil && restored.Skipped != nil {
		s.log.Warn("checkpoints in the bucket are damaged and were passed over", "partition", number, "error", restored.Skipped)
	}
	return restored, err
}

// outlived reports whether the log no longer reaches back to a state, while the lake has what is missing between them: the
// state is made again then, because a replay would leave a hole in the features.
func (s *Stream) outlived(ctx context.Context, number int32, want basis, at state.Position) (bool, error) {
	ranges, err := s.deps.Log.Offsets(ctx, event.TopicEvents)
	if err != nil || at.Epoch != want.Epoch || at.Offset >= ranges[number].Start {
		return false, err
	}
	fences, err := s.deps.Lake.Next(ctx, lake.TableEvents)
	if err != nil {
		return false, err
	}
	fence, landed := fences[lake.FenceKey{Topic: event.TopicEvents, Epoch: want.Epoch, Partition: number}]
	return landed && fence.Next > at.Offset, nil
}
