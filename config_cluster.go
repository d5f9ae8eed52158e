package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/sqldb"
	"github.com/millrace/millrace/lake"
)

// KafkaConfig is the cluster that roles on several machines meet on.
type KafkaConfig struct {
	Brokers     []string      `koanf:"brokers"` // host:port of some; the rest is discovered
	TLS         bool          `koanf:"tls"`     // encrypt, and check the brokers' certificates
	TLSCA       string        `koanf:"tls_ca"`  // file with the certificates to trust, instead of the system's
	SASL        SASLConfig    `koanf:"sasl"`
	Partitions  int           `koanf:"partitions"`  // of every topic, fixed at creation
	Replication int           `koanf:"replication"` // of topics made here; 0 is the brokers' default
	Retention   time.Duration `koanf:"retention"`   // of topics made here that are not compacted
	// CompactionLag is how long topics made here that are compacted keep what a newer record has replaced; after twice that it is
	// gone, and with it the last of a person who was erased.
	CompactionLag time.Duration `koanf:"compaction_lag"`
}

// SASLConfig is how roles prove to Kafka who they are.
type SASLConfig struct {
	Mechanism string `koanf:"mechanism"` // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: not at all
	Username  string `koanf:"username"`
	Password  string `koanf:"password"`
}

// ControlConfig is where operators and roles agree: keys, placements, jobs, leases, topic epochs.
type ControlConfig struct {
	DSN string `koanf:"dsn"` // postgres://USER:PASSWORD@HOST/DATABASE
}

// LakeConfig is the lake's catalog, and how long it keeps rows.
type LakeConfig struct {
	Catalog      string          `koanf:"catalog"`       // PostgreSQL, like control.dsn, which it defaults to, or the URL of an Iceberg REST catalog
	CatalogToken string          `koanf:"catalog_token"` // for a REST catalog
	Warehouse    string          `koanf:"warehouse"`     // of a REST catalog that has several
	Retention    RetentionConfig `koanf:"retention"`
}

// RetentionConfig says how many days a table of the lake keeps, counted back from its newest; 0 keeps all. What is dropped can
// be trained on no more, and features that are made again know nothing of it.
type RetentionConfig struct {
	Events    int `koanf:"events"`
	Exposures int `koanf:"exposures"`
}

// OnlineConfig is the Redis or Valkey that holds the online features.
type OnlineConfig struct {
	Addresses []string `koanf:"addresses"` // host:port; several of one cluster
	TLS       bool     `koanf:"tls"`       // encrypt, and check the servers' certificates
	TLSCA     string   `koanf:"tls_ca"`    // file with the certificates to trust, instead of the system's
	Username  string   `koanf:"username"`
	Password  string   `koanf:"password"`
}

// The worlds outside a process. Every role and every command needs the control store, and some of the others.
const (
	needKafka needs = 1 << iota
	needLake
	needOnline
	needModels
	spareKafka // Kafka is needed, but not to start
)

// needs is a set of worlds.
type needs uint8

func (n needs) has(world needs) bool { return n&world != 0 }

// requirement is a key without which roles on several machines cannot meet.
type requirement struct {
	key, what string
	by        needs // 0: of everybody
	given     func(*Config) bool
}

var requirements = []requirement{
	{"control.dsn", "the PostgreSQL database that all roles share, such as postgres://millrace:secret@db/millrace", 0,
		func(c *Config) bool { return c.Control.DSN != "" }},
	{"kafka.brokers", "addresses of the Kafka cluster, such as kafka-1:9092,kafka-2:9092", needKafka,
		func(c *Config) bool { return len(c.Kafka.Brokers) > 0 }},
	{"bucket", "a directory that all roles share, or s3://NAME/PREFIX in an S3-compatible store, for the lake, the models and checkpoints of states", needLake | needModels,
		func(c *Config) bool { return c.Bucket != "" }},
	{"online.addresses", "addresses of the Redis or Valkey that all roles share, such as redis:6379", needOnline,
		func(c *Config) bool { return len(c.Online.Addresses) > 0 }},
}

// sharedKeys begin the keys that say where the shared worlds are, embeddedKeys those of what only `up` brings along.
var (
	sharedKeys   = []string{"kafka.", "control.", "lake.catalog", "lake.warehouse", "bucket", "s3.", "online."}
	embeddedKeys = []string{"broker.", "kafka_listen", "demo."}
)

// roleCommitInterval and roleCommitBytes are when roles on several machines commit to the lake, unless configured: several
// processes commit, each commit writes a file, and the files stay. The bytes cost some 400 MB of memory at most.
const (
	roleCommitInterval = time.Minute
	roleCommitBytes    = 64 << 20
)

// cluster reports whether the configuration names a shared world: then nothing is embedded.
func (c *Config) cluster() bool {
	return slices.ContainsFunc(requirements, func(r requirement) bool { return r.given(c) })
}

// adaptToCluster brings lists to their form and sets the defaults that differ for roles on several machines.
func (c *Config) adaptToCluster() {
	c.Kafka.Brokers, c.Online.Addresses = splitList(c.Kafka.Brokers), splitList(c.Online.Addresses)
	if !c.cluster() {
		return
	}
	if key := "stream.commit_interval"; c.origin[key] == originDefault {
		c.Stream.CommitInterval, c.values[key] = roleCommitInterval, roleCommitInterval.String()
	}
	if key := "stream.commit_bytes"; c.origin[key] == originDefault {
		c.Stream.CommitBytes, c.values[key] = roleCommitBytes, roleCommitBytes
	}
}

