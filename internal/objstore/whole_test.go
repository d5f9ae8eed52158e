package objstore_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/objstore/s3test"
)

func put(t *testing.T, b objstore.Bucket, key string, content []byte) {
	t.Helper()
	if err := b.Put(t.Context(), key, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

func TestReadWhole(t *testing.T) {
	local, err := objstore.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s3, err := objstore.OpenS3(t.Context(), s3test.Start(t).Config("some/place"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]objstore.Bucket{"Local": local, "S3": s3} {
		for key, content := range map[string][]byte{"a/b": []byte("first"), "a/bc": bytes.Repeat([]byte("x"), 100_000), "a/empty": nil} {
			put(t, b, key, content)
			whole, err := objstore.ReadWhole(t.Context(), b, key)
			if err != nil || !bytes.Equal(whole.Bytes, content) {
				t.Errorf("%s: read %s with error %v, or other bytes", name, key, err)
			}
			if whole.Rest(); !bytes.Equal(whole.Bytes, content) {
				t.Errorf("%s: %s has other bytes after a rest", name, key)
			}
			runtime.KeepAlive(whole)
		}
		for _, key := range []string{"a/none", "a/em"} {
			if _, err := objstore.ReadWhole(t.Context(), b, key); !errors.Is(err, objstore.ErrNotFound) {
				t.Errorf("%s: %s gave %v, want ErrNotFound", name, key, err)
			}
		}
		if _, err := objstore.ReadWhole(t.Context(), b, "../a"); err == nil {
			t.Errorf("%s: a key left its bucket", name)
		}
	}
}
