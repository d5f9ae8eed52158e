package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Nearly every event is new, and its id, a UUID of version 7, begins with the time at which it was made. Recent knows from
// which time on the state's ids are all in memory; that an id behind it is not there means that the state does not have it,
// and the disk needs not be asked. Events that come late, and ids of another making, are looked up as ever.
//
// Times of ids are cut into slices of sliceMillis. A site's slices from floor up to, not including, ceiling are complete.

const (
	// RecentIDs is how many ids of a partition's sites are kept in memory: some ten seconds of 2,000 events a second,
	// at some 100 bytes each.
	RecentIDs = 32_768
	// recentSites is how many sites have their ids in memory; those of others are looked up on disk.
	recentSites = 8
	sliceShift  = 12 // a slice is 4,096 ms
	// recentAhead is how far behind the site's clock the complete slices reach: clocks of browsers differ. An id that
	// claims to be of a later time is looked up on disk.
	recentAhead = int64(24*time.Hour/time.Millisecond) >> sliceShift
)

// Recent answers First and FirstAgain like the state that it belongs to, mostly from memory. It is used by the state's owner
// alone, who tells it every id that was committed.
type Recent struct {
	db    *DB
	sites map[string]*recentSite
}

type recentSite struct {
	floor, ceiling int64
	size           int
	slices         map[int64]map[EventID]seenAt
}

// seenAt is the value of an id: its bucket and the position at which it stood first.
type seenAt struct {
	bucket        int64
	epoch, offset int64
}

// NewRecent returns an empty memory of a state, which fills itself.
func NewRecent(db *DB) *Recent { return &Recent{db: db, sites: make(map[string]*recentSite)} }

// First is the state's.
func (r *Recent) First(who Identity, clock int64) (at Position, ok bool, err error) {
	return r.first(who, clock, windowBuckets)
}

// FirstAgain is the state's.
func (r *Recent) FirstAgain(who Identity, clock int64) (at Position, ok bool, err error) {
	return r.first(who, clock, keptBuckets)
}

func (r *Recent) first(who Identity, clock int64, buckets int64) (at Position, ok bool, err error) {
	site, err := r.site(who, clock)
	if err != nil {
		return at, false, err
	}
	slice := sliceOf(who.ID)
	if !site.complete(who, slice) {
		return r.db.first(who, clock, buckets)
	}
	newest := bucketOf(clock)
	seen, ok := site.slices[slice][who.ID]
	if !ok || seen.bucket > newest || seen.bucket <= newest-buckets {
		return at, false, nil
	}
	return Position{Epoch: seen.epoch, Offset: seen.offset}, true, nil
}

// Remember takes over an id whose batch was committed. Of an id that came again after the window, the later life counts, as
// it does on disk.
func (r *Recent) Remember(who Identity, clock int64, at Position) {
	site := r.sites[who.Site]
	slice := sliceOf(who.ID)
	if !site.complete(who, slice) {
		return
	}
	site.put(slice, who.ID, seenAt{bucketOf(clock), at.Epoch, at.Offset})
	if limit := RecentIDs / len(r.sites); site.size > limit {
		site.shrink(limit / 2)
	}
}

// site returns what is known of a site, nil where nothing can be. Its slices move on with its clock.
func (r *Recent) site(who Identity, clock int64) (*recentSite, error) {
	site := r.sites[who.Site]
	now := clock >> sliceShift
	if site == nil && len(r.sites) == recentSites || site != nil && now+recentAhead/2 < site.ceiling {
		return site, nil
	}
	site, err := r.db.recent(who.Site, clock, RecentIDs/recentSites/2)
	if err != nil {
		return nil, fmt.Errorf("read recent event ids: %w", err)
	}
	r.sites[who.Site] = site
	return site, nil
}

// complete reports whether every id of a slice that the state has is in memory.
func (s *recentSite) complete(who Identity, slice int64) bool {
	return s != nil && !who.Import && slice >= s.floor && slice < s.ceiling
}

func (s *recentSite) put(slice int64, id EventID, seen seenAt) {
	ids := s.slices[slice]
	if ids == nil {
		ids = make(map[EventID]seenAt)
		s.slices[slice] = ids
	}
	before := len(ids)
	ids[id] = seen
	s.size += len(ids) - before
}

// shrink forgets the earliest slices until at most so many ids are left.
func (s *recentSite) shrink(limit int) {
	for _, slice := range slices.Sorted(maps.Keys(s.slices)) {
		if s.size <= limit {
			return
		}
		s.size -= len(s.slices[slice])
		delete(s.slices, slice)
		s.floor = max(s.floor, slice+1)
	}
}

// recent reads the newest ids of a site, at most so many of each bucket.
func (db *DB) recent(site string, clock int64, limit int) (*recentSite, error) {
	s := &recentSite{ceiling: clock>>sliceShift + recentAhead, slices: make(map[int64]map[EventID]seenAt)}
	newest := bucketOf(clock)
	// The earliest bucket first: of an id in several the latest counts.
	for b := max(0, newest-keptBuckets+1); b <= newest; b++ {
		if err := db.recentOf(s, site, b, limit); err != nil {
			return nil, err
		}
	}
	s.forgetBelow()
	return s, nil
}

// recentOf reads the newest ids of one bucket.
func (db *DB) recentOf(s *recentSite, site string, bucket int64, limit int) (err error) {
	prefix := seenBucket(site, false, bucket)
	it, err := db.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: append(prefix[:len(prefix):len(prefix)], sliceEnd(s.ceiling)...)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.Last(); ok; ok = it.Prev() {
		id := EventID(it.Key()[len(prefix):])
		if limit--; limit < 0 {
			s.floor = max(s.floor, beginOf(id)+1)
			return nil
		}
		slice := sliceOf(id)
		if slice < 0 {
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		at, err := parseSeen(value)
		if err != nil {
			return err
		}
		s.put(slice, id, seenAt{bucket, at.Epoch, at.Offset})
	}
	return nil
}

// forgetBelow forgets what lies before the floor.
func (s *recentSite) forgetBelow() {
	for slice, ids := range s.slices {
		if slice < s.floor {
			s.size -= len(ids)
			delete(s.slices, slice)
		}
	}
}

// sliceOf is the slice of the time at which a UUID of version 7 was made; another id lies in no slice.
func sliceOf(id EventID) int64 {
	if id[6]>>4 != 7 {
		return -1
	}
	return beginOf(id)
}

// beginOf reads the first 48 bits of an id as a time, whatever they are.
func beginOf(id EventID) int64 { return int64(binary.BigEndian.Uint64(id[:8])>>16) >> sliceShift }

// sliceEnd is the smallest id of a slice.
func sliceEnd(slice int64) []byte {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(slice)<<sliceShift<<16)
	return id[:6]
}
