package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/millrace/millrace/internal/objstore"
)

// Names of the reports of a version.
const (
	ReportHTML = "report.html"
	ReportJSON = "report.json"
)

// MaxReportBytes bounds what is read of a report; real ones have some hundred kilobytes.
const MaxReportBytes = 64 << 20

// ErrNoReport means that a version was published without the report that was asked for.
var ErrNoReport = errors.New("the version has no such report; it was trained before there were any")

// Report is a file about a version that no model needs.
type Report struct {
	Name    string // ReportHTML or ReportJSON
	Content []byte
}

func (p Report) describe() File {
	sum := sha256.Sum256(p.Content)
	return File{Model: "report", Name: p.Name, Bytes: int64(len(p.Content)), SHA256: hex.EncodeToString(sum[:])}
}

// Report reads a report of a version: ErrNoReport where there is none, a *CorruptError where it is damaged.
func (r *Registry) Report(ctx context.Context, site, version, name string) ([]byte, error) {
	m, err := r.Manifest(ctx, site, version)
	if err != nil {
		return nil, err
	}
	for _, f := range m.Reports {
		if f.Name == name {
			return r.readReport(ctx, path.Join(site, version, name), f)
		}
	}
	return nil, ErrNoReport
}

func (r *Registry) readReport(ctx context.Context, key string, f File) ([]byte, error) {
	body, err := r.bucket.Get(ctx, key, 0, MaxReportBytes)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, &CorruptError{Path: r.Location(key), Err: errMissing}
	}
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	content, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	sum := sha256.Sum256(content)
	if hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, &CorruptError{Path: r.Location(key), Err: errors.New("its SHA-256 is not that of the manifest")}
	}
	return content, nil
}
