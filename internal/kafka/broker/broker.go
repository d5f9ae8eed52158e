// Package broker is the embedded Kafka-protocol broker of `millrace up`: kfake on a data directory, with every append on
// disk before it is acknowledged or read (durable.go). It speaks the protocol on a loopback port, so that one machine runs the same
// path as a cluster. It is a single node for a single host: no TLS, no authentication, no replication.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Partitions is the partition count of the product's topics on the embedded broker. It is the same as the default of a
// cluster, so that keys keep their partitions when data moves; 16 is also more than the cores of a one-machine shop.
const Partitions = 16

// Config says where the broker keeps its data and listens.
type Config struct {
	DataDir string       // created if missing
	Listen  string       // loopback host:port; port 0 picks a free one
	Log     *slog.Logger // nil is silent
}

// Broker is a running embedded broker.
type Broker struct {
	cluster    *kfake.Cluster
	durability *durability
	log        *slog.Logger
	addr       string
	unlock     func() error
	failed     chan error // why the disk no longer takes appends
	close      sync.Once
	err        error
}

// Start locks the data directory, binds the address and serves what the directory holds. Its errors say which flag to
// change: *LockedError when another process owns the directory, *ListenError when the address cannot be had.
func Start(cfg Config) (*Broker, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkLoopback(cfg.Listen); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("create broker directory: %w", err)
	}
	unlock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	b := &Broker{log: cfg.Log, unlock: unlock, failed: make(chan error, 1)}
	logDir := filepath.Join(cfg.DataDir, "log")
	b.durability = newDurability(logDir, b.fail)
	starts, err := openStarts(cfg.DataDir, b.fail)
	if err != nil {
		b.durability.stop()
		return nil, errors.Join(err, unlock())
	}
	var listenErr error
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DefaultNumPartitions(Partitions),
		kfake.ClusterID("millrace"),
		kfake.DataDir(logDir),
		kfake.WithLogger(logAdapter{cfg.Log}),
		// The broker asks for 127.0.0.1 and a port of its own; it advertises whatever address the listener has.
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			var lc net.ListenConfig
			ln, err := lc.Listen(context.Background(), network, cfg.Listen)
			if err != nil {
				listenErr = &ListenError{Addr: cfg.Listen, Err: err}
				return nil, listenErr
			}
			return durableListener{ln, b.durability}, nil
		}),
	)
	switch {
	case listenErr != nil:
		err = listenErr
	case err != nil:
		err = fmt.Errorf("open broker data in %s: %w", cfg.DataDir, err)
	}
	if err != nil {
		b.durability.stop()
		return nil, errors.Join(err, unlock())
	}
	b.durability.watch(b.cluster)
	if err := starts.apply(b.cluster); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	starts.watch(b.cluster)
	b.addr = b.cluster.ListenAddrs()[0]
	return b, nil
}

// fail ends Run with the first reason.
func (b *Broker) fail(err error) {
	select {
	case b.failed <- err:
	default: // it ends already
	}
}

// Addr is the host:port that clients connect to, with the real port.
func (b *Broker) Addr() string { return b.addr }

// Close saves the broker's state, stops serving and releases the directory. It may be called more than once.
func (b *Broker) Close() error {
	b.close.Do(func() {
		b.durability.stop()
		b.cluster.Close()
		b.err = b.unlock()
	})
	return b.err
}

// ListenError says that the broker's address could not be bound.
type ListenError struct {
	Addr string
	Err  error
}

func (e *ListenError) Error() string {
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		return fmt.Sprintf("the Kafka address %s is in use by another process: choose another with --kafka-listen (port 0 picks a free one), or stop that process", e.Addr)
	}
	return fmt.Sprintf("the Kafka address %s cannot be bound (--kafka-listen): %v", e.Addr, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

// checkLoopback refuses addresses that other hosts could reach, since the broker authenticates nobody.
func checkLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return &ListenError{Addr: listen, Err: err}
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return &ListenError{Addr: listen, Err: errors.New("the embedded broker has no authentication and listens on loopback only, such as 127.0.0.1:9092; for other hosts run Apache Kafka")}
}
