package onlinestore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// DefaultNamespace is what the keys of an installation begin with.
	DefaultNamespace = "millrace"

	// redisReadTimeout bounds one Get, which a visitor waits for: longer than any healthy answer by two orders of magnitude.
	redisReadTimeout = 250 * time.Millisecond
	// redisWorkTimeout bounds one round trip of everything else: a pipeline of redisPipelineBytes on a busy machine.
	redisWorkTimeout = 5 * time.Second
	// redisDialTimeout bounds a connection's start.
	redisDialTimeout = time.Second
	// redisSilence is how long a connection may owe an answer before it is given up.
	redisSilence = 10 * time.Second
	// redisRedirects is how often one command follows slots that move.
	redisRedirects = 8
)

// RedisConfig says where the rows of several processes are.
type RedisConfig struct {
	// Addresses are host:port of one Redis or Valkey, or of any nodes of a cluster.
	Addresses []string
	Username  string // empty is the default user
	Password  string
	TLS       *tls.Config // nil is plain TCP
	Namespace string      // empty is DefaultNamespace; installations that share a Redis have different ones
}

// Redis is the online store of several processes, on one Redis or Valkey server or a cluster. It connects with the first
// call and again whenever it must: while no server answers, calls fail with ErrUnavailable.
//
// Redis promises little about what it has acknowledged: a restart may bring back an older file or nothing, a replica that
// takes over may lack the last writes. None of this is prevented here, it is noticed: Marker changes whenever rows of any
// group may be gone, and then the stream publishes everything again.
type Redis struct {
	options rueidis.ClientOption
	keys    *redisKeys

	client  atomic.Pointer[rueidis.Client] // nil until the first call has connected
	dialing chan struct{}                  // one token

	silences [redisParts]silence
	alone    atomic.Bool // one server has all parts

	// life is held for reading by every operation; it guards closed.
	life   sync.RWMutex
	closed bool
}

var _ Store = (*Redis)(nil)

// OpenRedis checks the configuration. It does not wait for a server: roles start in any order. The caller closes it.
func OpenRedis(cfg RedisConfig) (*Redis, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("open online store: no address of a Redis or Valkey server")
	}
	if cfg.Namespace == "" {
		cfg.Namespace = DefaultNamespace
	}
	if strings.ContainsAny(cfg.Namespace, "{}") {
		return nil, fmt.Errorf("open online store: namespace %q must not hold braces, which choose a hash slot", cfg.Namespace)
	}
	options := rueidis.ClientOption{
		InitAddress: cfg.Addresses, Username: cfg.Username, Password: cfg.Password, TLSConfig: cfg.TLS, ClientName: "millrace",
		ConnWriteTimeout: redisSilence, DisableCache: true,
		// Callers know better what to do while the store is away, and a write may be as well repeated as a read.
		DisableRetry:  true,
		ClusterOption: rueidis.ClusterOption{MaxMovedRedirections: redisRedirects},
	}
	options.Dialer.Timeout = redisDialTimeout
	return &Redis{options: options, keys: newRedisKeys(cfg.Namespace), dialing: make(chan struct{}, 1)}, nil
}

// enter holds the store open until the returned function is called, and connects where that has not succeeded yet.
func (s *Redis) enter(ctx context.Context) (client rueidis.Client, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return nil, nil, ErrClosed
	}
	if connected := s.client.Load(); connected != nil {
		return *connected, s.life.RUnlock, nil
	}
	client, err = s.connect(ctx)
	if err != nil {
		s.life.RUnlock()
		return nil, nil, err
	}
	return client, s.life.RUnlock, nil
}

