// Package artifact is the binary form of fitted models: an Apache Arrow IPC file, which other programs open and this one maps into
// memory.
//
//	schema metadata   millrace.kind     what the file is of
//	                  millrace.version  layout of the kind, a number
//	                  millrace.<name>   small things, as text or JSON: millrace.config is the configuration of a model
//	record batch      one, of one row; a section is a column of type list<T>, whose one value is the whole array
//
// T is int32, int64, float, double or utf8; there are no nulls. Buffers are neither compressed nor encoded, and begin at
// multiples of 64 bytes within the batch, which begins at one of 8 within the file: the numbers are used where they are. So that
// the same values always give the same bytes, metadata is sorted by key and holds no time or host.
//
// The file has no checksum: the manifest of a version has that of each of its files, and whoever reads a file compares it first. A
// damaged file all the same is an error here, and no more memory is taken than the file has.
//
// Files in the form of earlier versions, which begin with MILLMODL (legacy.go), are read and never written.
package artifact

import "errors"

// ErrCorrupt is wrapped by every error of a Reader: the bytes are not an intact artifact of the wanted kind and version.
var ErrCorrupt = errors.New("corrupt model artifact")

// File is the content of an artifact in memory. What is decoded from it may use its bytes.
type File struct {
	Bytes []byte // never changed by anybody
	// Owner is what has to stay reachable while Bytes are used: a mapping, which the garbage collector does not see in a slice of
	// it. Who keeps slices keeps the owner, and keeps itself alive (runtime.KeepAlive) until the last use of them. It is nil where
	// Bytes are ordinary memory.
	Owner any
}

const (
	maxNameBytes = 64 // longest kind: kinds are package names
	maxSections  = 64 // most columns, and most entries of the metadata

	arrowMagic     = "ARROW1"
	metadataPrefix = "millrace."
	kindKey        = metadataPrefix + "kind"
	versionKey     = metadataPrefix + "version"
)
