package kafka

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	kafkago "github.com/segmentio/kafka-go"
)

// stickyProtocol is the name under which members agree on this way to share partitions; a change of what they tell each
// other gets another name.
const stickyProtocol = "millrace-sticky-1"

// stickyBalancer shares the partitions of a group so that each stays where its state is, and no member has more than one
// partition more than another, of a topic and in all. A member tells in its user data which partitions it had last, and
// which it holds state for. The leader's answer depends on nothing else.
type stickyBalancer struct {
	held func() map[string][]int32 // what there is state for in this process

	mu     sync.Mutex
	owned  map[string][]int32
	since  int32          // the generation in which owned was given to it
	shared map[string]int // partitions by topic that this member has shared as the leader of the next generation; nil if it is not
}

// claims are what a member tells about itself, as JSON.
type claims struct {
	Generation int32              `json:"generation"` // of Owned: of two members that had a partition, the later one counts
	Owned      map[string][]int32 `json:"owned"`
	Held       map[string][]int32 `json:"held"`
}

// took notes what a generation gave to this member, and returns how many partitions of each topic it has shared as the
// generation's leader; nil if it was not.
func (b *stickyBalancer) took(gen *kafkago.Generation) (shared map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	shared, b.shared = b.shared, nil
	b.since, b.owned = gen.ID, make(map[string][]int32, len(gen.Assignments))
	for topic, partitions := range gen.Assignments {
		for _, p := range partitions {
			b.owned[topic] = append(b.owned[topic], int32(p.ID))
		}
	}
	return shared
}

// ProtocolName, UserData and AssignGroups make it a kafkago.GroupBalancer.
func (b *stickyBalancer) ProtocolName() string { return stickyProtocol }

// UserData is what this member tells the leader.
func (b *stickyBalancer) UserData() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := claims{Generation: b.since, Owned: b.owned}
	if b.held != nil {
		c.Held = b.held()
	}
	return json.Marshal(c)
}

// AssignGroups shares the partitions of each topic among the members that want it. The leader of the group calls it.
func (b *stickyBalancer) AssignGroups(members []kafkago.GroupMember, partitions []kafkago.Partition) kafkago.GroupMemberAssignments {
	out := make(kafkago.GroupMemberAssignments, len(members))
	var all []*balanced
	for _, m := range members {
		own := &balanced{id: m.ID, topics: m.Topics}
		// A member whose claims cannot be read has none: it gets its share all the same.
		if json.Unmarshal(m.UserData, &own.claims) != nil {
			own.claims = claims{}
		}
		all = append(all, own)
		out[m.ID] = make(map[string][]int)
	}
	slices.SortFunc(all, func(a, b *balanced) int { return cmp.Compare(a.id, b.id) })
	byTopic := make(map[string][]int32)
	for _, p := range partitions {
		byTopic[p.Topic] = append(byTopic[p.Topic], int32(p.ID))
	}
	b.noteShared(byTopic)
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		s := newSharing(topic, byTopic[topic], all)
		for partition, m := range s.share() {
			out[m.id][topic] = append(out[m.id][topic], int(partition))
		}
	}
	for _, topics := range out {
		for _, partitions := range topics {
			slices.Sort(partitions)
		}
	}
	return out
}

func (b *stickyBalancer) noteShared(byTopic map[string][]int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shared = make(map[string]int, len(byTopic))
	for topic, partitions := range byTopic {
		b.shared[topic] = len(partitions)
	}
}

// balanced is a member while partitions are shared.
type balanced struct {
	id     string
	topics []string
	claims claims
	total  int // partitions of the topics shared so far
	room   int // partitions of this topic that it may still get
}

// sharing shares the partitions of one topic.
type sharing struct {
	partitions []int32
	members    []*balanced                 // in the order of their ids
	claimants  map[int32][]*balanced       // by partition, the best first
	given      map[int32]*balanced         // the outcome
	rank       map[*balanced]map[int32]int // how good a claim is
}

const (
	rankHeld  = 1 // there is state, perhaps old
	rankOwned = 2 // and more by generation: it was the last to move the state forward
)

func newSharing(topic string, partitions []int32, members []*balanced) *sharing {
	s := &sharing{partitions: partitions, claimants: make(map[int32][]*balanced), given: make(map[int32]*balanced), rank: make(map[*balanced]map[int32]int)}
	slices.Sort(s.partitions)
	for _, m := range members {
		if !slices.Contains(m.topics, topic) {
			continue
		}
		s.members = append(s.members, m)
		s.rank[m] = make(map[int32]int)
		for _, p := range m.claims.Held[topic] {
			s.rank[m][p] = rankHeld
		}
		for _, p := range m.claims.Owned[topic] {
			s.rank[m][p] = rankOwned + int(m.claims.Generation)
		}
	}
	for _, p := range s.partitions {
		for _, m := range s.members {
			if s.rank[m][p] > 0 {
				s.claimants[p] = append(s.claimants[p], m)
			}
		}
		slices.SortStableFunc(s.claimants[p], func(a, b *balanced) int { return cmp.Compare(s.rank[b][p], s.rank[a][p]) })
	}
	return s
}

func (s *sharing) share() map[int32]*balanced {
	if len(s.members) == 0 {
		return nil
	}
	s.makeRoom()
	// Who has to give something up gives what another holds too, so partitions that nobody else holds choose first.
	order := slices.Clone(s.partitions)
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(len(s.claimants[a]), len(s.claimants[b])) })
	for _, p := range order {
		if m := s.owner(p); m != nil && m.room > 0 {
			s.give(p, m)
		}
	}
	for _, p := range order {
		for _, m := range s.claimants[p] {
			if s.given[p] == nil && m.room > 0 {
				s.give(p, m)
			}
		}
	}
	for _, p := range order {
		if s.given[p] == nil {
			s.give(p, slices.MaxFunc(s.members, func(a, b *balanced) int { return cmp.Compare(a.room, b.room) }))
		}
	}
	return s.given
}

// owner is who had a partition last, or nil if nobody says so.
func (s *sharing) owner(partition int32) *balanced {
	c := s.claimants[partition]
	if len(c) == 0 || s.rank[c[0]][partition] < rankOwned {
		return nil
	}
	return c[0]
}

// makeRoom says how many partitions each member gets. Those that do not divide go to the members that have the fewest of
// the topics before, which keeps the sum even too, and among those to who had the most, then to who has state of the most.
func (s *sharing) makeRoom() {
	each, left := len(s.partitions)/len(s.members), len(s.partitions)%len(s.members)
	owned, held := make(map[*balanced]int), make(map[*balanced]int)
	for _, p := range s.partitions {
		if m := s.owner(p); m != nil {
			owned[m]++
		} else if c := s.claimants[p]; len(c) > 0 {
			held[c[0]]++
		}
	}
	first := slices.Clone(s.members)
	slices.SortStableFunc(first, func(a, b *balanced) int {
		return cmp.Or(cmp.Compare(a.total, b.total), cmp.Compare(owned[b], owned[a]), cmp.Compare(held[b], held[a]))
	})
	for i, m := range first {
		m.room = each
		if i < left {
			m.room++
		}
	}
}

func (s *sharing) give(partition int32, m *balanced) {
	s.given[partition] = m
	m.room--
	m.total++
}
