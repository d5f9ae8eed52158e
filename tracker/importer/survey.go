package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/lake/historyfile"
)

// survey is what the first reading of a file tells, before anything of it is sent: who it is, how long, which columns.
type survey struct {
	digest  string   // of the rows' content: compressing a file or changing its line ends does not make it another one
	rows    int64    // bad rows included
	columns []string // of all rows together, in order of appearance
}

// takeSurvey reads a file once from end to end.
func takeSurvey(ctx context.Context, path string, format history.Format, site string) (survey, error) {
	var s survey
	known := make(map[string]bool)
	sum := sha256.New()
	err := eachRow(ctx, path, format, func(row history.Row, bad *history.RowError) error {
		s.rows++
		if bad != nil {
			sum.Write([]byte(bad.Err.Error()))
			return nil
		}
		digest := row.Digest(site)
		sum.Write(digest[:])
		if len(s.columns) > 0 && format == history.CSV {
			return nil
		}
		for _, c := range row.Columns() {
			if !known[c] && len(known) < history.MaxColumns {
				known[c] = true
				s.columns = append(s.columns, c)
			}
		}
		return nil
	}, func(columns []string) { s.columns = columns })
	s.digest = hex.EncodeToString(sum.Sum(nil))
	return s, err
}

// apiForm reports whether the rows are events as the API takes them, with a list of items.
func (s survey) apiForm(format history.Format) bool {
	return format != history.CSV && slices.ContainsFunc(s.columns, func(c string) bool { return strings.HasPrefix(c, "items.0.") })
}

// eachRow calls visit with every row or bad row of a file, in order. header, if not nil, gets a CSV file's columns
// before its first row. An error of visit ends the reading and is returned as it is.
func eachRow(ctx context.Context, path string, format history.Format, visit func(history.Row, *history.RowError) error, header func([]string)) (err error) {
	r, err := historyfile.Open(path, format)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if header != nil {
		header(r.Columns())
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var bad *history.RowError
		if err != nil && !errors.As(err, &bad) {
			return err
		}
		if err := visit(row, bad); err != nil {
			return err
		}
	}
}
