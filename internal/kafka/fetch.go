package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	// DefaultMaxWait is how long a broker holds a fetch that has nothing to answer. It answers as soon as there is one
	// byte, so a longer wait costs no latency and saves empty rounds.
	DefaultMaxWait = 500 * time.Millisecond
	// DefaultMaxBytes bounds the records of one answer. Large enough that a replay runs at millions of records a second,
	// small enough that 48 partitions together stay under 50 MB.
	DefaultMaxBytes = 1 << 20
)

// FetchRequest asks for the records of one partition from Offset on.
type FetchRequest struct {
	Topic     string
	Partition int32
	Offset    int64
	MaxWait   time.Duration // 0 = DefaultMaxWait
	MaxBytes  int           // 0 = DefaultMaxBytes; a first batch larger than this still comes whole
	Budget    *Budget       // nil = no bound on what fetches hold together; else Release must follow
}

// FetchResult is a run of committed records. Next is where to continue; it may advance although Records is empty, when
// the log holds only control, aborted or compacted-away records there. Start is the first offset of the log, End its last
// stable offset: records above it belong to transactions that are still open, and nobody reads them yet.
//
// Keys, values and headers share the buffer of the response. They are the caller's until Release, for ever without it,
// but one small value kept alive keeps up to MaxBytes alive. Copy what outlives the batch.
type FetchResult struct {
	Records    []Record
	Next       int64
	Start, End int64

	buffers *buffers
	grant   grant
}

// Release gives the memory of the records to later fetches, so that reading on makes no garbage. Afterwards neither the
// records nor anything in them may be used. It is called once for a result, copies included, or not at all.
func (r *FetchResult) Release() {
	if r.buffers == nil {
		return
	}
	b := r.buffers
	r.Records, r.buffers = nil, nil
	b.release()
	r.grant.giveBack()
}

// ErrBelowStart says that the records asked for are gone: retention removed everything before Start. The caller decides
// whether that is a loss; Fetch never jumps over it.
type ErrBelowStart struct {
	Topic              string
	Partition          int32
	Offset, Start, End int64
}

func (e *ErrBelowStart) Error() string {
	return fmt.Sprintf("offset %d of %s/%d is below the log's start %d: %d records were removed by retention before they were read",
		e.Offset, e.Topic, e.Partition, e.Start, e.Start-e.Offset)
}

// ErrAboveEnd says that the log ends before the offset asked for: it was recreated, or lost its tail.
type ErrAboveEnd struct {
	Topic              string
	Partition          int32
	Offset, Start, End int64
}

func (e *ErrAboveEnd) Error() string {
	return fmt.Sprintf("offset %d of %s/%d is above the log's end %d: the topic was recreated or lost its end; restore the log, or run `millrace topics adopt`",
		e.Offset, e.Topic, e.Partition, e.End)
}

// Fetch reads from one partition. It waits up to MaxWait for the first byte and returns early when ctx ends; an answer
// without records and without an error is normal. Transient failures are retried for a minute. The other errors are
// *ErrBelowStart, *ErrAboveEnd, *CorruptError and those of the broker.
func (c *Client) Fetch(ctx context.Context, req FetchRequest) (res FetchResult, err error) {
	if req.MaxWait <= 0 {
		req.MaxWait = DefaultMaxWait
	}
	if req.MaxBytes <= 0 {
		req.MaxBytes = DefaultMaxBytes
	}
	var answer *fetchResponsePartition
	err = c.retry(ctx, func(ctx context.Context) error {
		answer, err = c.fetch(ctx, req)
		if errors.Is(err, kafkago.OffsetOutOfRange) {
			err = c.outOfRange(ctx, req)
		}
		return err
	})
	if err == nil {
		res, err = c.parse(ctx, req, answer)
	}
	if err != nil {
		return FetchResult{Next: req.Offset}, fmt.Errorf("fetch %s/%d at %d: %w", req.Topic, req.Partition, req.Offset, err)
	}
	return res, nil
}

// fetch sends the request once and answers what the partition's leader says.
func (c *Client) fetch(ctx context.Context, req FetchRequest) (*fetchResponsePartition, error) {
	ctx, cancel := context.WithTimeout(ctx, req.MaxWait+requestTimeout)
	defer cancel()
	res, err := roundTrip[*fetchResponse](ctx, c, &fetchRequest{
		ReplicaID:   -1, // a consumer
		MaxWaitTime: int32(req.MaxWait.Milliseconds()),
		MinBytes:    1,
		// The bound below holds for the one partition. The embedded broker forgets to say what was aborted when it meets
		// this one first.
		MaxBytes:       math.MaxInt32,
		IsolationLevel: int8(kafkago.ReadCommitted),
		SessionEpoch:   -1, // no fetch session
		Topics: []fetchRequestTopic{{Topic: req.Topic, Partitions: []fetchRequestPartition{{
			Partition:          req.Partition,
			CurrentLeaderEpoch: -1,
			FetchOffset:        req.Offset,
			LogStartOffset:     -1,
			PartitionMaxBytes:  int32(req.MaxBytes),
		}}}},
	})
	if err != nil {
		return nil, err
	}
	if res.ErrorCode != 0 {
		return nil, kafkago.Error(res.ErrorCode)
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("broker answered %d topics for one partition", len(res.Topics))
	}
	p := &res.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return nil, kafkago.Error(p.ErrorCode)
	}
	return p, nil
}

// parse reads the records of an answer, when the budget has room for them.
func (c *Client) parse(ctx context.Context, req FetchRequest, p *fetchResponsePartition) (FetchResult, error) {
	var held grant
	if req.Budget != nil && len(p.RecordSet) > 0 {
		var err error
		if held, err = req.Budget.take(ctx, demand(p.RecordSet)); err != nil {
			return FetchResult{}, err
		}
	}
	parser := batchParser{
		buffers: newBuffers(), topic: req.Topic, partition: req.Partition, zstd: c.decoder,
		from: req.Offset, stable: p.LastStableOffset, aborts: newAborts(p.AbortedTransactions),
	}
	parser.raw = p.RecordSet
	if err := parser.parse(parser.raw); err != nil {
		parser.release()
		held.giveBack()
		return FetchResult{}, err
	}
	return FetchResult{Records: parser.records, Next: parser.next, Start: p.LogStartOffset, End: p.LastStableOffset, buffers: parser.buffers, grant: held}, nil
}

// outOfRange says on which side of the log an offset lies. A log that moved meanwhile and now holds the offset is a
// transient failure: the fetch is repeated.
func (c *Client) outOfRange(ctx context.Context, req FetchRequest) error {
	r, err := c.offsetRange(ctx, req.Topic, req.Partition)
	switch {
	case err != nil:
		return err
	case req.Offset < r.Start:
		return &ErrBelowStart{Topic: req.Topic, Partition: req.Partition, Offset: req.Offset, Start: r.Start, End: r.End}
	case req.Offset > r.End:
		return &ErrAboveEnd{Topic: req.Topic, Partition: req.Partition, Offset: req.Offset, Start: r.Start, End: r.End}
	}
	return kafkago.OffsetNotAvailable
}
