package lake

import (
	"cmp"
	"reflect"
)

// rowOrder is how the rows of a table are sorted when they are compacted, and which of them are the same event.
type rowOrder[Row any] struct {
	// profile compares site and profile: the browser, else the user, else the row by itself (event.Event.Key).
	profile func(a, b *Row) int
	// id compares what is the same in two copies of one event of a profile. The two need not tell the same time.
	id func(a, b *Row) int
	// unique says that no two rows of a profile have one id, so that none is a duplicate.
	unique bool
	time   func(*Row) int64
	at     func(*Row) Position
}

// byID puts the copies of one event side by side, the one that came first in front.
func (o *rowOrder[Row]) byID(a, b *Row) int {
	return cmp.Or(o.profile(a, b), o.id(a, b), comparePositions(o.at(a), o.at(b)))
}

// byTime is the order of a compacted file.
func (o *rowOrder[Row]) byTime(a, b *Row) int {
	return cmp.Or(o.profile(a, b), cmp.Compare(o.time(a), o.time(b)), comparePositions(o.at(a), o.at(b)))
}

func (o *rowOrder[Row]) same(a, b *Row) bool { return !o.unique && o.id(a, b) == 0 }

// eventOrder: ids of imports live apart from live ones, as in the stream's memory of duplicates.
var eventOrder = &rowOrder[eventRow]{
	profile: func(a, b *eventRow) int {
		return compareProfiles(
			profile{a.Site, a.AnonymousID, a.UserID, a.EventID}, profile{b.Site, b.AnonymousID, b.UserID, b.EventID})
	},
	id: func(a, b *eventRow) int {
		return cmp.Or(cmp.Compare(a.EventID, b.EventID), compareFlags(a.imported(), b.imported()))
	},
	time: func(r *eventRow) int64 { return r.OccurredAt },
	at: func(r *eventRow) Position {
		return Position{Topic: r.KafkaTopic, Epoch: r.KafkaEpoch, Partition: r.KafkaPartition, Offset: r.KafkaOffset}
	},
}

var exposureOrder = &rowOrder[exposureRow]{
	profile: func(a, b *exposureRow) int {
		return compareProfiles(profile{a.Site, a.AnonymousID, a.UserID, a.RecID}, profile{b.Site, b.AnonymousID, b.UserID, b.RecID})
	},
	id:     func(a, b *exposureRow) int { return cmp.Compare(a.RecID, b.RecID) },
	unique: true,
	time:   func(r *exposureRow) int64 { return r.ServedAt },
	at: func(r *exposureRow) Position {
		return Position{Topic: r.KafkaTopic, Epoch: r.KafkaEpoch, Partition: r.KafkaPartition, Offset: r.KafkaOffset}
	},
}

// itemOrder keeps the history of an item together. Nothing of it is a duplicate: also a write that another one overtook is history.
var itemOrder = &rowOrder[catalogueRow]{
	profile: func(a, b *catalogueRow) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.ItemID, b.ItemID))
	},
	id:     func(a, b *catalogueRow) int { return cmp.Compare(a.Revision, b.Revision) },
	unique: true,
	time:   func(r *catalogueRow) int64 { return r.UpdatedAt },
	at: func(r *catalogueRow) Position {
		return Position{Topic: r.KafkaTopic, Epoch: r.KafkaEpoch, Partition: r.KafkaPartition, Offset: r.KafkaOffset}
	},
}

// profile is what names the profile of a row.
type profile struct {
	site            string
	anonymous, user *string
	id              string
}

// compareProfiles sorts by site, then browser; rows without a browser follow by user, and those without either by id.
func compareProfiles(a, b profile) int {
	if c := cmp.Or(cmp.Compare(a.site, b.site), compareOptional(a.anonymous, b.anonymous)); c != 0 || a.anonymous != nil {
		return c
	}
	if c := compareOptional(a.user, b.user); c != 0 || a.user != nil {
		return c
	}
	return cmp.Compare(a.id, b.id)
}

// compareOptional sorts null last.
func compareOptional(a, b *string) int {
	switch {
	case a != nil && b != nil:
		return cmp.Compare(*a, *b)
	default:
		return compareFlags(a == nil, b == nil)
	}
}

func compareFlags(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// weigh is what a row takes in memory, in bytes, without what the allocator adds.
func weigh[Row any](row *Row) int {
	v := reflect.ValueOf(row).Elem()
	return int(v.Type().Size()) + weighBelow(v)
}

// mapBytes is what a map takes before its first slot.
const mapBytes = 56

// weighBelow is what a value points at.
func weighBelow(v reflect.Value) int {
	n := 0
	switch v.Kind() {
	case reflect.String:
		n = v.Len()
	case reflect.Pointer:
		if !v.IsNil() {
			n = int(v.Type().Elem().Size()) + weighBelow(v.Elem())
		}
	case reflect.Slice:
		n = v.Len() * int(v.Type().Elem().Size())
		for i := range v.Len() {
			n += weighBelow(v.Index(i))
		}
	case reflect.Map:
		if !v.IsNil() { // slots come in groups of eight
			n = mapBytes + (v.Len()+8)/8*8*int(v.Type().Key().Size()+v.Type().Elem().Size())
		}
		for at := v.MapRange(); at.Next(); {
			n += weighBelow(at.Key()) + weighBelow(at.Value())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += weighBelow(v.Field(i))
		}
	}
	return n
}
