package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Where logs start. kfake writes that down when it is closed in order, and after a kill it begins at the first segment that is
// left: records that somebody had deleted would be there again. So every request that deletes is noted in a file before it is
// worked on, and the file is applied at each start.

// startsName is the file in the data directory.
const startsName = "starts.json"

// starts are the offsets before which records were deleted.
type starts struct {
	path string
	fail func(error)

	mu sync.Mutex
	// at holds them by topic and partition. A topic that was made anew has other records: it is told by its id.
	at map[string]*topicStarts
}

type topicStarts struct {
	ID         [16]byte        `json:"id"`
	Partitions map[int32]int64 `json:"partitions"`
}

// openStarts reads the file of a data directory; none is no deletion yet.
func openStarts(dir string, fail func(error)) (*starts, error) {
	s := &starts{path: filepath.Join(dir, startsName), fail: fail, at: make(map[string]*topicStarts)}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s.at)
	}
	if err != nil {
		return nil, fmt.Errorf("read where logs start: %w", err)
	}
	return s, nil
}

// apply deletes again what a kill has brought back.
func (s *starts) apply(c *kfake.Cluster) error {
	for topic, t := range s.at {
		info := c.TopicInfo(topic)
		if info == nil || info.TopicID != t.ID {
			delete(s.at, topic)
			continue
		}
		for partition, start := range t.Partitions {
			p := c.PartitionInfo(topic, partition)
			if p == nil || p.LogStartOffset >= start {
				continue
			}
			if err := c.DeleteRecords(topic, partition, min(start, p.HighWatermark)); err != nil {
				return fmt.Errorf("delete records of %s/%d before %d: %w", topic, partition, start, err)
			}
		}
	}
	return nil
}

// watch notes what clients delete. The goroutine that serves everything goes on meanwhile: noting asks it, and waits for the
// disk.
func (s *starts) watch(c *kfake.Cluster) {
	c.ControlKey(int16(kmsg.DeleteRecords), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if req, ok := req.(*kmsg.DeleteRecordsRequest); ok {
			c.SleepControl(func() {
				if err := s.note(c, req); err != nil {
					s.fail(err)
				}
			})
		}
		return nil, nil, false
	})
}

// note keeps what a request is about to delete, on disk. What the broker will refuse is left out.
func (s *starts) note(c *kfake.Cluster, req *kmsg.DeleteRecordsRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			info := c.PartitionInfo(t.Topic, p.Partition)
			if info == nil || p.Offset <= info.LogStartOffset || p.Offset > info.HighWatermark {
				continue
			}
			known := c.TopicInfo(t.Topic)
			if known == nil {
				continue
			}
			topic := s.at[t.Topic]
			if topic == nil || topic.ID != known.TopicID {
				topic = &topicStarts{ID: known.TopicID, Partitions: make(map[int32]int64)}
				s.at[t.Topic] = topic
			}
			topic.Partitions[p.Partition] = max(topic.Partitions[p.Partition], p.Offset)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	text, err := json.Marshal(s.at)
	if err == nil {
		err = writeDurably(s.path, text)
	}
	if err != nil {
		return fmt.Errorf("note where logs start: %w", err)
	}
	return nil
}

// writeDurably replaces a file, which is whole after a power cut: the old one or the new one.
func writeDurably(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
