package redistest

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// Cluster starts a cluster of masters, each with an equal share of the slots.
func Cluster(tb testing.TB, masters int) []*Server {
	tb.Helper()
	const slots = 16384
	nodes := make([]*Server, masters)
	buses := make([]string, masters)
	for i := range nodes {
		_, bus, err := net.SplitHostPort(freeAddr(tb))
		if err != nil {
			tb.Fatal(err)
		}
		buses[i] = bus
		nodes[i] = Start(tb, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "5000")
		nodes[i].Do(fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/masters, (i+1)*slots/masters-1))
	}
	for i, node := range nodes[1:] {
		host, port, err := net.SplitHostPort(node.Addr)
		if err != nil {
			tb.Fatal(err)
		}
		nodes[0].Do(fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, buses[i+1]))
	}
	for _, node := range nodes {
		node.wait("the cluster is whole", func() (bool, string) {
			info := node.Do("CLUSTER INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", masters)), info
		})
	}
	return nodes
}
