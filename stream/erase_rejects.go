package stream

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/internal/erasure"
)

// Reject files are CSV with the columns line, reason and row (package importer). A row belongs to a person whom any of its words
// names: it was rejected because it could not be read, so nobody can tell what is what in it.

// eachReject calls f with every reject file.
func (s *Stream) eachReject(f func(path string) error) error {
	dir := ""
	if s.deps.Erasing != nil {
		dir = s.deps.Erasing.Rejects
	}
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list reject files: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".csv") || strings.HasSuffix(e.Name(), ".partial") {
			if err := f(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("reject file %s: %w", e.Name(), err)
			}
		}
	}
	return nil
}

func (s *Stream) surveyRejects(ctx context.Context, ledger *erasure.Ledger, h Holdings) error {
	h[StoreRejects] = 0
	return s.eachReject(func(path string) error {
		_, gone, err := sortRejects(path, ledger)
		h[StoreRejects] += gone
		return errors.Join(err, ctx.Err())
	})
}

// cleanRejects takes the rows of people in a ledger out of reject files.
func (s *Stream) cleanRejects(ledger *erasure.Ledger) error {
	return s.eachReject(func(path string) error {
		kept, gone, err := sortRejects(path, ledger)
		if err != nil || gone == 0 {
			return err
		}
		clean := path + ".clean"
		if err := os.WriteFile(clean, kept, 0o600); err != nil {
			return err
		}
		return os.Rename(clean, path)
	})
}

// sortRejects reads a reject file and returns it without the rows of people in a ledger, and how many those are.
func sortRejects(path string, ledger *erasure.Ledger) (kept []byte, gone int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var out bytes.Buffer
	in, w := csv.NewReader(f), csv.NewWriter(&out)
	in.FieldsPerRecord = -1
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, gone, err
		}
		if ledger.Mentions([]byte(strings.Join(row, ","))) {
			gone++
			continue
		}
		if err := w.Write(row); err != nil {
			return nil, gone, err
		}
	}
	w.Flush()
	return out.Bytes(), gone, w.Error()
}
