package kafkatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/kafka"
)

// LibsEnv names the variable that holds the directory with the jars of Apache Kafka; pom.xml says how to fill it.
const LibsEnv = "MILLRACE_KAFKA_LIBS"

const (
	// startMinutes is how long Kafka may take to start on a busy machine; alone it takes 5 seconds.
	startMinutes = 3
	// shownLogBytes is how much of a broker's output a failed test shows: its last words.
	shownLogBytes = 32 << 10
)

// Real starts a single Apache Kafka (KRaft) on free ports with its data in a temporary directory, and returns its
// addresses. Without Java or the jars it skips the test, or fails it where CI=true, since there both are set up.
func Real(tb testing.TB) []string {
	tb.Helper()
	return RealCluster(tb, 1).Addrs()
}

// node is one Kafka process. Its directory survives the process.
type node struct {
	tb         testing.TB
	java, libs string
	dir, addr  string
	controller string
	server     *exec.Cmd // nil while it does not run
}

// newNode finds Java and the jars and picks addresses; nothing runs yet.
func newNode(tb testing.TB) *node {
	tb.Helper()
	missing := tb.Skipf
	if os.Getenv("CI") == "true" {
		missing = tb.Fatalf
	}
	libs := os.Getenv(LibsEnv)
	if jars, _ := filepath.Glob(filepath.Join(libs, "kafka_2.13-*.jar")); libs == "" || len(jars) != 1 {
		missing("no Apache Kafka: set %s to a directory with its jars (internal/kafka/kafkatest/pom.xml)", LibsEnv)
	}
	java, err := exec.LookPath("java")
	if err != nil {
		missing("no Apache Kafka: java is not installed")
	}
	return &node{tb: tb, java: java, libs: libs, dir: tb.TempDir(), addr: freeAddr(tb), controller: freeAddr(tb)}
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// command runs a class of Kafka. It outlives the test's context: the server ends with the clean-up, after whatever the
// test still wants from it in clean-ups of its own.
func (n *node) command(class string, args ...string) *exec.Cmd {
	args = append([]string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(n.libs, "*"), class}, args...)
	return exec.CommandContext(context.WithoutCancel(n.tb.Context()), n.java, args...)
}

// format prepares the data directory. extra are arguments of Kafka's storage tool.
func (n *node) format(properties string, extra ...string) error {
	if err := os.WriteFile(n.path("server.properties"), []byte(properties), 0o600); err != nil {
		return err
	}
	args := append([]string{"format", "-t", "TWlsbHJhY2VNaWxscmFjZQ", "-c", n.path("server.properties")}, extra...)
	if out, err := n.command("kafka.tools.StorageTool", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("format Kafka storage: %w\n%s", err, out)
	}
	return nil
}

// start starts the server and returns at once.
func (n *node) start() {
	n.tb.Helper()
	log, err := os.OpenFile(n.path("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.tb.Fatal(err)
	}
	defer log.Close() // the process has its own
	server := n.command("kafka.Kafka", n.path("server.properties"))
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		n.tb.Fatalf("start Kafka: %v", err)
	}
	n.server = server
}

// kill ends the process without a chance to flush or to say goodbye. It does nothing where none runs.
func (n *node) kill() {
	if n.server == nil {
		return
	}
	_ = n.server.Process.Kill() // it has ended already if this fails
	_ = n.server.Wait()         // always "signal: killed"
	n.server = nil
}

func (n *node) signal(s syscall.Signal) {
	n.tb.Helper()
	if err := n.server.Process.Signal(s); err != nil {
		n.tb.Fatalf("signal Kafka: %v", err)
	}
}

// cleanUp ends the process and shows its output after a failure; the data is thrown away.
func (n *node) cleanUp() {
	n.kill()
	if !n.tb.Failed() {
		return
	}
	log, err := os.ReadFile(n.path("server.log"))
	if err != nil {
		n.tb.Logf("no output of Kafka: %v", err)
	}
	n.tb.Logf("output of Kafka at %s:\n%s", n.addr, log[max(0, len(log)-shownLogBytes):])
}

// awaitReady returns when a topic can be created, which proves that Kafka has left its start-up fence.
func awaitReady(tb testing.TB, c *kafka.Client) {
	tb.Helper()
	ready := []kafka.TopicSpec{{Name: "kafkatest-ready", Partitions: 1}}
	for attempt := 1; ; attempt++ { // the client retries for a minute while nobody answers
		_, err := c.EnsureTopics(tb.Context(), ready)
		if err == nil {
			return
		}
		if attempt == startMinutes || !kafka.Transient(err) {
			tb.Fatalf("wait for Kafka: %v", err)
		}
	}
}
