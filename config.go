package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/ratelimit"
	"github.com/millrace/millrace/serving"
	"github.com/millrace/millrace/stream"
	"github.com/millrace/millrace/tracker/spool"
	"github.com/millrace/millrace/trainer"
)

// envPrefix starts every environment variable that configures Millrace; a double underscore separates section and key:
// MILLRACE_TRAINER__AT sets trainer.at. A name that ends in _FILE reads the value from the file that it names.
const envPrefix = "MILLRACE_"

// originDefault is the origin of a value that nobody has set.
const originDefault = "default"

// Config is everything that can be configured. Order of precedence: defaults < file < environment < flags.
type Config struct {
	DataDir     string        `koanf:"data_dir"`
	Listen      string        `koanf:"listen"`
	KafkaListen string        `koanf:"kafka_listen"`
	AdminListen string        `koanf:"admin_listen"`
	Log         LogConfig     `koanf:"log"`
	Broker      BrokerConfig  `koanf:"broker"`
	Kafka       KafkaConfig   `koanf:"kafka"`
	Control     ControlConfig `koanf:"control"`
	Lake        LakeConfig    `koanf:"lake"`
	Bucket      string        `koanf:"bucket"` // a directory, or s3://NAME/PREFIX
	S3          S3Config      `koanf:"s3"`
	Online      OnlineConfig  `koanf:"online"`
	Tracker     TrackerConfig `koanf:"tracker"`
	Stream      StreamConfig  `koanf:"stream"`
	Trainer     TrainerConfig `koanf:"trainer"`
	Erasure     ErasureConfig `koanf:"erasure"`
	Access      AccessConfig  `koanf:"access"`
	Serving     ServingConfig `koanf:"serving"`
	Demo        DemoConfig    `koanf:"demo"`

	values map[string]any    // dotted key -> value, as read
	origin map[string]string // dotted key -> where its value came from
}

// LogConfig says what is logged to stderr and how.
type LogConfig struct {
	Level  string `koanf:"level"`  // debug, info, warn, error
	Format string `koanf:"format"` // text or json
}

// BrokerConfig is the embedded Kafka-protocol broker.
type BrokerConfig struct {
	Partitions     int           `koanf:"partitions"`      // of every topic, fixed at creation
	Retention      time.Duration `koanf:"retention"`       // how long a record is kept
	RetentionBytes int64         `koanf:"retention_bytes"` // of one partition; after a crash the broker reads all of it once
}

// TrackerConfig is the collector.
type TrackerConfig struct {
	Linger time.Duration `koanf:"linger"` // how long an event may wait for company before it is written
	// CookieDomain is that of the cookie with the visitor's id, such as shop.example for a collector at collect.shop.example; "" is the
	// collector's host alone.
	CookieDomain string `koanf:"cookie_domain"`
	SpoolBytes   int64  `koanf:"spool_bytes"` // of the disk, for events that Kafka does not take at the moment
}

// StreamConfig is the stream job.
type StreamConfig struct {
	CommitInterval time.Duration `koanf:"commit_interval"` // of the lake
	CommitBytes    int           `koanf:"commit_bytes"`    // of records that start a commit before its time
	SessionTimeout time.Duration `koanf:"session_timeout"` // how long a process that fell silent keeps its partitions
}

// What Kafka's brokers allow by default. The flush of a partition that is taken away takes 4 s at most.
const (
	minSessionTimeout = 6 * time.Second
	maxSessionTimeout = 5 * time.Minute
)

// TrainerConfig is the nightly training.
type TrainerConfig struct {
	At     string        `koanf:"at"`     // HH:MM
	Zone   string        `koanf:"zone"`   // IANA name
	Window time.Duration `koanf:"window"` // counted back from the newest event
	// Deadline is how long a training may take, and MemoryBytes what it may hold.
	Deadline    time.Duration `koanf:"deadline"`
	MemoryBytes int64         `koanf:"memory_bytes"`
	// Weights are type=weight,...: what an event of a type counts for. Types that are not named do not count.
	Weights string `koanf:"weights"`
	// Skip names the methods that are left out: a list with commas.
	Skip []string `koanf:"skip"`
	Seed uint64   `koanf:"seed"`
}

