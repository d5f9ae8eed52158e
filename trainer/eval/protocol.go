package eval

import (
	"slices"
	"strings"
)

// The protocols. All rank every item and count every prediction.
const (
	// ProtocolNextItem reveals a test session one event at a time and asks for the next one.
	ProtocolNextItem = "next-item"
	// ProtocolLeaveLast asks each visitor's last event of what went before it.
	ProtocolLeaveLast = "leave-last"
	// ProtocolTemporal asks what each visitor meets after a time of what happened before it.
	ProtocolTemporal = "temporal"
	// ProtocolRandomHoldout asks a random part of each visitor's items of the rest.
	ProtocolRandomHoldout = "random-holdout"
	// ProtocolStrongGeneralization asks a part of the items of visitors of whom models learned nothing.
	ProtocolStrongGeneralization = "strong-generalization"
)

// defaultDraws is how many times the protocols that draw by chance are repeated: their figures move more from draw to draw
// than the intervals of one draw say.
const defaultDraws = 3

// protocol is one way to make cases of a log.
type protocol struct {
	name    string
	ks      []int                // list lengths by default
	primary func(k int) Metric   // the metric to look at first
	metrics func(k int) []Metric // all that say how good a list is
	draws   bool                 // the split depends on the seed
	split   func(l *Log, c Config, seed uint64) (*Dataset, error)
}

func protocols() []protocol {
	inOrder := func(t trained) promise { return promise{order: true, training: t} }
	return []protocol{
		{
			name: ProtocolNextItem, ks: []int{20}, primary: MRR, split: splitSessions,
			metrics: func(k int) []Metric { return []Metric{HR(k), MRR(k), NDCG(k)} },
		},
		{
			name: ProtocolLeaveLast, ks: []int{10}, primary: NDCG, split: splitUsers(leaveLast, inOrder(trainedOwnBefore)),
			metrics: func(k int) []Metric { return []Metric{NDCG(k), HR(k), MRR(k)} },
		},
		{
			name: ProtocolTemporal, ks: []int{10, 20}, primary: NDCG, split: splitUsers(temporal, inOrder(trainedBefore)),
			metrics: func(k int) []Metric { return []Metric{NDCG(k), Recall(k), MAP(k), HR(k), MRR(k)} },
		},
		{
			name: ProtocolRandomHoldout, ks: []int{10}, primary: NDCG, draws: true, split: splitUsers(randomHoldout, promise{}),
			metrics: func(k int) []Metric { return []Metric{NDCG(k), Recall(k), MAP(k), HR(k), MRR(k)} },
		},
		{
			name: ProtocolStrongGeneralization, ks: []int{20, 50, 100}, primary: NDCG, draws: true, split: splitUsers(strongGeneralization, promise{}),
			metrics: func(k int) []Metric { return []Metric{NDCG(k), CappedRecall(k), MAP(k)} },
		},
	}
}

// Protocols lists the names of the protocols.
func Protocols() []string {
	var names []string
	for _, p := range protocols() {
		names = append(names, p.name)
	}
	return names
}

// protocolOf returns the protocol of a name, or a *UsageError.
func protocolOf(name string) (protocol, error) {
	all := protocols()
	i := slices.IndexFunc(all, func(p protocol) bool { return p.name == name })
	if i < 0 {
		return protocol{}, usagef("protocol %q is not known; available: %s", name, strings.Join(Protocols(), ", "))
	}
	return all[i], nil
}
