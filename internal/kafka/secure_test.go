package kafka_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

var mechanisms = []string{kafka.MechanismPlain, kafka.MechanismSCRAMSHA256, kafka.MechanismSCRAMSHA512}

func TestSecureInMemory(t *testing.T) {
	ca, certificate := kafkatest.Certificate(t)
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.EnableSASL(), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})}
	for _, m := range mechanisms {
		opts = append(opts, kfake.Superuser(m, kafkatest.User, kafkatest.Password))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cfg := kafka.Config{Brokers: cluster.ListenAddrs(), TLS: true, TLSCA: ca, SASL: kafka.SASL{Username: kafkatest.User, Password: kafkatest.Password}}
	testMechanisms(t, cfg)
	testWrongCertificate(t, cfg)
}

func TestSecureReal(t *testing.T) {
	cfg := kafkatest.RealSecure(t)
	testMechanisms(t, cfg)
	testWrongCertificate(t, cfg)
	testWrongUser(t, cfg)
}

// testMechanisms: every mechanism lets client, producer and group in.
func testMechanisms(t *testing.T, good kafka.Config) {
	for _, mechanism := range mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			cfg := good
			cfg.SASL.Mechanism = mechanism
			topic := "secure-" + mechanism
			c := connect(t, cfg)
			kafkatest.Topic(t, c, topic, 1)
			produce(t, kafkatest.Producer(t, c, kafka.ProducerConfig{}), topic, 0, 3)
			if got := fetchAll(t, c, topic, 0, 0); len(got) != 3 {
				t.Fatalf("%d records, want 3", len(got))
			}
			o := newOwners(t)
			stop := kafkatest.Run(t, func(ctx context.Context) error { return group(c, topic, topic).Run(ctx, o.handler("a")) })
			o.await(map[string]int{"a": 1})
			stop()
		})
	}
}

func testWrongCertificate(t *testing.T, good kafka.Config) {
	other, _ := kafkatest.Certificate(t)
	testRefused(t, good, []refusal{
		{"another authority", func(c *kafka.Config) { c.TLSCA = other }, "none of the trusted authorities (kafka.tls_ca)"},
		{"system's authorities", func(c *kafka.Config) { c.TLSCA = "" }, "none of the trusted authorities (kafka.tls_ca)"},
		{"another name", func(c *kafka.Config) {
			c.Brokers = []string{strings.Replace(c.Brokers[0], "127.0.0.1", "localhost", 1)}
		}, "for other names than kafka.brokers"},
	})
}

// testWrongUser needs Apache Kafka: the in-memory cluster closes the connection without an answer.
func testWrongUser(t *testing.T, good kafka.Config) {
	testRefused(t, good, []refusal{
		{"wrong password", func(c *kafka.Config) { c.SASL.Password = "guess" },
			`refuse user "millrace" or its password (kafka.sasl.username, kafka.sasl.password)`},
		{"wrong plain password", func(c *kafka.Config) { c.SASL.Mechanism, c.SASL.Password = kafka.MechanismPlain, "guess" },
			`refuse user "millrace" or its password`},
		{"unknown user", func(c *kafka.Config) { c.SASL.Username = "nobody" }, `refuse user "nobody"`},
	})
}

type refusal struct {
	name   string
	change func(*kafka.Config)
	want   string
}

func testRefused(t *testing.T, good kafka.Config, refusals []refusal) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			cfg.SASL.Mechanism = kafka.MechanismSCRAMSHA256
			tt.change(&cfg)
			c := connect(t, cfg)
			begun := time.Now()
			_, err := c.Offsets(t.Context(), "secure")
			requireExplained(t, err, tt.want, begun)
			begun = time.Now()
			err = group(c, "secure", "secure").Run(t.Context(), newOwners(t).handler("a"))
			requireExplained(t, err, tt.want, begun)
		})
	}
}

// requireExplained wants an error that says what to change, and not only after the minute that an outage may take.
func requireExplained(t *testing.T, err error, want string, begun time.Time) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want it to say %q", err, want)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("said only after %v: %v", took, err)
	}
}

func connect(t *testing.T, cfg kafka.Config) *kafka.Client {
	t.Helper()
	c, err := kafka.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestSecureConfig(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	user := kafka.SASL{Username: "u", Password: "p"}
	unknown, nameless := user, kafka.SASL{Mechanism: kafka.MechanismPlain}
	unknown.Mechanism = "GSSAPI"
	for _, tt := range []struct {
		cfg  kafka.Config
		want string
	}{
		{kafka.Config{TLS: true, TLSCA: notPEM}, "no PEM certificate in"},
		{kafka.Config{TLS: true, TLSCA: notPEM + ".gone"}, "read certificate authority (kafka.tls_ca)"},
		{kafka.Config{TLSCA: notPEM}, "TLS is off (kafka.tls)"},
		{kafka.Config{SASL: user}, "no SASL mechanism (kafka.sasl.mechanism)"},
		{kafka.Config{SASL: unknown}, "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
		{kafka.Config{SASL: nameless}, "needs a user (kafka.sasl.username)"},
	} {
		tt.cfg.Brokers = []string{"127.0.0.1:9092"}
		if _, err := kafka.NewClient(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want it to say %q", tt.cfg, err, tt.want)
		}
	}
}
