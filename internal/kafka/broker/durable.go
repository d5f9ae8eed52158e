package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// Group commit. kfake can sync each append by itself (SyncWrites), but it does so twice a batch, one batch after the
// other, on the goroutine that serves everything, and it ignores the error: with 16 partitions an acknowledgement waits
// for dozens of syncs in a row. Here appends go to the page cache, and every response to every client waits until all
// appends made before it are on disk. So nothing is acknowledged, and nothing is read, that a power cut could take back;
// and whoever waits shares one round, in which the files of all partitions are synced in parallel.
//
// kfake tells of a request before it works on it (Fault with When), on the goroutine that works. mark counts it there. A
// round that covers mark n first asks that goroutine a question; once it answers, append n is in the page cache.

// syncParallel bounds the syncs in flight. The file system joins concurrent ones into one journal commit, and 32 cover
// the two busy topics.
const syncParallel = 32

// The logs of kfake that are not segments: what must survive is that a producer id is never given out twice.
const (
	pidsLog   = "pids.log"
	groupsLog = "groups.log"
)

// errStopped is what a response gets after the broker has closed.
var errStopped = errors.New("broker is closed")

// durability lets responses pass when what was appended before them is on disk.
type durability struct {
	dir   string
	drain func() // returns when the broker has finished the request it works on
	fail  func(error)
	ready chan struct{} // closed when appends are announced, or never will be
	open  func()        // closes ready, once

	mu      sync.Mutex
	round   *sync.Cond // a round has ended, or err was set
	marked  uint64     // appends announced
	synced  uint64     // appends on disk
	dirty   map[string]struct{}
	running bool
	err     error // why no response may pass any more

	segments sync.Map // partition directory -> *segment; a directory is in one round at a time
}

// segment is the newest segment file of a partition, open for syncing.
type segment struct {
	base int64
	file *os.File
}

func newDurability(dir string, fail func(error)) *durability {
	d := &durability{dir: dir, fail: fail, ready: make(chan struct{}), dirty: make(map[string]struct{})}
	d.open = sync.OnceFunc(func() { close(d.ready) })
	d.round = sync.NewCond(&d.mu)
	return d
}

// watch announces the requests of a cluster that append.
func (d *durability) watch(c *kfake.Cluster) {
	d.drain = func() { c.LeaderFor("", 0) } // any question is answered by the goroutine that appends
	c.Fault(kfake.Fault{
		Keys:     []kmsg.Key{kmsg.Produce, kmsg.InitProducerID, kmsg.OffsetCommit},
		TopLevel: true, // asked once a request, before the work
		Observe:  true,
		Count:    -1,
		When: func(req kmsg.Request) bool {
			d.mark(req)
			return false // only looking
		},
	})
	d.open()
}

func (d *durability) mark(req kmsg.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.marked++
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		for i := range req.Topics {
			t := &req.Topics[i]
			for j := range t.Partitions {
				d.dirty[partitionDir(t.Topic, t.Partitions[j].Partition)] = struct{}{}
			}
		}
	case *kmsg.InitProducerIDRequest:
		d.dirty[pidsLog] = struct{}{}
	case *kmsg.OffsetCommitRequest:
		d.dirty[groupsLog] = struct{}{}
	}
}

// partitionDir is where kfake keeps a partition, below its data directory.
func partitionDir(topic string, partition int32) string {
	return filepath.Join("partitions", url.PathEscape(topic)+"-"+strconv.Itoa(int(partition)))
}

// wait returns when everything announced so far is on disk. The first to wait runs the round for all.
func (d *durability) wait() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for need := d.marked; d.synced < need && d.err == nil; {
		if d.running {
			d.round.Wait()
			continue
		}
		d.running = true
		covers, dirty := d.marked, d.dirty
		d.dirty = make(map[string]struct{}, len(dirty))
		d.mu.Unlock()
		err := d.sync(dirty)
		d.mu.Lock()
		d.running = false
		if err != nil && d.err == nil {
			d.err = fmt.Errorf("sync broker log: %w", err)
			d.fail(d.err)
		} else {
			d.synced = covers
		}
		d.round.Broadcast()
	}
	return d.err
}

// stop lets the running round end and refuses all later responses.
func (d *durability) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = errStopped
	}
	d.open()
	for d.running {
		d.round.Wait()
	}
	d.round.Broadcast()
	d.segments.Range(func(_, s any) bool {
		_ = s.(*segment).file.Close() // opened for syncing only, and synced
		return true
	})
	d.segments.Clear()
}

func (d *durability) sync(dirty map[string]struct{}) error {
	d.drain()
	var g errgroup.Group
	g.SetLimit(syncParallel)
	for name := range dirty {
		path := filepath.Join(d.dir, name)
		if name == pidsLog || name == groupsLog {
			g.Go(func() error { return syncPath(path) })
		} else {
			g.Go(func() error { return d.syncPartition(path) })
		}
	}
	return g.Wait()
}

// syncPartition syncs the segments that may have grown since the last time: the newest one known then, and any begun
// since. The .idx files are left to the page cache, since kfake rebuilds what they say when it loads.
func (d *durability) syncPartition(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the append was refused, so nothing is there
	}
	if err != nil {
		return err
	}
	var known *segment
	if s, ok := d.segments.Load(dir); ok {
		known = s.(*segment)
		if err := known.file.Sync(); err != nil {
			return err
		}
	}
	newest := known
	for _, e := range entries {
		name, isSegment := strings.CutSuffix(e.Name(), ".dat")
		base, err := strconv.ParseInt(name, 10, 64)
		if !isSegment || err != nil || known != nil && base <= known.base {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return errors.Join(err, f.Close())
		}
		if newest == nil || base > newest.base {
			newest, f = &segment{base: base, file: f}, fileOf(newest)
		}
		if f != nil {
			if err := f.Close(); err != nil {
				return err
			}
		}
	}
	if newest == known {
		return nil
	}
	d.segments.Store(dir, newest)
	// A new file is only found again after a power cut when the directories on the way to it are on disk too.
	return errors.Join(syncPath(dir), syncPath(filepath.Dir(dir)))
}

func fileOf(s *segment) *os.File {
	if s == nil {
		return nil
	}
	return s.file
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the request was refused before it wrote
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// durableListener hands out connections whose responses wait.
type durableListener struct {
	net.Listener
	d *durability
}

func (l durableListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	<-l.d.ready // kfake serves before it can be watched
	return durableConn{conn, l.d}, nil
}

type durableConn struct {
	net.Conn
	d *durability
}

// Write sends one response; kfake writes each with one call.
func (c durableConn) Write(b []byte) (int, error) {
	if err := c.d.wait(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
