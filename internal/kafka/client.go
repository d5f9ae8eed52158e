package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// metadataTTL bounds how long a moved leader or a new topic stays unseen: the library refreshes its layout of the
	// cluster on this timer only, not when a broker answers "not the leader".
	metadataTTL = 2 * time.Second
	// dialTimeout covers connect and version negotiation.
	dialTimeout = 5 * time.Second
	// requestTimeout bounds one request that does not wait on purpose. Longer than a broker's own 5 s log flush.
	requestTimeout = 10 * time.Second
)

// ErrClientClosed is the error of every call after Close.
var ErrClientClosed = errors.New("kafka client is closed")

// Config says where Kafka is.
type Config struct {
	Brokers  []string // host:port of some brokers; the rest is discovered
	ClientID string   // shows in the brokers' logs and quotas
	TLS      bool     // encrypt, and check the brokers' certificates
	TLSCA    string   // file with the PEM certificates to trust; "" trusts the system's
	SASL     SASL
}

// Client talks to one cluster. It is safe for concurrent use.
type Client struct {
	cfg       Config
	security  security
	addr      net.Addr
	transport *kafkago.Transport
	api       *kafkago.Client
	closed    context.Context // ends with Close
	cancel    context.CancelFunc
	encoder   *zstd.Encoder // both are used for whole batches only, which is safe concurrently
	decoder   *zstd.Decoder
}

// registerMessages installs our messages (fetchwire.go, deletewire.go) in the library's table of message types. The table is
// process-wide and unsynchronised, so this happens once, before the first connection of the first client.
var registerMessages = sync.OnceFunc(func() {
	protocol.Register(&fetchRequest{}, &fetchResponse{})
	protocol.Register(&deleteRecordsRequest{}, &deleteRecordsResponse{})
})

// NewClient checks the configuration and returns a client; connections are made on first use.
func NewClient(cfg Config) (*Client, error) {
	if len(cfg.Brokers) == 0 {
		return nil, errors.New("kafka client: no broker address configured")
	}
	for _, b := range cfg.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return nil, fmt.Errorf("kafka client: broker address %q: %w", b, err)
		}
	}
	secure, err := newSecurity(cfg)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	encoder, err := newEncoder()
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	decoder, err := newDecoder()
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	registerMessages()
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{cfg: cfg, security: secure, addr: kafkago.TCP(cfg.Brokers...), closed: ctx, cancel: cancel, encoder: encoder, decoder: decoder}
	c.transport = &kafkago.Transport{
		ClientID:    cfg.ClientID,
		DialTimeout: dialTimeout,
		MetadataTTL: metadataTTL,
		TLS:         secure.tls,
		SASL:        secure.sasl,
		Context:     ctx,
	}
	c.api = &kafkago.Client{Addr: c.addr, Transport: c.transport}
	return c, nil
}

// Close releases the connections. Requests in flight may end with an error, later ones do.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	c.cancel()
}

// retry is the function retry with the usual budget, until the client is closed. Its error names the setting to look at,
// where one is to blame.
func (c *Client) retry(ctx context.Context, f func(context.Context) error) error {
	err := retry(ctx, retryFor, func(ctx context.Context) error {
		if c.closed.Err() != nil {
			return ErrClientClosed
		}
		return f(ctx)
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return c.explain(err)
}

// roundTrip sends one message and answers the response of the type T registered for it.
func roundTrip[T protocol.Message](ctx context.Context, c *Client, req protocol.Message) (T, error) {
	var none T
	res, err := c.transport.RoundTrip(ctx, c.addr, req)
	if err != nil {
		return none, err
	}
	typed, ok := res.(T)
	if !ok {
		return none, fmt.Errorf("unexpected response %T", res)
	}
	return typed, nil
}
