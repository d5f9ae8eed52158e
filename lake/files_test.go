package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/objstore/s3test"
)

// onEachFiles runs a test of the contract of files on each kind; what is not the store's own fault passes unnoticed.
func onEachFiles(t *testing.T, test func(t *testing.T, in files)) {
	t.Run("local", func(t *testing.T) {
		in, err := openLocalFiles(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		test(t, in)
	})
	t.Run("s3", func(t *testing.T) {
		store := s3test.Start(t)
		cfg := store.Config("some/lake")
		bucket, err := objstore.OpenS3(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(bucket.Close)
		store.Faults.Set(9, s3Faults)
		test(t, bucketFiles{bucket: bucket, root: cfg.Location(), scratch: t.TempDir()})
	})
}

// A file reads as it was written, from anywhere, in any piece, whatever its size makes of how it is kept and read.
func TestFilesReadAnywhere(t *testing.T) {
	onEachFiles(t, func(t *testing.T, in files) {
		random := rand.New(rand.NewPCG(1, 2))
		for _, size := range []int{0, 1, tailBytes - 1, tailBytes + 1, spillBytes + 3, wholeBytes + 5} {
			want := make([]byte, size)
			for i := range want {
				want[i] = byte(random.Uint32())
			}
			at := in.location("t", "data", fmt.Sprint(size))
			err := encodeFile(t.Context(), in, at, func(w io.Writer) error {
				for left := want; len(left) > 0; {
					n := min(len(left), 1+random.IntN(1<<20))
					if _, err := w.Write(left[:n]); err != nil {
						return err
					}
					left = left[n:]
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := readFile(t.Context(), in, at); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("a file of %d bytes reads as %d other bytes, %v", size, len(got), err)
			}
			for _, known := range []int64{-1, int64(size)} {
				checkPieces(t, random, in, at, known, want)
			}
		}
	})
}

func checkPieces(t *testing.T, random *rand.Rand, in files, at string, known int64, want []byte) {
	t.Helper()
	f, err := in.open(t.Context(), at, known)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.bytes() != int64(len(want)) {
		t.Fatalf("%d bytes, want %d", f.bytes(), len(want))
	}
	for range 20 {
		off := random.IntN(len(want) + 2)
		p := make([]byte, random.IntN(300_000))
		n, err := f.ReadAt(p, int64(off))
		left := want[min(off, len(want)):]
		if n != min(len(p), len(left)) || !bytes.Equal(p[:n], left[:n]) {
			t.Fatalf("%d bytes from %d of %d read as %d", len(p), off, len(want), n)
		}
		if (n < len(p)) != errors.Is(err, io.EOF) && len(p) > 0 {
			t.Fatalf("%d bytes from %d of %d: error %v", len(p), off, len(want), err)
		}
	}
}

// Every name is used once; what is given up is no file; what is not there says so.
func TestFilesNames(t *testing.T) {
	onEachFiles(t, func(t *testing.T, in files) {
		ctx := t.Context()
		a, b := in.location("t", "data", "a"), in.location("t", "data-more", "b")
		for _, at := range []string{a, b} {
			if err := writeFile(ctx, in, at, []byte("first")); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeFile(ctx, in, a, []byte("second")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second file of one name: %v", err)
		}
		if got, err := readFile(ctx, in, a); string(got) != "first" {
			t.Errorf("reads %q, %v", got, err)
		}
		var listed []string
		list := func() {
			t.Helper()
			listed = nil
			err := in.list(ctx, in.location("t", "data"), func(f storedFile) error {
				listed = append(listed, f.location)
				if f.bytes != 5 || f.modified.IsZero() {
					t.Errorf("listed %+v", f)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		real, err := in.canonical()(a)
		if err != nil {
			t.Fatal(err)
		}
		if list(); len(listed) != 1 || listed[0] != real {
			t.Errorf("listed %v, want %s alone", listed, real)
		}
		if err := in.remove(ctx, a); err != nil {
			t.Fatal(err)
		}
		if err := in.remove(ctx, a); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a second removal: %v", err)
		}
		if list(); len(listed) != 0 {
			t.Errorf("listed %v after the removal", listed)
		}
		if _, err := readFile(ctx, in, a); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("reading what was removed: %v", err)
		}
	})
}

// A process that is told to stop leaves no file under the name that it was writing to a bucket.
func TestFilesGivenUp(t *testing.T) {
	onEachFiles(t, func(t *testing.T, in files) {
		at := in.location("t", "data", "half")
		ctx, cancel := context.WithCancel(t.Context())
		err := encodeFile(ctx, in, at, func(w io.Writer) error {
			cancel()
			_, err := w.Write(make([]byte, spillBytes+1))
			return errors.Join(err, errFault)
		})
		if !errors.Is(err, errFault) {
			t.Fatal(err)
		}
		_, isBucket := in.(bucketFiles)
		if _, err := readFile(t.Context(), in, at); isBucket && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("half a file is there: %v", err)
		}
	})
}
