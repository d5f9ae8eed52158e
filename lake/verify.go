package lake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Damage is a file of a table that is not what the table says of it.
type Damage struct {
	File    string `json:"file"`
	Problem string `json:"problem"`
}

// Verification is what was found in one table. A sound one has no damages, and its three counts of wrong rows are 0.
type Verification struct {
	Table     string   `json:"table"`
	Snapshots int      `json:"snapshots"`
	Files     int      `json:"files"` // of the current version, as are the rows and bytes
	Rows      int64    `json:"rows"`
	Bytes     int64    `json:"bytes"`
	Twice     int64    `json:"rows_twice"`        // rows of a record of Kafka that another row is of
	Behind    int64    `json:"rows_behind"`       // rows at or behind the fence of their partition: they will land again
	Misplaced int64    `json:"rows_of_other_day"` // rows in another day's partition, where no scan looks for them
	Damages   []Damage `json:"damages"`           // at most maxDamages
	Damaged   int      `json:"damaged"`           // how many there are
	Seconds   float64  `json:"seconds"`
}

// Sound reports whether nothing is wrong.
func (v *Verification) Sound() bool { return v.Damaged == 0 && v.Twice+v.Behind+v.Misplaced == 0 }

// maxDamages bounds how many damages are told one by one.
const maxDamages = 100

// VerifyRequest says what to verify; the zero value is everything.
type VerifyRequest struct {
	Table string // empty: all
	// Quick leaves the content of data files alone: they have to be there, and to have their size.
	Quick    bool
	Progress func(VerifyProgress)
}

// VerifyProgress is how far the verification of a table has come.
type VerifyProgress struct {
	Table             string
	Files, TotalFiles int
	Bytes, TotalBytes int64
}

// Verify reads all there is of the tables: metadata, the manifests of every snapshot, and every data file of the current version
// from its first byte to its last, with checksums. It compares what the files hold with what the table says: sizes, counts, days
// and fences. Memory grows with the holes in the offsets, not with the rows. The error is one of reading at all; what is wrong
// with the lake is in the answer.
func (l *Lake) Verify(ctx context.Context, req VerifyRequest) ([]Verification, error) {
	specs, err := l.requested(req.Table)
	if err != nil {
		return nil, err
	}
	var out []Verification
	for _, spec := range specs {
		began := time.Now()
		v := &verifier{lake: l, spec: spec, request: req, done: Verification{Table: spec.name, Damages: []Damage{}}, offsets: make(map[FenceKey]*roaring64.Bitmap), noted: make(map[string]bool)}
		if err := v.run(ctx); err != nil {
			return out, fmt.Errorf("verify lake table %s: %w", spec.name, err)
		}
		v.done.Seconds = time.Since(began).Seconds()
		out = append(out, v.done)
	}
	return out, nil
}

// verifier verifies one version of one table.
type verifier struct {
	lake    *Lake
	spec    tableSpec
	request VerifyRequest
	table   *table.Table
	fences  map[FenceKey]Fence
	offsets map[FenceKey]*roaring64.Bitmap // that rows were found of
	noted   map[string]bool                // damaged files
	done    Verification
}

func (v *verifier) run(ctx context.Context) (err error) {
	if v.table, err = v.lake.current(ctx, v.spec); err != nil {
		return err
	}
	if v.fences, err = readFences(v.table.Properties()); err != nil {
		return err
	}
	v.done.Snapshots = len(v.table.Metadata().Snapshots())
	if err := v.olderSnapshots(ctx); err != nil {
		return err
	}
	files, err := v.liveFiles(ctx)
	if err != nil {
		return err
	}
	at := VerifyProgress{Table: v.spec.name, TotalFiles: len(files)}
	for _, f := range files {
		at.TotalBytes += f.bytes
	}
	for _, f := range files {
		err := v.file(ctx, f)
		if err := v.judge(ctx, f.location, err); err != nil {
			return err
		}
		at.Files, at.Bytes = at.Files+1, at.Bytes+f.bytes
		if v.request.Progress != nil {
			v.request.Progress(at)
		}
	}
	return nil
}

// liveFiles are those of the current version; none where its manifests are damaged, which is noted.
func (v *verifier) liveFiles(ctx context.Context) ([]liveFile, error) {
	files, err := liveFiles(ctx, v.table)
	if err != nil {
		return nil, v.judge(ctx, v.table.CurrentSnapshot().ManifestList, err)
	}
	v.done.Files = len(files)
	for _, f := range files {
		v.done.Rows, v.done.Bytes = v.done.Rows+f.rows, v.done.Bytes+f.bytes
	}
	if rows := tableRows(v.table.CurrentSnapshot()); rows != v.done.Rows {
		v.damaged(v.table.CurrentSnapshot().ManifestList, fmt.Errorf("its files have %d rows, and the snapshot says %d", v.done.Rows, rows))
	}
	return files, nil
}

