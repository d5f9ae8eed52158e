package stream

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// FeatureSchema is the schema header of the change feed.
const FeatureSchema = "feature/1"

// feedChangeBytes is the size above which a profile is published without its long texts. What then remains has some
// 380 KiB at worst, when every list is full of the longest ids, and fits into a batch of the producer.
const feedChangeBytes = 256 << 10

// Change is the value of a record of the change feed (topic millrace.features): the whole row of a profile or of one
// partition's share of an item, as JSON. The record's key is the row's name without escapes, its partition that of the
// events. (Epoch, Offset) is the position of the event that changed the row last. Per key the last record holds, and after the
// topics have grown, when a key may have records in two partitions, the one of the later epoch; a row that changes often is
// published about once a second. A record without a value says that there is no such row any more.
type Change struct {
	FeatureVersion int32                `json:"feature_version"`
	Epoch          int64                `json:"epoch"`
	Offset         int64                `json:"offset"`
	Trimmed        bool                 `json:"trimmed,omitempty"` // the profile lacks its long texts: see feature.ProfileView.Trim
	Profile        *feature.ProfileView `json:"profile,omitempty"`
	Item           *feature.ItemView    `json:"item,omitempty"`
}

// change is what a Change is written from: a row and the profile or the item that it holds, one after the other in the same
// memory.
type change struct {
	row     onlinestore.Row
	key     string // of the record
	isItem  bool
	itemID  string
	profile feature.Profile
	item    feature.ItemAggregate
}

// changeKey is the key under which the feed has a row; ok is false for a row that is no feature.
func changeKey(row string) (key string, ok bool, err error) {
	switch {
	case strings.HasPrefix(row, "p/"):
		partial, err := onlinestore.ParseProfileKey(row)
		return profileID(partial), err == nil, err
	case strings.HasPrefix(row, "i/"):
		share, err := onlinestore.ParseItemKey(row)
		return itemChangeKey(share), err == nil, err
	}
	return "", false, nil
}

func itemChangeKey(i onlinestore.ItemShare) string {
	return i.Site + ":i:" + i.Item + ":" + strconv.Itoa(int(i.Partition))
}

// read reads a row; ok is false for a row that is no feature.
func (c *change) read(row onlinestore.Row) (ok bool, err error) {
	c.row = row
	switch {
	case strings.HasPrefix(row.Key, "p/"):
		partial, err := onlinestore.ParseProfileKey(row.Key)
		if err != nil {
			return false, err
		}
		c.key, c.isItem = profileID(partial), false
		return true, c.profile.Decode(row.Value)
	case strings.HasPrefix(row.Key, "i/"):
		share, err := onlinestore.ParseItemKey(row.Key)
		if err != nil {
			return false, err
		}
		c.key, c.isItem, c.itemID = itemChangeKey(share), true, share.Item
		return true, c.item.Decode(row.Value)
	}
	return false, nil
}

// append appends the JSON of the Change, which fits into a record. Texts stay as they are: the feed is no web page, and the
// escapes of HTML would make a "<" six times as long.
func (c *change) append(b []byte) []byte {
	first := len(b)
	b = c.appendHead(b)
	if c.isItem {
		return append(c.item.AppendView(append(b, `,"item":`...), c.itemID), '}')
	}
	b = append(c.profile.AppendView(append(b, `,"profile":`...), c.key, false), '}')
	if len(b)-first <= feedChangeBytes {
		return b
	}
	b = append(c.appendHead(b[:first]), `,"trimmed":true,"profile":`...)
	return append(c.profile.AppendView(b, c.key, true), '}')
}

func (c *change) appendHead(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"feature_version":`...), int64(c.row.Version), 10)
	b = strconv.AppendInt(append(b, `,"epoch":`...), c.row.Epoch, 10)
	return strconv.AppendInt(append(b, `,"offset":`...), c.row.Offset, 10)
}