// splitList takes lists of YAML, and texts with commas as the environment has them.
func splitList(given []string) []string {
	var list []string
	for _, text := range given {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}

// checkCluster is the part of Validate that is about the shared worlds. It shows no secret.
func (c *Config) checkCluster(check func(ok bool, format string, args ...any)) {
	for key, addresses := range map[string][]string{"kafka.brokers": c.Kafka.Brokers, "online.addresses": c.Online.Addresses} {
		for _, address := range addresses {
			host, port, err := net.SplitHostPort(address)
			check(err == nil && host != "" && port != "", "%s %q: use HOST:PORT, several with commas", key, address)
		}
	}
	mechanisms := []string{"", kafka.MechanismPlain, kafka.MechanismSCRAMSHA256, kafka.MechanismSCRAMSHA512}
	check(slices.Contains(mechanisms, c.Kafka.SASL.Mechanism), "kafka.sasl.mechanism %q: use one of%s", c.Kafka.SASL.Mechanism, strings.Join(mechanisms, " "))
	check((c.Kafka.SASL.Mechanism == "") == (c.Kafka.SASL.Username == ""), "kafka.sasl.mechanism and kafka.sasl.username: set both or none")
	check(c.Kafka.TLS || c.Kafka.TLSCA == "", "kafka.tls_ca is set, but kafka.tls is not")
	check(c.Online.TLS || c.Online.TLSCA == "", "online.tls_ca is set, but online.tls is not")
	for key, dsn := range map[string]string{"control.dsn": c.Control.DSN, "lake.catalog": c.Lake.Catalog} {
		if key == "lake.catalog" && lake.IsRESTCatalog(dsn) {
			continue
		}
		_, err := url.Parse(dsn)
		check(dsn == "" || err == nil && sqldb.IsURL(dsn), "%s: use postgres://USER:PASSWORD@HOST/DATABASE, with %%XX for what a URL cannot hold", key)
	}
	checkRESTCatalog(c.Lake, check)
	check(c.Lake.Catalog == "" || c.Control.DSN != "", "lake.catalog is set, but control.dsn is not: roles need both, or control.dsn alone")
	check(c.Kafka.Partitions >= 1 && c.Kafka.Partitions <= 10_000, "kafka.partitions %d: use 1 to 10000", c.Kafka.Partitions)
	check(c.Kafka.Replication >= 0 && c.Kafka.Replication <= 100, "kafka.replication %d: use the number of copies, or 0 for the brokers' default", c.Kafka.Replication)
	check(c.Kafka.Retention >= time.Hour, "kafka.retention %s: use 1h or more", c.Kafka.Retention)
	check(c.Kafka.CompactionLag >= time.Second, "kafka.compaction_lag %s: use 1s or more", c.Kafka.CompactionLag)
}

// checkRESTCatalog is the part of Validate that is about a catalog behind the Iceberg REST API.
func checkRESTCatalog(c LakeConfig, check func(ok bool, format string, args ...any)) {
	if !lake.IsRESTCatalog(c.Catalog) {
		check(c.CatalogToken == "" && c.Warehouse == "", "lake.catalog_token or lake.warehouse is set, but lake.catalog is no http:// or https:// URL")
		return
	}
	at, err := url.Parse(c.Catalog)
	check(err == nil && at.Host != "" && at.User == nil, "lake.catalog: use https://HOST/PATH, the part before /v1, and lake.catalog_token for what it asks for")
}

// require reports every key that is missing for what a role or command needs.
func (c *Config) require(who string, n needs) error {
	var errs []error
	for _, r := range requirements {
		if (r.by == 0 || n.has(r.by)) && !r.given(c) {
			errs = append(errs, fmt.Errorf("%s is not set: %s; set it in the file of --config or as %s", r.key, r.what, envName(r.key)))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	errs = append(errs, errors.New("to run everything in one process without any of this, use `millrace up`"))
	return usageError{fmt.Errorf("%s: %w", who, errors.Join(errs...))}
}

// refuse reports keys that were given to a command which would ignore them.
func (c *Config) refuse(prefixes []string, instead string) error {
	var given []string
	for key, origin := range c.origin {
		if origin != originDefault && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			given = append(given, fmt.Sprintf("%s (%s)", key, origin))
		}
	}
	if len(given) == 0 {
		return nil
	}
	slices.Sort(given)
	return usageError{fmt.Errorf("%s would be ignored: %s", strings.Join(given, ", "), instead)}
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

// controlPlace is where the control store is.
func (c *Config) controlPlace() string {
	if c.Control.DSN != "" {
		return c.Control.DSN
	}
	return c.path(controlFile)
}

// catalogPlace is where the lake's catalog is; empty means in the lake's own directory.
func (c *Config) catalogPlace() string {
	if c.Lake.Catalog != "" {
		return c.Lake.Catalog
	}
	return c.Control.DSN
}

// restCatalog is what a REST catalog wants to know.
func (c *Config) restCatalog() lake.RESTCatalog {
	return lake.RESTCatalog{Token: c.Lake.CatalogToken, Warehouse: c.Lake.Warehouse}
}

// shown is a key's value as it may be printed.
func (c *Config) shown(key string) any {
	value := c.values[key]
	text, ok := value.(string)
	switch {
	case !ok || text == "":
		return value
	case strings.HasSuffix(key, ".password"), strings.HasSuffix(key, ".secret_key"), key == "erasure.key", key == "access.seal_key", key == "lake.catalog_token":
		return "(hidden)"
	case key == "control.dsn" || key == "lake.catalog":
		return withoutPassword(text)
	}
	return value
}

func withoutPassword(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "(hidden)"
	}
	query := u.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if query.Has(name) {
			query.Set(name, "xxxxx")
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}