// ErasureConfig is how erased people are known.
type ErasureConfig struct {
	// Key makes the hashes of the ledger of erased people: 64 hexadecimal digits, the same for all roles, for ever. Without one
	// `up` makes its own, in erasure.key of the data directory.
	Key string `koanf:"key"`
}

// ServingConfig is the recommendation API.
type ServingConfig struct {
	// FullExposures is the share of lists of which everything is recorded that they were made from.
	FullExposures float64 `koanf:"full_exposures"`
	FeedsDir      string  `koanf:"feeds_dir"`     // the directory that paths of catalogue feeds are in; "" allows none
	FeedsPrivate  bool    `koanf:"feeds_private"` // feeds are also read from addresses of private networks
	GCPercent     int     `koanf:"gc_percent"`    // garbage that may gather, of what lives, in a process that answers lists; GOGC comes first
	// Exploration is the share of lists that give one place to an item that hardly anybody has met, where a placement does not say it.
	Exploration float64 `koanf:"exploration"`
}

// DemoConfig is the demo shop of `up --demo`.
type DemoConfig struct {
	EventsPerSecond float64 `koanf:"events_per_second"` // of the simulated shoppers; 0 switches them off
}

// defaults holds the value of every known key; a key that is not here is unknown and refused.
func defaults() map[string]any {
	return map[string]any{
		"data_dir":                 "./millrace-data",
		"listen":                   "127.0.0.1:8080",
		"kafka_listen":             "127.0.0.1:9092",
		"admin_listen":             "127.0.0.1:9090",
		"log.level":                "info",
		"log.format":               "text",
		"broker.partitions":        16,
		"broker.retention":         "168h",
		"broker.retention_bytes":   int64(128 << 20),
		"kafka.brokers":            "",
		"kafka.tls":                false,
		"kafka.tls_ca":             "",
		"kafka.sasl.mechanism":     "",
		"kafka.sasl.username":      "",
		"kafka.sasl.password":      "",
		"kafka.partitions":         64,
		"kafka.replication":        0,
		"kafka.retention":          "168h",
		"kafka.compaction_lag":     "1h",
		"control.dsn":              "",
		"lake.catalog":             "",
		"lake.catalog_token":       "",
		"lake.warehouse":           "",
		"lake.retention.events":    0,
		"lake.retention.exposures": 0,
		"bucket":                   "",
		"s3.endpoint":              "",
		"s3.region":                objstore.DefaultRegion,
		"s3.access_key":            "",
		"s3.secret_key":            "",
		"s3.path_style":            false,
		"online.addresses":         "",
		"online.tls":               false,
		"online.tls_ca":            "",
		"online.username":          "",
		"online.password":          "",
		"tracker.linger":           "3ms",
		"tracker.cookie_domain":    "",
		"tracker.spool_bytes":      int64(spool.DefaultMaxBytes),
		"stream.commit_interval":   "5s",
		"stream.commit_bytes":      stream.DefaultCommitBytes,
		"stream.session_timeout":   "30s",
		"erasure.key":              "",
		"access.seal_key":          "",
		"access.trusted_proxies":   "",
		"access.key_rate":          ratelimit.DefaultKeyRate,
		"access.network_rate":      ratelimit.DefaultNetworkRate,
		"trainer.at":               "03:00",
		"trainer.zone":             "UTC",
		"trainer.window":           "8760h",
		"trainer.deadline":         "4h",
		"trainer.memory_bytes":     int64(trainer.DefaultMemoryBytes),
		"trainer.skip":             "",
		"trainer.weights":          trainer.FormatWeights(trainer.DefaultWeights()),
		"trainer.seed":             1,
		"serving.full_exposures":   serving.DefaultFullShare,
		"serving.exploration":      serving.DefaultExploration,
		"serving.feeds_dir":        "",
		"serving.feeds_private":    false,
		"serving.gc_percent":       defaultGCPercent,
		"demo.events_per_second":   2.0,
	}
}

// overrides are flags that set configuration keys; only flags that were given count. Several commands may have a flag for
// one key.
type overrides struct{ flags []override }

type override struct {
	key  string
	flag *pflag.Flag
}

