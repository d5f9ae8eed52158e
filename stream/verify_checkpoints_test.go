package stream

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state/statetest"
)

// TestVerifyCheckpoints asks a process that owns nothing about the states in the bucket: sound ones equal their rebuild at
// exactly their positions, and a changed value is told by profile and feature.
func TestVerifyCheckpoints(t *testing.T) {
	h, _, _ := withBucket(t)
	tr := newTraffic(12)
	var ends [2]map[int32]int64 // of the log, when a process had given its states to the bucket
	for round := range ends {
		s := h.startIn("a")
		h.produce(tr.next(150)...)
		s.drain()
		s.halt()
		ends[round] = h.ends()
	}
	asked := h.streamIn(t.TempDir())
	defer asked.Close()
	verified := func(differences int64, positions map[int32]int64) Report {
		t.Helper()
		report, err := asked.VerifyPublished(t.Context())
		if err != nil || report.Differences != differences || len(report.States) != testPartitions {
			t.Fatalf("%+v, %v, want %d differences", report, err, differences)
		}
		for _, s := range report.States {
			if s.Found != (positions != nil) || s.Found && (s.Epoch != 1 || s.Offset != positions[s.Partition] || s.Profiles == 0 || s.Items == 0) {
				t.Fatalf("%+v, want one at %v", s, positions)
			}
		}
		return report
	}
	exact := verified(0, ends[1])
	var states Compared
	for _, s := range exact.States {
		states.Add(s.Compared)
	}
	if states != exact.Compared {
		t.Errorf("in the states %+v, published %+v: they stand at the same positions", states, exact.Compared)
	}

	var tampered string
	found := statetest.Tamper(t, h.bucket, 1, 1, func(key string, value []byte) []byte {
		if !strings.HasPrefix(key, "p/") {
			return nil
		}
		row, err := onlinestore.DecodeRow(value)
		if err != nil {
			t.Fatal(err)
		}
		p, err := feature.DecodeProfile(row.Value)
		if err != nil {
			t.Fatal(err)
		}
		p.Events += 1000
		tampered, row.Value = key, p.Encode(nil)
		return onlinestore.AppendRow(nil, row)
	})
	if !found {
		t.Fatal("no profile in partition 1")
	}
	told := verified(1, ends[1]).Described[0]
	if !strings.HasPrefix(told, tampered+":") || !strings.Contains(told, ": events 10") || strings.Contains(told, ",") {
		t.Errorf("a changed count of events of %s is told as %q", tampered, told)
	}

	// Where the newest checkpoints are damaged, the ones before are compared, at their positions.
	h.damageCheckpoints(ends[0])
	verified(0, ends[0])

	if _, err := h.control.RequestRebuild(t.Context(), event.TopicEvents); err != nil {
		t.Fatal(err)
	}
	verified(0, nil) // what an operator wants replaced proves nothing
}

// ends are the ends of the partitions of the events topic.
func (h *house) ends() map[int32]int64 {
	h.t.Helper()
	ranges, err := h.client.Offsets(h.t.Context(), event.TopicEvents)
	if err != nil {
		h.t.Fatal(err)
	}
	ends := make(map[int32]int64)
	for number, r := range ranges {
		ends[number] = r.End
	}
	return ends
}

// damageCheckpoints tears the manifests of all checkpoints in the bucket that stand behind positions.
func (h *house) damageCheckpoints(positions map[int32]int64) {
	h.t.Helper()
	for info, err := range h.bucket.List(h.t.Context(), "state/1/") {
		if err != nil {
			h.t.Fatal(err)
		}
		var number int32
		var epoch, offset int64
		if n, _ := fmt.Sscanf(info.Key, "state/1/%d/%d-%d.json", &number, &epoch, &offset); n == 3 && offset > positions[number] {
			if err := os.Truncate(filepath.Join(h.dir, "bucket", info.Key), info.Size/2); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}
