package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// MaxObjectBytes is the largest object that S3 takes in one request. Larger ones would need uploads in parts, which not
	// every store completes only where the object is absent.
	MaxObjectBytes = 5 << 30

	// DefaultRegion is what requests are signed for where no region is named; stores other than AWS take any.
	DefaultRegion = "us-east-1"

	// defaultEndpoint is where s3:// leads without an endpoint.
	defaultEndpoint = "https://s3.amazonaws.com"

	// defaultAnswerLimit is how long a try waits for an answer to begin, and a reader for the next bytes. S3 answers
	// within a second nearly always, and another try mostly meets a faster server.
	defaultAnswerLimit = 20 * time.Second

	// slowestBytesPerSecond is the pace that an upload is given time for beyond that.
	slowestBytesPerSecond = 1 << 20

	// pageObjects is how many objects a listing asks for at a time, the most that S3 gives.
	pageObjects = 1000

	// attemptHeader names the put that made an object, so that a put whose answer got lost knows its own work again.
	attemptHeader = "Millrace-Put"
)

// S3Config says where a bucket is in an S3-compatible store, and who asks.
type S3Config struct {
	Bucket    string `json:"bucket"`
	Prefix    string `json:"prefix,omitempty"`   // of all keys, without slashes at its ends; empty is the whole bucket
	Endpoint  string `json:"endpoint,omitempty"` // http:// or https:// URL; empty is AWS
	Region    string `json:"region,omitempty"`   // empty is DefaultRegion
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	PathStyle bool   `json:"path_style,omitempty"` // ENDPOINT/BUCKET instead of BUCKET.ENDPOINT
	// AnswerLimit is how long a try waits for an answer to begin, and a reader for the next bytes; 0 is 20 s.
	AnswerLimit time.Duration `json:"answer_limit,omitempty"`
}

// S3 is a bucket, or the part of one below a prefix, in an S3-compatible store. What passes (a lost answer, a store that is
// busy) is tried again for some seconds, and a put whose answer got lost is still told whether it won.
type S3 struct {
	cfg    S3Config
	client *minio.Client
	core   minio.Core // the same client, for bodies as they come
	idle   func()     // closes connections that nobody uses
}

var _ Bucket = (*S3)(nil)

// OpenS3 opens a bucket that exists and tries out whether its store has conditional puts: one that has none is refused,
// because two writers could both believe that they were the first. The try writes below the prefix and removes what it wrote.
func OpenS3(ctx context.Context, cfg S3Config) (*S3, error) {
	b, err := newS3(cfg)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Location(), err)
	}
	if err := b.probe(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Location(), err)
	}
	return b, nil
}

func newS3(cfg S3Config) (*S3, error) {
	if cfg.Endpoint == "" {
		cfg.Endpoint = defaultEndpoint
	}
	if cfg.Region == "" {
		cfg.Region = DefaultRegion
	}
	if cfg.AnswerLimit == 0 {
		cfg.AnswerLimit = defaultAnswerLimit
	}
	if cfg.Prefix != "" {
		if err := CheckKey(cfg.Prefix); err != nil {
			return nil, err
		}
	}
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %q: use http://HOST:PORT or https://HOST", cfg.Endpoint)
	}
	secure := endpoint.Scheme == "https"
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("prepare connections: %w", err)
	}
	transport.ResponseHeaderTimeout = cfg.AnswerLimit
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: secure, Region: cfg.Region,
		BucketLookup: lookup, Transport: transport, MaxRetries: 1, // retry.go decides
	})
	if err != nil {
		return nil, fmt.Errorf("prepare client: %w", err)
	}
	return &S3{cfg: cfg, client: client, core: minio.Core{Client: client}, idle: transport.CloseIdleConnections}, nil
}

// Close gives up the connections. No other method may be running.
func (b *S3) Close() { b.idle() }

// Location is the bucket and prefix as an s3:// URL.
func (c S3Config) Location() string {
	if c.Prefix == "" {
		return "s3://" + c.Bucket
	}
	return "s3://" + c.Bucket + "/" + c.Prefix
}

// Below is the part of the bucket below a further prefix.
func (c S3Config) Below(prefix string) S3Config {
	c.Prefix = strings.TrimPrefix(c.Prefix+"/"+prefix, "/")
	return c
}