// connect makes the client, one caller at a time.
func (s *Redis) connect(ctx context.Context) (rueidis.Client, error) {
	select {
	case s.dialing <- struct{}{}:
		defer func() { <-s.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if connected := s.client.Load(); connected != nil {
		return *connected, nil
	}
	client, err := rueidis.NewClient(s.options)
	if err != nil {
		return nil, redisError(ctx, "connect to the online store", err)
	}
	if err := refuseEviction(ctx, client); err != nil {
		client.Close()
		return nil, err
	}
	s.alone.Store(len(client.Nodes()) == 1)
	s.client.Store(&client)
	return client, nil
}

// refuseEviction fails where a node may remove rows at will. Policies of keys that expire concern none of ours.
func refuseEviction(ctx context.Context, client rueidis.Client) error {
	within, cancel := context.WithTimeout(ctx, redisWorkTimeout)
	defer cancel()
	for _, node := range client.Nodes() {
		info, err := node.Do(within, node.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			return redisError(ctx, "read the memory policy of the online store", err)
		}
		if strings.Contains(info, "maxmemory_policy:allkeys") && !strings.Contains(info, "\nmaxmemory:0\r") {
			return errEvicts
		}
	}
	return nil
}

// Get implements Store.
func (s *Redis) Get(ctx context.Context, key string) (Row, bool, error) {
	client, leave, err := s.enter(ctx)
	if err != nil {
		return Row{}, false, err
	}
	defer leave()
	group := groupOf(key)
	part := s.partOf(group)
	if !part.admit() {
		return Row{}, false, redisError(ctx, "read online row", errSilent)
	}
	within, cancel := context.WithTimeout(ctx, redisReadTimeout)
	defer cancel()
	stored, err := client.Do(within, client.B().Get().Key(s.keys.row(group, key)).Build()).ToString()
	if within.Err() == nil {
		part.answered() // or refused: that takes no time either
	} else if ctx.Err() == nil {
		part.timedOut()
	}
	if rueidis.IsRedisNil(err) {
		return Row{}, false, nil
	}
	if err != nil {
		return Row{}, false, redisError(ctx, "read online row", err)
	}
	row, err := decodeRedisRow(key, stored)
	if err != nil {
		return Row{}, false, fmt.Errorf("read online row %q: %w", key, err)
	}
	return row, true, nil
}

// partOf returns the part of the store that a group belongs to.
func (s *Redis) partOf(group int) *silence {
	if s.alone.Load() {
		return &s.silences[0]
	}
	return &s.silences[group*redisParts/redisGroups]
}

// Sync implements Store. Redis can promise nothing here: an acknowledged write may be in no file (appendonly no), a second
// behind (appendfsync everysec), or missing on the replica that takes over, and WAIT changes only how likely that is. Rows
// that are lost in such a way change the marker, which makes the stream publish them again; so nothing is asked.
func (s *Redis) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}

// markerScript makes the marker of a group where there is none, and says beside it which run of which server owns the
// group: a server that was restarted, or that took over, may lack rows although it has the marker.
var markerScript = newRedisScript(`
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1]) .. string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')`)

// Marker implements Store. It is a digest of the markers of all groups and of the runs of the servers that own them, so it
// also changes when a server with all its rows was restarted, or when groups move to another server. Publishing everything
// again for nothing is the price of never missing a loss.
func (s *Redis) Marker(ctx context.Context) (string, error) {
	client, leave, err := s.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	calls := make([]scriptCall, redisGroups)
	for g := range calls {
		calls[g] = scriptCall{keys: []string{s.keys.marker(g)}, args: []string{rand.Text()}}
	}
	results, err := markerScript.run(ctx, client, calls)
	if err != nil {
		return "", redisError(ctx, "read marker of online store", err)
	}
	digest := sha256.New()
	for _, r := range results {
		marker, err := r.ToString()
		if err != nil {
			return "", redisError(ctx, "read marker of online store", err)
		}
		digest.Write([]byte(marker))
	}
	return hex.EncodeToString(digest.Sum(nil)[:16]), nil
}

// Close implements Store. It waits for running operations; closing twice is no error.
func (s *Redis) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if connected := s.client.Load(); connected != nil {
		(*connected).Close()
	}
	return nil
}
