package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// retryFirst is the first pause after a transient failure; it doubles up to retryLast, a quarter of it random so that
	// partitions do not come back in step.
	retryFirst = 20 * time.Millisecond
	retryLast  = time.Second
	// retryFor is how long one call rides out transient failures: a leader election, a rolling restart. Longer trouble
	// is the operator's, and the error says what it was.
	retryFor = 60 * time.Second
)

// errForgotten says that the broker does not know the producer's sequence; the lane takes a new identity and goes on.
var errForgotten = errors.New("broker lost the producer's state")

// Transient reports whether an error is worth trying again, with the reason in the case. It is the only retry policy.
func Transient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if errors.Is(err, errForgotten) {
		return true
	}
	var code kafkago.Error
	if errors.As(err, &code) {
		switch code {
		case kafkago.LeaderNotAvailable, kafkago.NotLeaderForPartition, kafkago.ReplicaNotAvailable,
			kafkago.FencedLeaderEpoch, kafkago.UnknownLeaderEpoch, kafkago.BrokerNotAvailable,
			kafkago.PreferredLeaderNotAvailable, kafkago.EligibleLeadersNotAvailable:
			return true // the partition is moving; the next metadata says where
		case kafkago.UnknownTopicOrPartition:
			return true // just created, and this broker has not heard of it yet; ends with the retry budget
		case kafkago.NotEnoughReplicas, kafkago.NotEnoughReplicasAfterAppend:
			return true // a replica is restarting; after-append may duplicate, which readers remove
		case kafkago.RequestTimedOut, kafkago.NetworkException:
			return true // nobody knows whether it was written; a duplicate is harmless, a loss is not
		case kafkago.GroupLoadInProgress, kafkago.GroupCoordinatorNotAvailable, kafkago.NotCoordinatorForGroup,
			kafkago.RebalanceInProgress, kafkago.UnknownMemberId, kafkago.IllegalGeneration, kafkago.NotController:
			return true // the coordinator or controller moved, or the group moved on without us: join again
		case kafkago.KafkaStorageError, kafkago.OffsetNotAvailable, kafkago.ThrottlingQuotaExceeded:
			return true // the broker asks for patience or is failing over to another log directory
		case kafkago.InvalidMessage:
			return true // a checksum broke on the way; the sender still holds the bytes
		default:
			return false // authorisation, sizes, unknown versions: the same answer next time
		}
	}
	var netErr net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return true // a broker is restarting
	case errors.Is(err, protocol.ErrNoTopic), errors.Is(err, protocol.ErrNoPartition), errors.Is(err, protocol.ErrNoLeader):
		return true // the cached layout is older than the topic
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr):
		return true // no answer in time; the caller's own deadline is checked by retry
	}
	return false
}

// retry calls f until it succeeds, fails for good, ctx ends or the budget is spent. f gets ctx unchanged.
func retry(ctx context.Context, budget time.Duration, f func(context.Context) error) error {
	deadline := time.Now().Add(budget)
	for pause := retryFirst; ; pause = min(2*pause, retryLast) {
		err := f(ctx)
		if err == nil || ctx.Err() != nil || !Transient(err) {
			return err
		}
		if time.Now().Add(pause).After(deadline) {
			return fmt.Errorf("gave up after %v: %w", budget, err)
		}
		timer := time.NewTimer(pause - rand.N(pause/4))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