// object is the name that a key has in the store.
func (b *S3) object(key string) string {
	if b.cfg.Prefix == "" {
		return key
	}
	return b.cfg.Prefix + "/" + key
}

// Put implements Bucket. A put that was given up may still take effect later in the store.
func (b *S3) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return b.put(ctx, key, body, size, minio.PutObjectOptions{})
}

// PutIfAbsent implements Bucket. When the object is there after all tries, what it says of its put tells who won.
func (b *S3) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error {
	attempt := uuid.NewString()
	options := minio.PutObjectOptions{UserMetadata: map[string]string{attemptHeader: attempt}}
	options.SetMatchETagExcept("*")
	err := b.put(ctx, key, body, size, options)
	if err == nil || !errors.Is(err, ErrExists) {
		return err
	}
	info, statErr := b.stat(ctx, key)
	switch {
	case statErr == nil && info.UserMetadata[attemptHeader] == attempt:
		return nil
	case statErr != nil && !errors.Is(statErr, ErrNotFound):
		return fmt.Errorf("put %s: find out who made it: %w", key, statErr)
	}
	return err
}

func (b *S3) put(ctx context.Context, key string, body io.Reader, size int64, options minio.PutObjectOptions) error {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	if size > MaxObjectBytes {
		return fmt.Errorf("put %s: %d bytes, S3 takes %d at most", key, size, int64(MaxObjectBytes))
	}
	again, err := rewindable(ctx, body, size)
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	defer again.close()
	options.DisableMultipart = true
	options.DisableContentSha256 = size == 0 // there is nothing to sign, and some stores miss the length of a signed nothing
	limit := b.cfg.AnswerLimit + time.Duration(size/slowestBytesPerSecond)*time.Second
	err = b.retry(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		_, err := b.client.PutObject(ctx, b.cfg.Bucket, b.object(key), again.reader(), size, options)
		return err
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (b *S3) stat(ctx context.Context, key string) (info minio.ObjectInfo, err error) {
	err = b.retry(ctx, func(ctx context.Context) error {
		info, err = b.client.StatObject(ctx, b.cfg.Bucket, b.object(key), minio.StatObjectOptions{})
		return err
	})
	return info, err
}

// List implements Bucket, page by page.
func (b *S3) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for last := ""; ; {
			page, err := b.listPage(ctx, prefix, last)
			if err != nil {
				yield(Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
			if len(page) < pageObjects {
				return
			}
			last = page[len(page)-1].Key
		}
	}
}

// listPage lists at most pageObjects behind the last key.
func (b *S3) listPage(ctx context.Context, prefix, last string) (page []Info, err error) {
	options := minio.ListObjectsOptions{Prefix: b.object(prefix), Recursive: true}
	if last != "" {
		options.StartAfter = b.object(last)
	}
	err = b.retry(ctx, func(ctx context.Context) error {
		page = page[:0]
		for object := range b.client.ListObjectsIter(ctx, b.cfg.Bucket, options) {
			if object.Err != nil {
				return object.Err
			}
			page = append(page, Info{Key: strings.TrimPrefix(object.Key, b.object("")), Size: object.Size, Modified: object.LastModified})
			if len(page) == pageObjects {
				break
			}
		}
		return ctx.Err() // of which the iterator does not tell
	})
	return page, err
}

// Delete implements Bucket.
func (b *S3) Delete(ctx context.Context, key string) error {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	err := b.retry(ctx, func(ctx context.Context) error {
		return b.client.RemoveObject(ctx, b.cfg.Bucket, b.object(key), minio.RemoveObjectOptions{})
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// status is the answer's HTTP status; 0 where no answer came.
func status(err error) int {
	var response minio.ErrorResponse
	if errors.As(err, &response) {
		return response.StatusCode
	}
	return 0
}

// code is the S3 error code of an answer.
func code(err error) string {
	var response minio.ErrorResponse
	if errors.As(err, &response) {
		return response.Code
	}
	return ""
}

// known makes what callers branch on of the answers that mean it.
func known(err error) error {
	switch {
	case err == nil:
		return nil
	case code(err) == minio.NoSuchKey || status(err) == http.StatusNotFound && code(err) != minio.NoSuchBucket:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case status(err) == http.StatusPreconditionFailed || code(err) == minio.PreconditionFailed:
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	return err
}
