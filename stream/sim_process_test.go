package stream

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/control"
)

// simProcess is one machine with a `millrace stream` on it that is started again whenever it ends.
type simProcess struct {
	world *simWorld
	id    int
	lake  simLake

	mu    sync.Mutex
	dir   string        // of its state
	dirs  int           // made so far
	down  time.Duration // how long the next life waits
	life  *simLife      // the one that runs; nil while none does
	lives int
	armed []action // for the next life, because none runs
}

// simLife is one run of the program.
type simLife struct {
	link   *simLink
	member *simMember
	disk   *simDisk
	stop   context.CancelFunc
	done   chan struct{}
}

// restartDelay is how long a supervisor waits after a program has failed.
const restartDelay = time.Second

// run starts the program again and again until ctx ends, and then ends it orderly.
func (p *simProcess) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.live(ctx); err != nil {
			return fmt.Errorf("process %d: %w", p.id, err)
		}
		p.mu.Lock()
		down := max(p.down, restartDelay)
		p.down = 0
		p.mu.Unlock()
		select {
		case <-time.After(down):
		case <-ctx.Done():
		}
	}
	return nil
}

// live is one life. An error is one that no fault explains.
func (p *simProcess) live(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	life, s, err := p.begin(cancel)
	if err != nil {
		return err
	}
	defer func() {
		p.mu.Lock()
		p.life, p.armed = nil, append(p.armed, life.link.disarm()...) // what has not happened is for a later life
		p.mu.Unlock()
		close(life.done)
	}()
	defer s.Close()
	if err := s.Run(ctx); err != nil && !life.link.hasFailed() {
		return err
	}
	return nil
}

func (p *simProcess) begin(cancel context.CancelFunc) (*simLife, *Stream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lives++
	link := &simLink{world: p.world, process: p, life: p.lives, kill: cancel, faults: p.armed,
		fetched: make(map[partitionID]int64), applied: make(map[int64]int64)}
	p.armed = nil
	life := &simLife{link: link, member: p.world.group.member(link), stop: cancel, done: make(chan struct{})}
	life.disk = newSimDisk(link.syncing)
	s, err := New(Config{StateDir: p.dir, CommitInterval: p.world.plan.commit, CheckpointInterval: p.world.plan.checkpoint,
		UploadInterval: p.world.plan.upload, CacheBytes: 1 << 20},
		Deps{Log: link, Assigner: life.member, Producer: link, Lake: link, Epochs: simEpochs{}, Rebuilds: p.world.rebuilds, Online: linkedOnline{p.world.online, link},
			Bucket: linkedBucket{p.world.bucket, link}, Logger: p.world.logger(p.id, p.lives)})
	if err != nil {
		return nil, nil, err
	}
	s.disk = life.disk
	s.hook = func(at string) error { return link.pass(step(at)) }
	p.life = life
	return life, s, nil
}

// simEpochs knows every topic.
type simEpochs struct{}

func (simEpochs) TopicEpoch(_ context.Context, topic string) (control.TopicEpoch, bool, error) {
	return control.TopicEpoch{Topic: topic, Epoch: simEpoch, Partitions: simEventPartitions}, true, nil
}

// arm lets an action happen when the process comes to its step.
func (p *simProcess) arm(a action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == nil {
		p.armed = append(p.armed, a)
		return
	}
	p.life.link.arm(a)
}

// happen lets an action happen to the life that the process has now, if any.
func (p *simProcess) happen(a action) {
	p.mu.Lock()
	life := p.life
	p.mu.Unlock()
	if life != nil {
		p.suffer(life.link, a)
	}
}

// suffer makes an action true at once, at whatever step the process is.
func (p *simProcess) suffer(link *simLink, a action) {
	p.world.note("process %d: %s", p.id, a)
	p.mu.Lock()
	life := p.life
	p.mu.Unlock()
	if life == nil || life.link != link || link.isDead() {
		return
	}
	switch a.what {
	case actPause:
		link.pause(a.hold)
		return
	case actEvict:
		p.world.group.evict(life.member)
		return
	case actRebalance, actBroker:
		p.world.happen(a)
		return
	}
	p.mu.Lock()
	p.down = a.hold
	from, to := p.dir, p.dir
	if a.what == actCut || a.what == actBlackout || a.what == actLoseDisk {
		p.dirs++
		to = filepath.Join(p.world.dir, fmt.Sprintf("state-%d-%d", p.id, p.dirs))
	}
	p.mu.Unlock()
	if a.what == actCut || a.what == actBlackout {
		p.world.check(life.disk.cut(from, to, p.world.plan.draw(101, "kept", p.id, link.life)))
	}
	p.mu.Lock()
	p.dir = to
	p.mu.Unlock()
	if a.what == actStop {
		life.stop()
		return
	}
	link.die()
}

// paused lets the group notice a process that stands still for too long.
func (p *simProcess) paused(link *simLink, still <-chan struct{}) {
	p.mu.Lock()
	life := p.life
	p.mu.Unlock()
	if life == nil || life.link != link {
		return
	}
	time.AfterFunc(simSession, func() {
		select {
		case <-still:
		default:
			p.world.group.evict(life.member)
		}
	})
}

// heal takes back what the plan still has for the process.
func (p *simProcess) heal() {
	p.mu.Lock()
	life := p.life
	p.armed = nil
	p.mu.Unlock()
	if life != nil {
		life.link.heal()
	}
}

// simRebuilds is the model of what the control store knows of rebuilds.
type simRebuilds struct {
	mu     sync.Mutex
	wanted int64
	states map[int32]control.PartitionState
}

func (r *simRebuilds) request() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted++
}

func (r *simRebuilds) WantedRebuild(context.Context, string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted, nil
}

func (r *simRebuilds) ClaimState(_ context.Context, _ string, partition int32, b basis) (control.PartitionState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.states[partition]
	r.states[partition] = control.PartitionState{StateBasis: b, Claim: last.Claim + 1, Shown: last.Shown && last.StateBasis == b}
	return r.states[partition], nil
}

func (r *simRebuilds) ReportState(_ context.Context, _ string, partition int32, claim int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.states[partition]
	if last.Claim != claim {
		return control.ErrClaimEnded
	}
	last.Shown = true
	r.states[partition] = last
	return nil
}

func (r *simRebuilds) ReportedStates(context.Context, string) (map[int32]control.PartitionState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.states), nil
}

func newSimProcess(w *simWorld, id int, l simLake) (*simProcess, error) {
	p := &simProcess{world: w, id: id, lake: l, dir: filepath.Join(w.dir, fmt.Sprintf("state-%d-0", id))}
	return p, os.MkdirAll(p.dir, 0o700)
}
