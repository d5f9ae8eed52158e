package lake

import "io"

// ListItem is one position of a list that was made for somebody: a row of the files of `millrace recommend --users`.
type ListItem struct {
	UserID       string // as it was asked for: a user_id, or anonymous:ID
	Placement    string
	Position     int32 // from 0
	ItemID       string
	Score        float64
	Reasons      []string
	ModelVersion string
	RecID        string
	Variant      string // EXPERIMENT:ARM, or default
}

// listRow is a ListItem in Parquet; the rules of eventRow hold.
type listRow struct {
	UserID       string   `parquet:"user_id,id(1)"`
	Placement    string   `parquet:"placement,dict,id(2)"`
	Position     int32    `parquet:"position,id(3)"`
	ItemID       string   `parquet:"item_id,id(4)"`
	Score        float64  `parquet:"score,id(5)"`
	Reasons      []string `parquet:"reasons,optional,list,id(6)" parquet-element:",id(9)"`
	ModelVersion *string  `parquet:"model_version,optional,dict,id(7)"`
	RecID        string   `parquet:"rec_id,id(8)"`
	Variant      string   `parquet:"variant,dict,id(10)"`
}

func (r *listRow) fill(in *ListItem) error {
	*r = listRow{
		UserID: in.UserID, Placement: in.Placement, Position: in.Position, ItemID: in.ItemID, Score: in.Score, Reasons: in.Reasons,
		ModelVersion: present(&in.ModelVersion), RecID: in.RecID, Variant: in.Variant,
	}
	return nil
}

// ListFile writes lists to one Parquet file (FORMAT.md, *Lists in a file*), row by row in bounded memory.
type ListFile struct{ rows rowSink[*ListItem] }

// NewListFile begins a file.
func NewListFile(w io.Writer) (*ListFile, error) {
	rows, err := parquetSink(w, (*listRow).fill)
	return &ListFile{rows}, err
}

// Write adds a row; the item may be used again.
func (f *ListFile) Write(item *ListItem) error { return f.rows.write(item) }

// Close ends the file: before, it is none.
func (f *ListFile) Close() error { return f.rows.close() }
