package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/objstore"
)

func TestConfigPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "millrace.yaml")
	if err := os.WriteFile(path, []byte("trainer:\n  at: \"04:30\"\n  zone: Europe/Vienna\nlisten: 127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"MILLRACE_TRAINER__ZONE=Asia/Tokyo", "MILLRACE_LISTEN=127.0.0.1:2", "MILLRACE_TEST_DATA=ignored", "HOME=/"}
	cfg, err := loadConfig(path, env, map[string]any{"listen": "127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, got, want, origin string }{
		{"listen", cfg.Listen, "127.0.0.1:3", "flag"},
		{"trainer.zone", cfg.Trainer.Zone, "Asia/Tokyo", "environment"},
		{"trainer.at", cfg.Trainer.At, "04:30", "file " + path},
		{"kafka_listen", cfg.KafkaListen, "127.0.0.1:9092", "default"},
		{"stream.commit_interval", cfg.Stream.CommitInterval.String(), (5 * time.Second).String(), "default"},
	} {
		if c.got != c.want || cfg.origin[c.key] != c.origin {
			t.Errorf("%s = %q from %q, want %q from %q", c.key, c.got, cfg.origin[c.key], c.want, c.origin)
		}
	}
}

func TestConfigFileSuffixReadsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(path, []byte("Europe/Paris\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig("", []string{"MILLRACE_TRAINER__ZONE_FILE=" + path}, nil)
	if err != nil || cfg.Trainer.Zone != "Europe/Paris" {
		t.Fatalf("zone = %v, %v", cfg, err)
	}
}

func TestConfigOfACluster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "millrace.yaml")
	if err := os.WriteFile(path, []byte("kafka:\n  brokers: [a:1, \"b:2,c:3\"]\nbucket: shared\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"MILLRACE_ONLINE__ADDRESSES=d:4, e:5", "MILLRACE_CONTROL__DSN=postgres://me:hush@db/m?password=hush", "MILLRACE_ONLINE__PASSWORD=hush"}
	cfg, err := loadConfig(path, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cfg.Kafka.Brokers, []string{"a:1", "b:2", "c:3"}) || !slices.Equal(cfg.Online.Addresses, []string{"d:4", "e:5"}) {
		t.Errorf("brokers %q, addresses %q", cfg.Kafka.Brokers, cfg.Online.Addresses)
	}
	if !filepath.IsAbs(cfg.Bucket) || cfg.Stream.CommitInterval != roleCommitInterval || cfg.Stream.CommitBytes != roleCommitBytes || cfg.catalogPlace() != cfg.Control.DSN {
		t.Errorf("bucket %s, commit interval %s, catalog %s", cfg.Bucket, cfg.Stream.CommitInterval, cfg.catalogPlace())
	}
	var printed strings.Builder
	if err := (&app{stdout: &printed}).printConfig(cfg); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.String(), "hush") || !strings.Contains(printed.String(), "postgres://me:xxxxx@db/m") {
		t.Errorf("printed:\n%s", printed.String())
	}
	if cfg, err = loadConfig(path, append(env, "MILLRACE_STREAM__COMMIT_INTERVAL=5s"), nil); err != nil || cfg.Stream.CommitInterval != 5*time.Second {
		t.Errorf("a commit interval that was asked for became %v, %v", cfg, err)
	}
}

func TestConfigOfAStore(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"MILLRACE_BUCKET=s3://shop/some/prefix/", "MILLRACE_S3__ENDPOINT=https://store:8333", "MILLRACE_S3__REGION=eu-1",
		"MILLRACE_S3__ACCESS_KEY=me", "MILLRACE_S3__SECRET_KEY_FILE=" + secret, "MILLRACE_S3__PATH_STYLE=true",
		"MILLRACE_CONTROL__DSN=postgres://db/m", "MILLRACE_LAKE__CATALOG=https://catalog/api", "MILLRACE_LAKE__CATALOG_TOKEN=hush", "MILLRACE_LAKE__WAREHOUSE=w"}
	cfg, err := loadConfig("", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := objstore.S3Config{Bucket: "shop", Prefix: "some/prefix/lake", Endpoint: "https://store:8333", Region: "eu-1", AccessKey: "me", SecretKey: "hush", PathStyle: true}
	if got := cfg.shared("lake"); got.S3 == nil || *got.S3 != want || got.Dir != "" {
		t.Errorf("the lake is in %+v, want %+v", got, want)
	}
	if got := cfg.shared("").Location("state"); got != "s3://shop/some/prefix/state" {
		t.Errorf("states are in %s", got)
	}
	if rest := cfg.restCatalog(); cfg.catalogPlace() != "https://catalog/api" || rest.Token != "hush" || rest.Warehouse != "w" {
		t.Errorf("the catalog is %s, %+v", cfg.catalogPlace(), rest)
	}
	var printed strings.Builder
	if err := (&app{stdout: &printed}).printConfig(cfg); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.String(), "hush") || !strings.Contains(printed.String(), "s3://shop/some/prefix") {
		t.Errorf("printed:\n%s", printed.String())
	}
}

func TestConfigMistakes(t *testing.T) {
	unknownKey := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(unknownKey, []byte("trainer:\n  hour: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path  string
		env   []string
		flags map[string]any
		want  string
	}{
		"unknown key in file": {path: unknownKey, want: "trainer.hour"},
		"unknown environment": {env: []string{"MILLRACE_LISTENN=x"}, want: "listenn"},
		"bad hour":            {env: []string{"MILLRACE_TRAINER__AT=25:00"}, want: "HH:MM"},
		"bad zone":            {env: []string{"MILLRACE_TRAINER__ZONE=Mars/Olympus"}, want: "IANA"},
		"too short interval":  {env: []string{"MILLRACE_STREAM__COMMIT_INTERVAL=1ms"}, want: "100ms"},
		"bad address":         {flags: map[string]any{"listen": "nonsense"}, want: "HOST:PORT"},
		"bad number":          {env: []string{"MILLRACE_BROKER__PARTITIONS=abc"}, want: "broker.partitions"},
		"missing file":        {path: filepath.Join(t.TempDir(), "none.yaml"), want: "none.yaml"},
		"bad mechanism":       {env: []string{"MILLRACE_KAFKA__SASL__MECHANISM=GSSAPI"}, want: "SCRAM-SHA-512"},
		"user alone":          {env: []string{"MILLRACE_KAFKA__SASL__USERNAME=me"}, want: "kafka.sasl.mechanism"},
		"online authority":    {env: []string{"MILLRACE_ONLINE__TLS_CA=ca.pem"}, want: "online.tls"},
		"authority alone":     {env: []string{"MILLRACE_KAFKA__TLS_CA=ca.pem"}, want: "kafka.tls"},
		"bad broker":          {env: []string{"MILLRACE_KAFKA__BROKERS=kafka"}, want: "kafka.brokers"},
		"catalog alone":       {env: []string{"MILLRACE_LAKE__CATALOG=postgres://db/m"}, want: "control.dsn"},
		"bad retention":       {env: []string{"MILLRACE_LAKE__RETENTION__EVENTS=-1"}, want: "lake.retention.events"},
		"token alone":         {env: []string{"MILLRACE_LAKE__CATALOG_TOKEN=hush"}, want: "lake.catalog is no http"},
		"catalog with a user": {env: []string{"MILLRACE_CONTROL__DSN=postgres://db/m", "MILLRACE_LAKE__CATALOG=https://me:hush@catalog"}, want: "lake.catalog_token"},
		"other scheme":        {env: []string{"MILLRACE_BUCKET=gs://shop"}, want: "s3://NAME/PREFIX"},
		"no bucket name":      {env: []string{"MILLRACE_BUCKET=s3:///lake"}, want: "NAME is that of a bucket"},
		"hidden prefix":       {env: []string{"MILLRACE_BUCKET=s3://shop/.lake"}, want: "segments"},
		"no keys":             {env: []string{"MILLRACE_BUCKET=s3://shop"}, want: "MILLRACE_S3__SECRET_KEY_FILE"},
		"endpoint alone":      {env: []string{"MILLRACE_S3__ENDPOINT=http://store"}, want: "bucket is no s3://"},
		"bad endpoint":        {env: []string{"MILLRACE_BUCKET=s3://shop", "MILLRACE_S3__ENDPOINT=store:8333"}, want: "http://HOST:PORT"},
		"bad level":           {flags: map[string]any{"log.level": "loud"}, want: "log.level"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig(c.path, c.env, c.flags)
			var usage usageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error = %v, want a usage error about %q", err, c.want)
			}
		})
	}
}