// String declares a flag for a configuration key.
func (o *overrides) String(set *pflag.FlagSet, name, key, usage string) {
	set.String(name, "", usage)
	o.flags = append(o.flags, override{key, set.Lookup(name)})
}

func (o *overrides) given() map[string]any {
	given := map[string]any{}
	for _, f := range o.flags {
		if f.flag.Changed {
			given[f.key] = f.flag.Value.String()
		}
	}
	return given
}

// loadConfig reads the layers in order of precedence, refuses unknown keys and checks every value.
func loadConfig(path string, environ []string, flags map[string]any) (*Config, error) {
	k := koanf.New(".")
	cfg := &Config{origin: map[string]string{}}
	layer := func(name string, values map[string]any) error {
		for key := range values {
			cfg.origin[key] = name
		}
		return k.Load(confmap.Provider(values, "."), nil)
	}
	if err := layer(originDefault, defaults()); err != nil {
		return nil, fmt.Errorf("load defaults: %w", err)
	}
	if path != "" {
		fromFile := koanf.New(".")
		if err := fromFile.Load(file.Provider(path), yaml.Parser()); err != nil {
			return nil, usageError{fmt.Errorf("read configuration %s: %w", path, err)}
		}
		if err := known("in "+path, fromFile.All()); err != nil {
			return nil, err
		}
		if err := layer("file "+path, fromFile.All()); err != nil {
			return nil, fmt.Errorf("load %s: %w", path, err)
		}
	}
	env, err := fromEnvironment(environ)
	if err != nil {
		return nil, err
	}
	if err := layer("environment", env); err != nil {
		return nil, fmt.Errorf("load environment: %w", err)
	}
	if err := layer("flag", flags); err != nil {
		return nil, fmt.Errorf("load flags: %w", err)
	}
	if err := k.Unmarshal("", cfg); err != nil {
		return nil, usageError{fmt.Errorf("configuration: %w", err)}
	}
	cfg.values = k.All()
	cfg.adaptToCluster()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg, cfg.resolve()
}

// toolVariables are environment variables with our prefix that configure suites, not the product.
var toolVariables = []string{"MILLRACE_TEST_DATA", "MILLRACE_NODE_MODULES", "MILLRACE_API_NODE_MODULES", "MILLRACE_FUZZ_FOR", "MILLRACE_KAFKA_LIBS", "MILLRACE_CHROMIUM", "MILLRACE_READERS", "MILLRACE_RUN_MAIN",
	"MILLRACE_TEST_LONG", "MILLRACE_RIVALS"}

func fromEnvironment(environ []string) (map[string]any, error) {
	values := map[string]any{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(toolVariables, name) {
			continue
		}
		key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix), "__", "."))
		if _, ok := defaults()[key]; !ok && strings.HasSuffix(key, "_file") {
			content, err := os.ReadFile(value)
			if err != nil {
				return nil, usageError{fmt.Errorf("read the file named by %s: %w", name, err)}
			}
			key, value = strings.TrimSuffix(key, "_file"), strings.TrimSpace(string(content))
		}
		values[key] = value
	}
	return values, known("in the environment (MILLRACE_SECTION__KEY)", values)
}

