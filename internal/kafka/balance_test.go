package kafka

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
)

// crowd is a group as its leader sees it.
type crowd struct {
	rng        *rand.Rand
	topics     map[string]int
	members    map[string]claims
	generation int32
}

func (c *crowd) assign(tb testing.TB) kafkago.GroupMemberAssignments {
	c.generation++
	var members []kafkago.GroupMember
	for id, said := range c.members {
		data, err := json.Marshal(said)
		if err != nil {
			tb.Fatal(err)
		}
		var topics []string
		for topic := range c.topics {
			topics = append(topics, topic)
		}
		members = append(members, kafkago.GroupMember{ID: id, Topics: topics, UserData: data})
	}
	var partitions []kafkago.Partition
	for topic, n := range c.topics {
		for p := range n {
			partitions = append(partitions, kafkago.Partition{Topic: topic, ID: p})
		}
	}
	b := &stickyBalancer{}
	first := b.AssignGroups(members, partitions)
	c.rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	c.rng.Shuffle(len(partitions), func(i, j int) { partitions[i], partitions[j] = partitions[j], partitions[i] })
	if again := b.AssignGroups(members, partitions); !reflect.DeepEqual(first, again) {
		tb.Fatalf("the order in which members and partitions come makes a difference:\n%v\n%v", first, again)
	}
	return first
}

// take makes the members own what they were given. What they had before stays on their disks.
func (c *crowd) take(given kafkago.GroupMemberAssignments) {
	for id, topics := range given {
		said := claims{Generation: c.generation, Owned: make(map[string][]int32), Held: c.members[id].Held}
		if said.Held == nil {
			said.Held = make(map[string][]int32)
		}
		for topic, partitions := range topics {
			for _, p := range partitions {
				said.Owned[topic] = append(said.Owned[topic], int32(p))
				if !slices.Contains(said.Held[topic], int32(p)) {
					said.Held[topic] = append(said.Held[topic], int32(p))
				}
			}
		}
		c.members[id] = said
	}
}

func ownersOf(given kafkago.GroupMemberAssignments, topic string) map[int]string {
	owners := make(map[int]string)
	for id, topics := range given {
		for _, p := range topics[topic] {
			owners[p] = id
		}
	}
	return owners
}

// requireFair: every partition has one owner, and nobody has more than one more than another, of a topic and in all.
func (c *crowd) requireFair(tb testing.TB, given kafkago.GroupMemberAssignments) {
	tb.Helper()
	even := func(what string, size func(id string) int) {
		var sizes []int
		for id := range c.members {
			sizes = append(sizes, size(id))
		}
		if slices.Max(sizes)-slices.Min(sizes) > 1 {
			tb.Fatalf("%s are shared as %v: %v", what, sizes, given)
		}
	}
	if len(given) != len(c.members) {
		tb.Fatalf("%d of %d members were told anything", len(given), len(c.members))
	}
	sum := make(map[string]int)
	for topic, n := range c.topics {
		total := 0
		for id := range c.members {
			total += len(given[id][topic])
			sum[id] += len(given[id][topic])
		}
		if owners := ownersOf(given, topic); len(owners) != n || total != n {
			tb.Fatalf("%d of %d partitions of %s have an owner, %d were given: %v", len(owners), n, topic, total, given)
		}
		even("partitions of "+topic, func(id string) int { return len(given[id][topic]) })
	}
	even("all partitions", func(id string) int { return sum[id] })
}

// Members come, go and restart in random order. Whatever happens, the shares are fair; and of the topic that has state,
// no partition moves between two members that stay.
func TestBalance(t *testing.T) {
	const stateful = "a" // the first topic in the order of names
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := &crowd{rng: rng, topics: map[string]int{stateful: 1 + rng.IntN(40), "b": rng.IntN(40), "c": 1 + rng.IntN(5)}, members: make(map[string]claims)}
		c.members["m0"] = claims{}
		given := c.assign(t)
		c.requireFair(t, given)
		c.take(given)
		for step := 1; step < 12; step++ {
			switch kind := rng.IntN(3); {
			case kind == 0:
				c.members[fmt.Sprintf("m%d", rng.IntN(1000)+step*1000)] = claims{}
			case kind == 1 && len(c.members) > 1:
				gone := slices.Sorted(maps.Keys(c.members))
				delete(c.members, gone[rng.IntN(len(gone))])
			}
			before := ownersOf(given, stateful)
			given = c.assign(t)
			c.requireFair(t, given)
			for p, id := range ownersOf(given, stateful) {
				_, stays := c.members[before[p]]
				if known := c.members[id].Generation > 0; known && stays && before[p] != id {
					t.Logf("%v\n%v\n%v", c.topics, before, ownersOf(given, stateful))
					t.Fatalf("seed %d step %d: partition %d moved from %s to %s, and both were there before", seed, step, p, before[p], id)
				}
			}
			c.take(given)
			if again := c.assign(t); !reflect.DeepEqual(again, given) {
				t.Fatalf("seed %d step %d: nothing happened, and the shares changed from %v to %v", seed, step, given, again)
			}
		}
	}
}

// All processes restart: they have other names and own nothing, but their disks tell.
func TestBalanceAfterRestart(t *testing.T) {
	c := &crowd{rng: rand.New(rand.NewPCG(1, 1)), topics: map[string]int{"a": 16}, members: map[string]claims{"x": {}, "y": {}, "z": {}}}
	given := c.assign(t)
	c.take(given)
	before := ownersOf(given, "a")
	renamed := map[string]string{"x": "3", "y": "1", "z": "2"}
	restarted := make(map[string]claims)
	for id, said := range c.members {
		restarted[renamed[id]] = claims{Held: said.Held}
	}
	c.members = restarted
	for p, id := range ownersOf(c.assign(t), "a") {
		if renamed[before[p]] != id {
			t.Errorf("partition %d has its state at %s and was given to %s", p, renamed[before[p]], id)
		}
	}
}

// A member that slept through a generation says that it owns what others own by now.
func TestBalanceZombie(t *testing.T) {
	all := map[string][]int32{"a": {0, 1, 2, 3}}
	c := &crowd{rng: rand.New(rand.NewPCG(1, 1)), topics: map[string]int{"a": 4}, members: map[string]claims{
		"a-zombie": {Generation: 5, Owned: map[string][]int32{"a": {0, 1}}, Held: all},
		"b":        {Generation: 6, Owned: map[string][]int32{"a": {0, 1}}, Held: map[string][]int32{"a": {0, 1}}},
	}}
	if given := c.assign(t); !slices.Equal(given["b"]["a"], []int{0, 1}) {
		t.Errorf("the later owner keeps %v, want 0 and 1", given["b"]["a"])
	}
}

// A member whose user data is damaged, or that wants another topic, does not upset the rest.
func TestBalanceOddMembers(t *testing.T) {
	members := []kafkago.GroupMember{
		{ID: "damaged", Topics: []string{"a"}, UserData: []byte("{")},
		{ID: "elsewhere", Topics: []string{"b"}},
		{ID: "good", Topics: []string{"a"}, UserData: []byte(`{"held":{"a":[1,1,7,-3]}}`)},
	}
	given := (&stickyBalancer{}).AssignGroups(members, []kafkago.Partition{{Topic: "a", ID: 0}, {Topic: "a", ID: 1}, {Topic: "nobody's", ID: 0}})
	want := kafkago.GroupMemberAssignments{"damaged": {"a": {0}}, "elsewhere": {}, "good": {"a": {1}}}
	if !reflect.DeepEqual(given, want) {
		t.Errorf("given %v, want %v", given, want)
	}
}
