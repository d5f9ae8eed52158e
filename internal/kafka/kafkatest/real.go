package kafkatest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/kafka"
)

// LibsEnv names the variable that holds the directory with the jars of Apache Kafka; pom.xml says how to fill it.
const LibsEnv = "MILLRACE_KAFKA_LIBS"

// startMinutes is how long Kafka may take to start on a busy machine; alone it takes 5 seconds.
const startMinutes = 3

// Real starts a single Apache Kafka (KRaft) on free ports with its data in a temporary directory, and returns its
// addresses. Without Java or the jars it skips the test, or fails it where CI=true, since there both are set up.
func Real(tb testing.TB) []string {
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

	dir := tb.TempDir()
	addr, controller := freeAddr(tb), freeAddr(tb)
	properties := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(properties, serverProperties(addr, controller, filepath.Join(dir, "data")), 0o600); err != nil {
		tb.Fatal(err)
	}
	args := func(class string, more ...string) []string {
		return append([]string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"), class}, more...)
	}
	format := exec.CommandContext(tb.Context(), java, args("kafka.tools.StorageTool", "format", "-t", "TWlsbHJhY2VNaWxscmFjZQ", "-c", properties)...)
	if out, err := format.CombinedOutput(); err != nil {
		tb.Fatalf("format Kafka storage: %v\n%s", err, out)
	}
	var log bytes.Buffer
	// It ends with the clean-up below, after whatever the test still wants from it in clean-ups of its own.
	server := exec.CommandContext(context.WithoutCancel(tb.Context()), java, args("kafka.Kafka", properties)...)
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		tb.Fatalf("start Kafka: %v", err)
	}
	tb.Cleanup(func() {
		_ = server.Process.Kill() // its data is thrown away, and it has ended already if this fails
		_ = server.Wait()         // always "signal: killed"
		if tb.Failed() {
			tb.Logf("Kafka's output:\n%s", log.String())
		}
	})
	// The client retries for a minute while nobody answers; a topic proves that Kafka has left its start-up fence.
	ready, client := []kafka.TopicSpec{{Name: "kafkatest-ready", Partitions: 1}}, Dial(tb, []string{addr})
	for attempt := 1; ; attempt++ {
		if _, err = client.EnsureTopics(tb.Context(), ready); err == nil {
			return []string{addr}
		}
		if attempt == startMinutes || !kafka.Transient(err) {
			tb.Fatalf("wait for Kafka: %v", err)
		}
	}
}

func serverProperties(addr, controller, data string) []byte {
	return fmt.Appendf(nil, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`, addr, controller, filepath.ToSlash(data))
}

// freeAddr finds a loopback address that was free a moment ago: Kafka cannot be given port 0, since it advertises the
// port it is configured with.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