func known(where string, values map[string]any) error {
	var unknown []string
	for key := range values {
		if _, ok := defaults()[key]; !ok {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return usageError{fmt.Errorf("unknown configuration %s %s; 'millrace config print' lists every key", strings.Join(unknown, ", "), where)}
}

// Validate checks every value that a role would otherwise stumble over later.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.DataDir != "", "data_dir is empty; name a directory")
	for key, address := range map[string]string{"listen": c.Listen, "kafka_listen": c.KafkaListen, "admin_listen": c.AdminListen} {
		_, port, err := net.SplitHostPort(address)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		check(err == nil, "%s %q: use HOST:PORT, such as 127.0.0.1:8080", key, address)
	}
	check(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level %q: use debug, info, warn or error", c.Log.Level)
	check(slices.Contains([]string{"text", "json"}, c.Log.Format), "log.format %q: use text or json", c.Log.Format)
	check(c.Broker.Partitions >= 1 && c.Broker.Partitions <= 1024, "broker.partitions %d: use 1 to 1024", c.Broker.Partitions)
	check(c.Broker.Retention >= time.Hour, "broker.retention %s: use 1h or more", c.Broker.Retention)
	check(c.Broker.RetentionBytes >= 64<<20, "broker.retention_bytes %d: use %d or more", c.Broker.RetentionBytes, 64<<20)
	check(c.Tracker.Linger >= 0 && c.Tracker.Linger <= time.Second, "tracker.linger %s: use 0s to 1s", c.Tracker.Linger)
	check(c.Tracker.SpoolBytes >= 16<<20, "tracker.spool_bytes %d: use %d or more", c.Tracker.SpoolBytes, 16<<20)
	check(c.Stream.CommitInterval >= 100*time.Millisecond, "stream.commit_interval %s: use 100ms or more", c.Stream.CommitInterval)
	check(c.Stream.CommitBytes >= 1<<20 && c.Stream.CommitBytes <= 256<<20, "stream.commit_bytes %d: use %d to %d", c.Stream.CommitBytes, 1<<20, 256<<20)
	check(c.Stream.SessionTimeout >= minSessionTimeout && c.Stream.SessionTimeout <= maxSessionTimeout,
		"stream.session_timeout %s: use %s to %s", c.Stream.SessionTimeout, minSessionTimeout, maxSessionTimeout)
	check(c.Lake.Retention.Events >= 0, "lake.retention.events %d: use a number of days, 0 to keep all", c.Lake.Retention.Events)
	check(c.Lake.Retention.Exposures >= 0, "lake.retention.exposures %d: use a number of days, 0 to keep all", c.Lake.Retention.Exposures)
	c.checkCluster(check)
	c.checkBucket(check)
	_, err := time.Parse("15:04", c.Trainer.At)
	check(err == nil, "trainer.at %q: use HH:MM", c.Trainer.At)
	_, err = time.LoadLocation(c.Trainer.Zone)
	check(err == nil, "trainer.zone %q: use an IANA zone such as Europe/Vienna", c.Trainer.Zone)
	check(c.Trainer.Window >= time.Hour, "trainer.window %s: use 1h or more", c.Trainer.Window)
	check(c.Trainer.Deadline >= time.Minute, "trainer.deadline %s: use 1m or more", c.Trainer.Deadline)
	check(c.Trainer.MemoryBytes >= 512<<20, "trainer.memory_bytes %d: use %d or more", c.Trainer.MemoryBytes, 512<<20)
	err = trainer.CheckSkip(splitList(c.Trainer.Skip))
	check(err == nil, "trainer.skip: %v", err)
	_, err = trainer.ParseWeights(c.Trainer.Weights)
	check(err == nil, "trainer.weights %q: %v", c.Trainer.Weights, err)
	if c.Erasure.Key != "" {
		_, err = erasure.ParseKey(c.Erasure.Key)
		check(err == nil, "erasure.key: use 64 hexadecimal digits, as `openssl rand -hex 32` prints them")
	}
	c.Access.check(check)
	check(c.Serving.FullExposures >= 0 && c.Serving.FullExposures <= 1, "serving.full_exposures %g: use a share from 0 to 1", c.Serving.FullExposures)
	check(c.Serving.GCPercent >= 10 && c.Serving.GCPercent <= 1000, "serving.gc_percent %d: use 10 to 1000", c.Serving.GCPercent)
	check(c.Serving.Exploration >= 0 && c.Serving.Exploration <= 1, "serving.exploration %g: use a share from 0 to 1", c.Serving.Exploration)
	check(c.Demo.EventsPerSecond >= 0 && c.Demo.EventsPerSecond <= 1000, "demo.events_per_second %g: use 0 to 1000", c.Demo.EventsPerSecond)
	if len(errs) > 0 {
		return usageError{fmt.Errorf("configuration: %w", errors.Join(errs...))}
	}
	return nil
}

// resolve makes the paths absolute, because the lake records them.
func (c *Config) resolve() (err error) {
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return fmt.Errorf("resolve data directory: %w", err)
	}
	if err := c.resolveBucket(); err != nil {
		return fmt.Errorf("resolve bucket: %w", err)
	}
	return nil
}

// path is that of something below the data directory, which is private to one process.
func (c *Config) path(name ...string) string {
	return filepath.Join(append([]string{c.DataDir}, name...)...)
}
