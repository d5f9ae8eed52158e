package kafka

import (
	"fmt"

	"github.com/segmentio/kafka-go/protocol"
)

// The Fetch API, versions 4 to 11 (Kafka 0.11 and later name topics this way; later versions name them by id), without
// fetch sessions. It differs from the library's own messages in one field: the records stay the bytes that they
// are, which batch.go parses. Registering these makes kafkago.Client.Fetch unusable in this process; nothing here calls it.

type fetchRequest struct {
	ReplicaID       int32                 `kafka:"min=v4,max=v11"`
	MaxWaitTime     int32                 `kafka:"min=v4,max=v11"` // milliseconds
	MinBytes        int32                 `kafka:"min=v4,max=v11"`
	MaxBytes        int32                 `kafka:"min=v4,max=v11"`
	IsolationLevel  int8                  `kafka:"min=v4,max=v11"`
	SessionID       int32                 `kafka:"min=v7,max=v11"`
	SessionEpoch    int32                 `kafka:"min=v7,max=v11"`
	Topics          []fetchRequestTopic   `kafka:"min=v4,max=v11"`
	ForgottenTopics []fetchForgottenTopic `kafka:"min=v7,max=v11"`
	RackID          string                `kafka:"min=v11,max=v11"`
}

type fetchRequestTopic struct {
	Topic      string                  `kafka:"min=v4,max=v11"`
	Partitions []fetchRequestPartition `kafka:"min=v4,max=v11"`
}

type fetchRequestPartition struct {
	Partition          int32 `kafka:"min=v4,max=v11"`
	CurrentLeaderEpoch int32 `kafka:"min=v9,max=v11"`
	FetchOffset        int64 `kafka:"min=v4,max=v11"`
	LogStartOffset     int64 `kafka:"min=v5,max=v11"`
	PartitionMaxBytes  int32 `kafka:"min=v4,max=v11"`
}

type fetchForgottenTopic struct {
	Topic      string  `kafka:"min=v7,max=v11"`
	Partitions []int32 `kafka:"min=v7,max=v11"`
}

type fetchResponse struct {
	ThrottleTimeMs int32                `kafka:"min=v4,max=v11"`
	ErrorCode      int16                `kafka:"min=v7,max=v11"`
	SessionID      int32                `kafka:"min=v7,max=v11"`
	Topics         []fetchResponseTopic `kafka:"min=v4,max=v11"`
}

type fetchResponseTopic struct {
	Topic      string                   `kafka:"min=v4,max=v11"`
	Partitions []fetchResponsePartition `kafka:"min=v4,max=v11"`
}

type fetchResponsePartition struct {
	Partition            int32             `kafka:"min=v4,max=v11"`
	ErrorCode            int16             `kafka:"min=v4,max=v11"`
	HighWatermark        int64             `kafka:"min=v4,max=v11"`
	LastStableOffset     int64             `kafka:"min=v4,max=v11"`
	LogStartOffset       int64             `kafka:"min=v5,max=v11"`
	AbortedTransactions  []fetchAbortedTxn `kafka:"min=v4,max=v11"`
	PreferredReadReplica int32             `kafka:"min=v11,max=v11"`
	RecordSet            recordSet         `kafka:"min=v4,max=v11,nullable"`
}

type fetchAbortedTxn struct {
	ProducerID  int64 `kafka:"min=v4,max=v11"`
	FirstOffset int64 `kafka:"min=v4,max=v11"`
}

func (*fetchRequest) ApiKey() protocol.ApiKey  { return protocol.Fetch } //nolint:revive,staticcheck // the library's interface spells it so
func (*fetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch } //nolint:revive,staticcheck // the library's interface spells it so

// Broker routes a request, which holds exactly one partition, to that partition's leader.
func (r *fetchRequest) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	topic, partition := r.Topics[0].Topic, r.Topics[0].Partitions[0].Partition
	return leaderOf(cluster, topic, partition)
}

// leaderOf finds the broker that leads a partition in the library's cached layout of the cluster.
func leaderOf(cluster protocol.Cluster, topic string, partition int32) (protocol.Broker, error) {
	t, ok := cluster.Topics[topic]
	if !ok {
		return protocol.Broker{ID: -1}, protocol.NewErrNoTopic(topic)
	}
	p, ok := t.Partitions[partition]
	if !ok {
		return protocol.Broker{ID: -1}, protocol.NewErrNoPartition(topic, partition)
	}
	b, ok := cluster.Brokers[p.Leader]
	if !ok {
		return protocol.Broker{ID: -1}, fmt.Errorf("leader %d: %w", p.Leader, protocol.NewErrNoLeader(topic, partition))
	}
	return b, nil
}
