package main

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/millrace/millrace/internal/objstore"
)

// S3Config is how to reach the S3-compatible store that bucket names as s3://NAME or s3://NAME/PREFIX.
type S3Config struct {
	Endpoint  string `koanf:"endpoint"` // http:// or https:// URL; empty: AWS
	Region    string `koanf:"region"`
	AccessKey string `koanf:"access_key"`
	SecretKey string `koanf:"secret_key"`
	PathStyle bool   `koanf:"path_style"` // ENDPOINT/NAME instead of NAME.ENDPOINT, as most stores but AWS want it
}

// s3Scheme begins a bucket that is in a store and not in a directory.
const s3Scheme = "s3://"

// bucketName is what S3 takes for the name of a bucket.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// inS3 reports whether the bucket is in a store.
func (c *Config) inS3() bool { return strings.HasPrefix(c.Bucket, s3Scheme) }

// bucketParts are the name and the prefix in s3://NAME/PREFIX.
func (c *Config) bucketParts() (name, prefix string) {
	name, prefix, _ = strings.Cut(strings.TrimPrefix(c.Bucket, s3Scheme), "/")
	return name, strings.TrimSuffix(prefix, "/")
}

// checkBucket is the part of Validate that is about the bucket.
func (c *Config) checkBucket(check func(ok bool, format string, args ...any)) {
	if !c.inS3() {
		check(!strings.Contains(c.Bucket, "://"), "bucket %q: use a directory, or s3://NAME/PREFIX", c.Bucket)
		for key, value := range map[string]string{"s3.endpoint": c.S3.Endpoint, "s3.access_key": c.S3.AccessKey, "s3.secret_key": c.S3.SecretKey} {
			check(value == "", "%s is set, but bucket is no s3://NAME/PREFIX", key)
		}
		return
	}
	name, prefix := c.bucketParts()
	check(bucketName.MatchString(name), "bucket %q: use s3://NAME/PREFIX, where NAME is that of a bucket", c.Bucket)
	check(prefix == "" || objstore.CheckKey(prefix) == nil,
		"bucket %q: use a prefix of segments of letters, digits and . _ = - that do not start with a dot", c.Bucket)
	endpoint, err := url.Parse(c.S3.Endpoint)
	check(c.S3.Endpoint == "" || err == nil && endpoint.Host != "" && (endpoint.Scheme == "http" || endpoint.Scheme == "https") && endpoint.User == nil,
		"s3.endpoint: use http://HOST:PORT or https://HOST, without keys in it")
	check(c.S3.AccessKey != "" && c.S3.SecretKey != "", "bucket is in S3: set s3.access_key and s3.secret_key, the latter best by %s_FILE", envName("s3.secret_key"))
}

// resolveBucket makes the path of a directory absolute, because the lake records it.
func (c *Config) resolveBucket() (err error) {
	if c.Bucket == "" || c.inS3() {
		return nil
	}
	c.Bucket, err = filepath.Abs(c.Bucket)
	return err
}

// shared is the part of the bucket below a name, or all of it. Where all roles are one process, it is the data directory.
func (c *Config) shared(name string) objstore.Place {
	place := objstore.Place{Dir: c.DataDir}
	switch {
	case c.inS3():
		bucket, prefix := c.bucketParts()
		place = objstore.Place{S3: &objstore.S3Config{
			Bucket: bucket, Prefix: prefix, Endpoint: c.S3.Endpoint, Region: c.S3.Region,
			AccessKey: c.S3.AccessKey, SecretKey: c.S3.SecretKey, PathStyle: c.S3.PathStyle,
		}}
	case c.Bucket != "":
		place.Dir = c.Bucket
	}
	if name == "" {
		return place
	}
	return place.Below(name)
}
