package objstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
)

// ErrNoConditionalPut means that a store cannot tell the first writer of an object from the second.
var ErrNoConditionalPut = errors.New("the store has no conditional puts (If-None-Match)")

// probeLimit is how long the answers to that may take, tries and all: a store that is just starting gets its chance, and one
// that is named wrongly is reported soon.
const probeLimit = 10 * time.Second

// probe finds out whether the bucket can be used: it is there, it may be written, and put-if-absent has one winner.
func (b *S3) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	key := "probe-" + uuid.NewString()
	first := b.PutIfAbsent(ctx, key, strings.NewReader("1"), 1)
	if first != nil {
		return b.explain(first)
	}
	second := b.PutIfAbsent(ctx, key, strings.NewReader("2"), 1)
	if err := b.Delete(ctx, key); err != nil {
		return b.explain(err)
	}
	switch {
	case errors.Is(second, ErrExists):
		return nil
	case second == nil:
		return b.explain(ErrNoConditionalPut)
	}
	return b.explain(second)
}

// explain says what to do about a bucket that cannot be used.
func (b *S3) explain(err error) error {
	switch {
	case errors.Is(err, ErrNoConditionalPut), status(err) == http.StatusNotImplemented:
		return fmt.Errorf("%w at %s: two processes could both take themselves for the first to write a file, and one would overwrite the "+
			"other. Use a store or a version of it that has them (AWS S3 does), or a directory that all roles share", ErrNoConditionalPut, b.cfg.Endpoint)
	case code(err) == minio.NoSuchBucket:
		return fmt.Errorf("there is no bucket %q at %s: create it, or correct bucket or s3.endpoint: %w", b.cfg.Bucket, b.cfg.Endpoint, err)
	case code(err) == "InvalidAccessKeyId", code(err) == "SignatureDoesNotMatch":
		return fmt.Errorf("%s does not accept the keys: correct s3.access_key and s3.secret_key: %w", b.cfg.Endpoint, err)
	case status(err) == http.StatusForbidden:
		return fmt.Errorf("%s refuses access: allow s3.access_key to list the bucket and to get, put and delete its objects: %w", b.cfg.Endpoint, err)
	case code(err) == "AuthorizationHeaderMalformed", status(err) == http.StatusMovedPermanently:
		return fmt.Errorf("the bucket is in another region than %s: correct s3.region: %w", b.cfg.Region, err)
	case status(err) == 0:
		return fmt.Errorf("no answer from %s: correct s3.endpoint (http:// or https://?), or start the store: %w", b.cfg.Endpoint, err)
	}
	return err
}
