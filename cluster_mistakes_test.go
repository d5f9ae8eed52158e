package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/sqldb/postgrestest"
)

// clusterMistake is a call that must fail, and what its message must say.
type clusterMistake struct {
	args []string
	env  []string
	exit int
	says []string
}

func (m clusterMistake) expect(t *testing.T) {
	t.Helper()
	for _, entry := range m.env {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	_, stderr, exit := runHere(t, append(m.args, "--data-dir", filepath.Join(t.TempDir(), "data"))...)
	if exit != m.exit {
		t.Errorf("exit %d, want %d", exit, m.exit)
	}
	expectText(t, stderr, m.says...)
	if strings.Contains(stderr, "hush") {
		t.Errorf("the message shows the password:\n%s", stderr)
	}
}

// TestRoleMistakes makes the mistakes of somebody who sets up roles on several machines: each is one message that says what
// to do, and none shows a password.
func TestRoleMistakes(t *testing.T) {
	closed := closedAddress(t)
	nowhere := "MILLRACE_CONTROL__DSN=postgres://millrace:hush@" + closed + "/millrace"
	shared := func(more ...string) []string {
		return append(more, "MILLRACE_KAFKA__BROKERS="+closed, "MILLRACE_ONLINE__ADDRESSES="+closed, "MILLRACE_BUCKET="+t.TempDir())
	}
	for name, m := range map[string]clusterMistake{
		"role without any key": {[]string{"stream"}, nil, exitUsage,
			[]string{"control.dsn", "kafka.brokers", "bucket", "online.addresses", "MILLRACE_CONTROL__DSN", "millrace up"}},
		"role without one": {[]string{"serving"}, []string{nowhere, "MILLRACE_KAFKA__BROKERS=k:9092", "MILLRACE_BUCKET=/b"}, exitUsage,
			[]string{"online.addresses", "MILLRACE_ONLINE__ADDRESSES"}},
		"dsn that is none": {[]string{"serving"}, shared("MILLRACE_CONTROL__DSN=host=db password=hush"), exitUsage,
			[]string{"control.dsn", "postgres://"}},
		"database that is not there": {[]string{"trainer"}, shared(nowhere), exitFailed, []string{"control.dsn", "PostgreSQL", closed}},
		"shared keys for up":         {[]string{"up"}, shared(), exitUsage, []string{"kafka.brokers", "online.addresses", "millrace tracker", "serving"}},
		"embedded keys for a role": {[]string{"tracker"}, shared(nowhere, "MILLRACE_BROKER__PARTITIONS=8"), exitUsage,
			[]string{"broker.partitions", "millrace up"}},
		"command without its world": {[]string{"lake", "info"}, []string{nowhere}, exitUsage, []string{"bucket"}},
	} {
		t.Run(name, func(t *testing.T) { m.expect(t) })
	}
}

func TestUnreachableWorlds(t *testing.T) {
	closed := closedAddress(t)
	dsn := "MILLRACE_CONTROL__DSN=" + postgrestest.Start(t).Database(t)
	env := []string{dsn, "MILLRACE_KAFKA__BROKERS=" + closed, "MILLRACE_ONLINE__ADDRESSES=" + closed, "MILLRACE_BUCKET=" + t.TempDir()}
	clusterMistake{[]string{"tracker"}, env, exitFailed, []string{"reach Kafka", "kafka.brokers", closed}}.expect(t)
	env = append(env, "MILLRACE_KAFKA__BROKERS="+kafkatest.Broker(t).Addr())
	clusterMistake{[]string{"serving"}, env, exitFailed, []string{"reach Redis", "online.addresses", closed}}.expect(t)
}

// closedAddress is where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
