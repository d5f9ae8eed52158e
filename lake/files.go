package lake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	icebergio "github.com/apache/iceberg-go/io"
)

// files is where a lake keeps its files: a directory, or a bucket of an S3-compatible store. A file is named by its location,
// the URI under which Iceberg's metadata records it; every name is used once.
//
// Iceberg publishes names, so whatever has been created must outlive a power cut, and the death of the process, before its
// name is published.
type files interface {
	// location names what lies below the root.
	location(elem ...string) string
	// create begins a new file. It is there, whole and durable, when Close returns nil; fs.ErrExist where there is one.
	create(ctx context.Context, location string) (newFile, error)
	// open opens a file of so many bytes; a negative number is one that the caller does not know. fs.ErrNotExist.
	open(ctx context.Context, location string, bytes int64) (openFile, error)
	// remove deletes a file; one that is not there may be an fs.ErrNotExist.
	remove(ctx context.Context, location string) error
	// list calls visit with every file below a location, by its canonical location.
	list(ctx context.Context, below string, visit func(storedFile) error) error
	// canonical returns a function that brings recorded locations into the form in which list tells them.
	canonical() func(location string) (string, error)
	// checkPlace refuses a table whose recorded location is not here, with ErrMoved.
	checkPlace(recorded, here string) error
	// tears reports whether a power cut may leave only a part of a file.
	tears() bool
	// readAhead is how many bytes of a column are worth reading at a time from a file of so many bytes.
	readAhead(bytes int64) int
	close()
}

// newFile is a file that is being written. Without a Close that returned nil it may be there or not, whole or not, and nothing
// may refer to it.
type newFile interface {
	io.WriteCloser
	// abandon gives the file up; Close must not follow.
	abandon() error
}

// openFile is a file to be read from anywhere, by several goroutines if need be.
type openFile interface {
	io.ReaderAt
	io.Closer
	bytes() int64
}

// storedFile is a file as a listing tells of it.
type storedFile struct {
	location string
	bytes    int64
	modified time.Time // by the clock of the file system or store
}

// fileBufferBytes collects the encoder's small writes.
const fileBufferBytes = 256 << 10

// encodeFile makes a durable file of what encode writes.
func encodeFile(ctx context.Context, in files, location string, encode func(io.Writer) error) error {
	f, err := in.create(ctx, location)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, fileBufferBytes)
	if err := encode(w); err != nil {
		return errors.Join(err, f.abandon())
	}
	if err := w.Flush(); err != nil {
		return errors.Join(err, f.abandon())
	}
	return f.Close()
}

// writeFile makes a durable file of some bytes.
func writeFile(ctx context.Context, in files, location string, content []byte) error {
	f, err := in.create(ctx, location)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", location, err), f.abandon())
	}
	return f.Close()
}

// readFile reads a whole file of metadata.
func readFile(ctx context.Context, in files, location string) (_ []byte, err error) {
	f, err := in.open(ctx, location, -1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.NewSectionReader(f, 0, f.bytes()))
}

// icebergFiles is a lake's files as Iceberg sees them, for the time of a context.
type icebergFiles struct {
	ctx   context.Context
	files files
}

var (
	_ icebergio.WriteFileIO = icebergFiles{}
	_ icebergio.ReadFileIO  = icebergFiles{}
)

// forIceberg is what the library asks for when it needs files.
func forIceberg(in files) func(context.Context) (icebergio.IO, error) {
	return func(ctx context.Context) (icebergio.IO, error) { return icebergFiles{ctx, in}, nil }
}

// Open implements icebergio.IO.
func (f icebergFiles) Open(location string) (icebergio.File, error) {
	opened, err := f.files.open(f.ctx, location, -1)
	if err != nil {
		return nil, err
	}
	return icebergFile{SectionReader: io.NewSectionReader(opened, 0, opened.bytes()), Closer: opened, name: path.Base(location)}, nil
}

// ReadFile implements icebergio.ReadFileIO.
func (f icebergFiles) ReadFile(location string) ([]byte, error) {
	return readFile(f.ctx, f.files, location)
}

// Remove implements icebergio.IO.
func (f icebergFiles) Remove(location string) error { return f.files.remove(f.ctx, location) }

// Create implements icebergio.WriteFileIO.
func (f icebergFiles) Create(location string) (icebergio.FileWriter, error) {
	created, err := f.files.create(f.ctx, location)
	if err != nil {
		return nil, err
	}
	return icebergWriter{created}, nil
}

// WriteFile implements icebergio.WriteFileIO.
func (f icebergFiles) WriteFile(location string, content []byte) error {
	return writeFile(f.ctx, f.files, location, content)
}

// icebergFile is an open file with a position.
type icebergFile struct {
	*io.SectionReader
	io.Closer
	name string
}

// Stat implements fs.File.
func (f icebergFile) Stat() (fs.FileInfo, error) { return icebergFileInfo{f.name, f.Size()}, nil }

type icebergFileInfo struct {
	name  string
	bytes int64
}

func (i icebergFileInfo) Name() string     { return i.name }
func (i icebergFileInfo) Size() int64      { return i.bytes }
func (icebergFileInfo) Mode() fs.FileMode  { return 0o444 }
func (icebergFileInfo) ModTime() time.Time { return time.Time{} }
func (icebergFileInfo) IsDir() bool        { return false }
func (icebergFileInfo) Sys() any           { return nil }

type icebergWriter struct{ newFile }

// ReadFrom implements io.ReaderFrom.
func (w icebergWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(struct{ io.Writer }{w.newFile}, r)
	if err != nil {
		return n, fmt.Errorf("write file: %w", err)
	}
	return n, nil
}
