package vmisknn

import (
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/model/artifact"
)

// Kind names the codec of this package; both scorings share it.
const Kind = "vmisknn"

// The layouts of the sections, within an artifact of this kind:
//
//	1  config    JSON    the Config
//	   sessions  int32s  one more than there are sessions: session s has the items sessions[s] to sessions[s+1]
//	   items     int32s  the distinct items of each session, in the order of their last occurrence
//	   ends      int64s  the time of the last event of each session in Unix milliseconds, never falling
//	   clicks    int32s  by item: its clicks in all sessions
const version = 1

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact. Postings follow from the sessions and are made again by Decode.
func (m *Model) Encode(w io.Writer) error {
	if m.index.base != nil {
		return fmt.Errorf("encode session kNN model: it lies over another one; only what was fitted as a whole is stored")
	}
	out := artifact.NewWriter(w, Kind, version)
	out.JSON("config", m.cfg)
	out.Int32s("sessions", m.index.offsets)
	out.Int32s("items", m.index.items)
	out.Int64s("ends", m.index.ends)
	out.Int32s("clicks", m.index.clicks)
	return out.Close()
}

// Decode reads what Encode wrote, for a vocabulary of numItems; its errors wrap artifact.ErrCorrupt.
func Decode(f artifact.File, numItems int) (*Model, error) {
	in := artifact.NewReader(f, Kind, version)
	var cfg Config
	in.JSON("config", &cfg)
	x := &Index{offsets: in.Int32s("sessions"), items: in.Int32s("items"), ends: in.Int64s("ends"), clicks: in.Int32s("clicks"), owner: f.Owner}
	x.check(in, numItems)
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode session kNN model: %w", err)
	}
	x.buildPostings()
	m, err := New(cfg, x)
	if err != nil {
		return nil, fmt.Errorf("decode session kNN model: %w: %w", artifact.ErrCorrupt, err)
	}
	return m, nil
}

func (x *Index) check(in *artifact.Reader, numItems int) {
	if len(x.clicks) != numItems || len(x.offsets) != len(x.ends)+1 || x.offsets[0] != 0 ||
		int(x.offsets[len(x.ends)]) != len(x.items) {
		in.Failf("%d offsets of %d sessions and %d items, clicks of %d items for a vocabulary of %d",
			len(x.offsets), len(x.ends), len(x.items), len(x.clicks), numItems)
		return
	}
	for s := range x.ends {
		if x.offsets[s+1] <= x.offsets[s] || s > 0 && x.ends[s] < x.ends[s-1] {
			in.Failf("session %d is empty or out of order", s)
			return
		}
	}
	seen := make([]int32, numItems) // 1 + the last session that holds the item
	for s := range x.ends {
		for _, item := range x.session(s) {
			if item < 0 || int(item) >= numItems || seen[item] == int32(s)+1 || x.clicks[item] <= 0 {
				in.Failf("session %d holds item %d, which is out of range, repeated or without clicks", s, item)
				return
			}
			seen[item] = int32(s) + 1
		}
	}
}
