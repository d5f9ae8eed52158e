package objstore

import (
	"context"
	"path"
	"path/filepath"
)

// Place says where a bucket is: in a directory, or in S3. As JSON it can be handed to another process; it holds a secret then.
type Place struct {
	Dir string    `json:"dir,omitempty"`
	S3  *S3Config `json:"s3,omitempty"` // instead of Dir, where it is not nil
}

// Open opens the bucket.
func (p Place) Open(ctx context.Context) (Bucket, error) {
	if p.S3 != nil {
		return OpenS3(ctx, *p.S3)
	}
	return OpenLocal(p.Dir)
}

// Below is the part of the bucket whose keys begin with name and a slash.
func (p Place) Below(name string) Place {
	if p.S3 != nil {
		below := p.S3.Below(name)
		return Place{S3: &below}
	}
	return Place{Dir: filepath.Join(p.Dir, filepath.FromSlash(name))}
}

// Location names the bucket, or an object in it, for people: a path, or an s3:// URL.
func (p Place) Location(key string) string {
	if p.S3 != nil {
		return p.S3.Location() + path.Join("/", key)
	}
	return filepath.Join(p.Dir, filepath.FromSlash(key))
}

// Empty says that there is no place.
func (p Place) Empty() bool { return p.S3 == nil && p.Dir == "" }
