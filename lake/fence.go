package lake

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"
)

// Position is where a row came from: one record of Kafka. Epoch counts the lives of the topic (1 after the first
// creation), because a recreated topic counts its offsets from 0 again.
type Position struct {
	Topic     string
	Epoch     int64
	Partition int32
	Offset    int64
}

// FenceKey names a partition in one life of its topic.
type FenceKey struct {
	Topic     string
	Epoch     int64
	Partition int32
}

// Fence says how far a partition has landed. In a Landing, From is the offset at which the writer started and Next the
// one it wants to continue from, both as consumed (a landing may hold fewer rows than offsets: duplicates, control
// records). Hash is that of the record just before Next, 0 where there is none; it tells a rewritten log from the one
// that was landed.
type Fence struct {
	Topic      string
	Epoch      int64
	Partition  int32
	From, Next int64
	Hash       uint64
}

// ClosedEpoch is the Next of a fence whose epoch is over: nothing lands in it any more, whoever still tries. It is set in the
// commit that opens the fence of the next epoch where this one ended, so that a record lands in exactly one of the two.
const ClosedEpoch = math.MaxInt64

// Key returns the partition that the fence is about.
func (f Fence) Key() FenceKey { return FenceKey{f.Topic, f.Epoch, f.Partition} }

// fencePrefix begins the table property of every fence: millrace.next.<epoch>.<topic>.<partition> = <offset>:<hash in
// hexadecimal>. fencesSummary is the snapshot summary that repeats all offsets, for readers of an older snapshot.
const (
	fencePrefix   = "millrace.next."
	fencesSummary = "millrace.next"
)

// FenceMovedError means that the table does not stand where the writer started: another writer landed, or the table was
// rolled back. Nothing of the landing was committed to that table. The writer continues from Actual.
type FenceMovedError struct {
	Table  string
	Actual map[FenceKey]Fence // the real position of every fence of the landing; absent when the table has none
}

func (e *FenceMovedError) Error() string {
	var at []string
	for _, key := range slices.SortedFunc(maps.Keys(e.Actual), compareFenceKeys) {
		at = append(at, fmt.Sprintf("%s/%d (epoch %d) at %d", key.Topic, key.Partition, key.Epoch, e.Actual[key].Next))
	}
	if len(at) == 0 {
		at = []string{"no such partition"}
	}
	return fmt.Sprintf("lake table %s has moved: %s", e.Table, strings.Join(at, ", "))
}

func (f Fence) property() (key, value string) {
	return fmt.Sprintf("%s%d.%s.%d", fencePrefix, f.Epoch, f.Topic, f.Partition), fmt.Sprintf("%d:%016x", f.Next, f.Hash)
}

// parseFence reads one table property; ok is false for properties of other kinds.
func parseFence(key, value string) (f Fence, ok bool, err error) {
	rest, ok := strings.CutPrefix(key, fencePrefix)
	if !ok {
		return Fence{}, false, nil
	}
	epoch, rest, ok1 := strings.Cut(rest, ".")
	dot := strings.LastIndexByte(rest, '.') // topics hold dots
	offset, hash, ok2 := strings.Cut(value, ":")
	if !ok1 || !ok2 || dot < 0 {
		return Fence{}, false, fmt.Errorf("table property %s = %s is not a fence", key, value)
	}
	f.Topic = rest[:dot]
	var errs [4]error
	var partition int64
	f.Epoch, errs[0] = strconv.ParseInt(epoch, 10, 64)
	partition, errs[1] = strconv.ParseInt(rest[dot+1:], 10, 32)
	f.Next, errs[2] = strconv.ParseInt(offset, 10, 64)
	f.Hash, errs[3] = strconv.ParseUint(hash, 16, 64)
	f.Partition = int32(partition)
	for _, err := range errs {
		if err != nil {
			return Fence{}, false, fmt.Errorf("table property %s = %s is not a fence: %w", key, value, err)
		}
	}
	return f, true, nil
}

// readFences collects the fences among a table's properties.
func readFences(props iceberg.Properties) (map[FenceKey]Fence, error) {
	out := make(map[FenceKey]Fence)
	for key, value := range props {
		f, ok, err := parseFence(key, value)
		if err != nil {
			return nil, err
		}
		if ok {
			out[f.Key()] = f
		}
	}
	return out, nil
}

// summarizeFences renders the fences of running epochs as compact JSON: {"<epoch>.<topic>": {"<partition>": offset}}.
func summarizeFences(fences map[FenceKey]Fence) (string, error) {
	out := make(map[string]map[string]int64)
	for key, f := range fences {
		if f.Next == ClosedEpoch {
			continue
		}
		log := fmt.Sprintf("%d.%s", key.Epoch, key.Topic)
		if out[log] == nil {
			out[log] = make(map[string]int64)
		}
		out[log][strconv.Itoa(int(key.Partition))] = f.Next
	}
	text, err := json.Marshal(out)
	if err != nil {
		return "", fmt.Errorf("encode fences: %w", err)
	}
	return string(text), nil
}

// fenceState is what the table's fences say about a landing.
type fenceState int

const (
	fencesAtFrom  fenceState = iota // every fence stands where the writer started: commit
	fencesReached                   // every fence stands where the writer wants it: done, by this or an earlier try
	fencesMoved                     // neither
)

// compareFences judges a landing against the table. A partition that the table does not know starts anywhere: its first
// landing begins where the log begins.
func compareFences(table map[FenceKey]Fence, landing []Fence) fenceState {
	from, reached := true, true
	for _, want := range landing {
		have, known := table[want.Key()]
		if known && have.Next != want.From {
			from = false
		}
		if !known || have.Next != want.Next || have.Hash != want.Hash {
			reached = false
		}
	}
	switch {
	case reached: // asked first: a landing that moves nothing is done
		return fencesReached
	case from:
		return fencesAtFrom
	default:
		return fencesMoved
	}
}

func compareFenceKeys(a, b FenceKey) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	if a.Epoch != b.Epoch {
		return int(a.Epoch - b.Epoch)
	}
	return int(a.Partition - b.Partition)
}
