package onlinestore

import (
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	// redisGroups is how many parts the rows of a Redis are divided into. The keys of a group share one hash slot, so that
	// a script may touch a row and its index at once; 64 groups spread evenly over a cluster of some dozen masters, and a
	// scan of everything still asks only 64 indexes. The number belongs to the format: another one finds no row.
	redisGroups = 64
	// redisSlots is the number of hash slots of a Redis cluster.
	redisSlots = 16384
)

// redisKeys builds the keys of a namespace. Per group there are three kinds: rows, one index (a sorted set of row keys,
// all of score 0, which Redis keeps in the order of bytes), and one marker.
type redisKeys struct {
	tags [redisGroups]string // namespace and hash tag of each group
}

func newRedisKeys(namespace string) *redisKeys {
	k := &redisKeys{}
	for g, tag := range groupTags() {
		k.tags[g] = namespace + ":{" + tag + "}"
	}
	return k
}

func (k *redisKeys) row(group int, key string) string { return k.tags[group] + ":" + key }
func (k *redisKeys) index(group int) string           { return k.tags[group] + "index" }
func (k *redisKeys) marker(group int) string          { return k.tags[group] + "marker" }

// nameBegins is the place of the first byte of a row's own key in that of Redis, counted from 1 as scripts do.
func (k *redisKeys) nameBegins(group int) string { return strconv.Itoa(len(k.row(group, "")) + 1) }

// groupTags finds for each group the smallest number whose hash slot lies in the group's share of all slots. A cluster
// gives its masters contiguous slots, so each gets as many groups as its share.
func groupTags() [redisGroups]string {
	var tags [redisGroups]string
	for found, n := 0, 0; found < redisGroups; n++ {
		tag := strconv.Itoa(n)
		if group := int(slotOf(tag)) * redisGroups / redisSlots; tags[group] == "" {
			tags[group] = tag
			found++
		}
	}
	return tags
}

// slotOf is the hash slot of a tag: CRC-16/XMODEM, as the cluster specification says.
func slotOf(tag string) uint16 {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
				continue
			}
			crc <<= 1
		}
	}
	return crc % redisSlots
}

// groupOf is the group of a key: that of its scope.
func groupOf(key string) int {
	scope, _ := scopeOf(key)
	return int(crc32.ChecksumIEEE([]byte(scope)) % redisGroups)
}

// scopeOf is the part of a key that decides its group: all of it, but for links only site and user, and for item shares
// only site and item. These two are scanned on the path of a request, and so they ask one group. whole says that a
// prefix holds its scope, which means that all keys below it are in one group.
func scopeOf(key string) (scope string, whole bool) {
	if !strings.HasPrefix(key, prefixLink) && !strings.HasPrefix(key, prefixItem) {
		return key, false
	}
	const parts = 3 // kind, site, id
	for i, seen := 0, 0; i < len(key); i++ {
		if key[i] == '/' || key[i] == ':' {
			if seen++; seen == parts {
				return key[:i+1], true
			}
		}
	}
	return key, false
}