// olderSnapshots wants the manifests of every snapshot that can still be read, and their files to be there.
func (v *verifier) olderSnapshots(ctx context.Context) error {
	seen := make(map[string]bool)
	for _, s := range v.table.Metadata().Snapshots() {
		err := manifestEntries(ctx, v.lake.files, &s, func(f iceberg.DataFile, _ int64) error {
			if seen[f.FilePath()] {
				return nil
			}
			seen[f.FilePath()] = true
			return v.judge(ctx, f.FilePath(), checkSize(ctx, v.lake.files, f.FilePath(), f.FileSizeBytes()))
		})
		if err := v.judge(ctx, s.ManifestList, err); err != nil {
			return err
		}
	}
	return nil
}

// judge notes what is wrong with a file. The table may have moved on meanwhile, and its maintenance may have deleted the file.
func (v *verifier) judge(ctx context.Context, location string, problem error) error {
	if problem == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now, err := v.lake.current(ctx, v.spec)
	if err != nil {
		return errors.Join(problem, err)
	}
	if now.MetadataLocation() != v.table.MetadataLocation() {
		file, err := v.lake.files.canonical()(location)
		if err != nil {
			return errors.Join(problem, err)
		}
		refers := false
		err = v.lake.referredFiles(ctx, now, func(at string, _ bool) error {
			refers = refers || at == file
			return nil
		})
		if err == nil && !refers {
			return nil
		}
	}
	v.damaged(location, problem)
	return nil
}

func (v *verifier) damaged(location string, problem error) {
	if v.noted[location] {
		return
	}
	v.noted[location] = true
	v.done.Damaged++
	if len(v.done.Damages) < maxDamages {
		v.done.Damages = append(v.done.Damages, Damage{File: location, Problem: problem.Error()})
	}
}

// file reads a data file whole.
func (v *verifier) file(ctx context.Context, f liveFile) error {
	if v.request.Quick {
		return nil // olderSnapshots has looked at all files of the current one, too
	}
	if err := checkData(ctx, v.lake.files, f.location, f.bytes, f.rows); err != nil {
		return err
	}
	p := &plan{spec: v.spec, schema: v.table.Schema(), filter: rowFilter{from: minMicros, to: maxMicros}}
	s, err := v.lake.newScanner(p, []string{"kafka_topic", "kafka_epoch", "kafka_partition", "kafka_offset", v.spec.day})
	if err != nil {
		return err
	}
	defer s.release()
	_, err = s.file(ctx, v.lake.files, plannedFile{location: f.location, bytes: f.bytes}, func(batch arrow.Record, _ error) bool {
		v.rows(batch, f.day)
		return true
	})
	return err
}

// rows compares where rows came from with the fences, and their day with that of their file.
func (v *verifier) rows(batch arrow.Record, day int32) {
	topics, epochs := batch.Column(0).(*array.String), batch.Column(1).(*array.Int64)
	partitions, offsets := batch.Column(2).(*array.Int32), batch.Column(3).(*array.Int64)
	times := batch.Column(4).(*array.Timestamp)
	var last FenceKey
	var seen *roaring64.Bitmap
	for i := range int(batch.NumRows()) {
		key := FenceKey{topics.Value(i), epochs.Value(i), partitions.Value(i)}
		if seen == nil || key != last {
			last = FenceKey{string([]byte(key.Topic)), key.Epoch, key.Partition} // the batch's memory goes
			if seen = v.offsets[last]; seen == nil {
				seen = roaring64.New()
				v.offsets[last] = seen
			}
		}
		if !seen.CheckedAdd(uint64(offsets.Value(i))) {
			v.done.Twice++
		}
		if fence, ok := v.fences[last]; !ok || offsets.Value(i) >= fence.Next {
			v.done.Behind++
		}
		if at := int64(times.Value(i)); floorDay(at) != int64(day) {
			v.done.Misplaced++
		}
	}
}

// floorDay is the UTC day since 1970 of a time in microseconds.
func floorDay(micros int64) int64 {
	const day = int64(24 * time.Hour / time.Microsecond)
	n := micros / day
	if micros%day < 0 {
		n--
	}
	return n
}
