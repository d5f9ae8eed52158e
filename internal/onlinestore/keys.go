package onlinestore

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The kinds of rows. Ids inside keys are escaped (see escape), so that every prefix built here ends at an id's end.
const (
	prefixProfile = "p/"
	prefixNewest  = "n/"
	prefixLink    = "link/"
	prefixItem    = "i/"
	prefixSite    = "s/"
	prefixCatalog = "c/"
	prefixOffset  = "o/"
)

// The kinds of profile keys: a browser, or a user of whom no browser is known.
const (
	KindBrowser = "a"
	KindUser    = "u"
)

// Partial names one profile: what one person did in one browser. N counts the persons of a browser: it grows at logout
// and when another user_id appears. Users without a browser have the single partial N = 0.
type Partial struct {
	Site string
	Kind string // KindBrowser or KindUser
	ID   string // anonymous_id or user_id
	N    int64
}

// Link says that a user was seen in a browser's partial.
type Link struct {
	Site    string
	User    string
	Browser string
	N       int64
}

// Profile returns the partial that the link leads to.
func (l Link) Profile() Partial {
	return Partial{Site: l.Site, Kind: KindBrowser, ID: l.Browser, N: l.N}
}

// ItemShare names the aggregate of one item in one partition of the events topic; the shares of an item merge.
type ItemShare struct {
	Site      string
	Item      string
	Partition int32
}

// ProfileKey is p/<site>:<a|u>:<id>:<n>.
func ProfileKey(p Partial) string {
	return prefixProfile + p.Site + ":" + p.Kind + ":" + escape(p.ID) + ":" + strconv.FormatInt(p.N, 10)
}

// ProfilePrefix is the prefix of every profile of a site.
func ProfilePrefix(site string) string { return prefixProfile + site + ":" }

// ParseProfileKey reads what ProfileKey wrote.
func ParseProfileKey(key string) (Partial, error) {
	parts, err := split(key, prefixProfile, ":", 4)
	if err != nil {
		return Partial{}, err
	}
	p := Partial{Site: parts[0], Kind: parts[1], ID: parts[2]}
	if p.N, err = strconv.ParseInt(parts[3], 10, 64); err != nil {
		return Partial{}, fmt.Errorf("parse online key %q: %w", key, err)
	}
	if p.Kind != KindBrowser && p.Kind != KindUser {
		return Partial{}, fmt.Errorf("parse online key %q: kind is neither a nor u", key)
	}
	return p, nil
}

// NewestKey is n/<site>:a:<browser>; its row's value is the newest N of the browser (NewestValue). A browser without such
// a row has N = 0.
func NewestKey(site, browser string) string {
	return prefixNewest + site + ":" + KindBrowser + ":" + escape(browser)
}

// NewestPrefix is the prefix of the newest-N rows of a site.
func NewestPrefix(site string) string { return prefixNewest + site + ":" }

// ParseNewestKey reads what NewestKey wrote.
func ParseNewestKey(key string) (site, browser string, err error) {
	parts, err := split(key, prefixNewest, ":", 3)
	if err != nil {
		return "", "", err
	}
	return parts[0], parts[2], nil
}

// NewestValue is the value of a newest-N row: decimal text.
func NewestValue(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// ParseNewestValue reads what NewestValue wrote.
func ParseNewestValue(value []byte) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("parse newest partial %q: not a count", value)
	}
	return n, nil
}

// LinkKey is link/<site>/<user>/<browser>/<n>; its row's value is when the user was first seen there (LinkValue).
func LinkKey(l Link) string {
	return LinkPrefix(l.Site, l.User) + escape(l.Browser) + "/" + strconv.FormatInt(l.N, 10)
}

// LinkPrefix is the prefix of every link of a user.
func LinkPrefix(site, user string) string { return prefixLink + site + "/" + escape(user) + "/" }

// LinkPrefixAll is the prefix of every link of all sites.
const LinkPrefixAll = prefixLink

// LinkSitePrefix is the prefix of every link of a site.
func LinkSitePrefix(site string) string { return prefixLink + site + "/" }

// ParseLinkKey reads what LinkKey wrote.
func ParseLinkKey(key string) (Link, error) {
	parts, err := split(key, prefixLink, "/", 4)
	if err != nil {
		return Link{}, err
	}
	l := Link{Site: parts[0], User: parts[1], Browser: parts[2]}
	if l.N, err = strconv.ParseInt(parts[3], 10, 64); err != nil {
		return Link{}, fmt.Errorf("parse online key %q: %w", key, err)
	}
	return l, nil
}

// LinkValue is the value of a link row: the occurred_at of the first event that named the user, in Unix milliseconds.
func LinkValue(linkedAt int64) []byte { return strconv.AppendInt(nil, linkedAt, 10) }

// ParseLinkValue reads what LinkValue wrote.
func ParseLinkValue(value []byte) (linkedAt int64, err error) {
	if linkedAt, err = strconv.ParseInt(string(value), 10, 64); err != nil {
		return 0, fmt.Errorf("parse link: %w", err)
	}
	return linkedAt, nil
}

// ItemKey is i/<site>:<item_id>:<partition>.
func ItemKey(i ItemShare) string {
	return ItemPrefix(i.Site, i.Item) + strconv.FormatInt(int64(i.Partition), 10)
}

// ItemPrefix is the prefix of every share of an item.
func ItemPrefix(site, item string) string { return ItemSitePrefix(site) + escape(item) + ":" }

// ItemSitePrefix is the prefix of every item share of a site; the shares of one item come one after the other.
func ItemSitePrefix(site string) string { return prefixItem + site + ":" }

// ParseItemKey reads what ItemKey wrote.
func ParseItemKey(key string) (ItemShare, error) {
	parts, err := split(key, prefixItem, ":", 3)
	if err != nil {
		return ItemShare{}, err
	}
	partition, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil {
		return ItemShare{}, fmt.Errorf("parse online key %q: %w", key, err)
	}
	return ItemShare{Site: parts[0], Item: parts[1], Partition: int32(partition)}, nil
}

// SiteShare names the aggregate of a site in one partition of the events topic; the shares of a site merge.
type SiteShare struct {
	Site      string
	Partition int32
}

// SiteKey is s/<site>:<partition>.
func SiteKey(s SiteShare) string {
	return SitePrefix(s.Site) + strconv.FormatInt(int64(s.Partition), 10)
}

// SitePrefix is the prefix of every share of a site.
func SitePrefix(site string) string { return prefixSite + site + ":" }

// ParseSiteKey reads what SiteKey wrote.
func ParseSiteKey(key string) (SiteShare, error) {
	parts, err := split(key, prefixSite, ":", 2)
	if err != nil {
		return SiteShare{}, err
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return SiteShare{}, fmt.Errorf("parse online key %q: %w", key, err)
	}
	return SiteShare{Site: parts[0], Partition: int32(partition)}, nil
}

// CatalogKey is c/<site>/<item_id>.
func CatalogKey(site, item string) string { return CatalogPrefix(site) + escape(item) }

// CatalogPrefix is the prefix of a site's catalogue.
func CatalogPrefix(site string) string { return prefixCatalog + site + "/" }

// ParseCatalogKey reads what CatalogKey wrote.
func ParseCatalogKey(key string) (site, item string, err error) {
	parts, err := split(key, prefixCatalog, "/", 2)
	if err != nil {
		return "", "", err
	}
	return parts[0], parts[1], nil
}

// OffsetKey is o/<topic>/<partition>; the row's own Epoch and Offset are the position applied, its value says of which
// store (CompleteValue).
func OffsetKey(topic string, partition int32) string {
	return OffsetPrefix(topic) + strconv.FormatInt(int64(partition), 10)
}

// OffsetPrefix is the prefix of the applied offsets of a topic.
func OffsetPrefix(topic string) string { return prefixOffset + escape(topic) + "/" }

// ParseOffsetKey reads what OffsetKey wrote.
func ParseOffsetKey(key string) (topic string, partition int32, err error) {
	parts, err := split(key, prefixOffset, "/", 2)
	if err != nil {
		return "", 0, err
	}
	p, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return "", 0, fmt.Errorf("parse online key %q: %w", key, err)
	}
	return parts[0], int32(p), nil
}

// separators are the bytes that escape hides, besides the escape sign itself.
const separators = "%:/"

// CompleteValue is the value of an applied-offset row: the marker of the store in which the row's writer has written every
// row up to the position. Under another marker rows may be missing.
func CompleteValue(marker string) []byte { return []byte(marker) }

// CompleteFor reports whether an applied-offset row speaks of the store with the marker.
func CompleteFor(r Row, marker string) bool { return marker != "" && string(r.Value) == marker }

// escape hides the separators of keys inside an id as %XX. Without it the prefix of browser "x" would also match the
// browser "x:1". Nearly every id has none and stays as it is.
func escape(id string) string {
	if !strings.ContainsAny(id, separators) {
		return id
	}
	var b strings.Builder
	b.Grow(len(id) + 8)
	for i := range len(id) {
		if strings.IndexByte(separators, id[i]) >= 0 {
			fmt.Fprintf(&b, "%%%02X", id[i])
			continue
		}
		b.WriteByte(id[i])
	}
	return b.String()
}

// split takes a key apart and unescapes its parts.
func split(key, prefix, separator string, n int) ([]string, error) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return nil, fmt.Errorf("parse online key %q: it does not start with %q", key, prefix)
	}
	parts := strings.Split(rest, separator)
	if len(parts) != n {
		return nil, fmt.Errorf("parse online key %q: %d parts, want %d", key, len(parts), n)
	}
	for i, part := range parts {
		id, err := url.PathUnescape(part)
		if err != nil {
			return nil, fmt.Errorf("parse online key %q: %w", key, err)
		}
		if id == "" {
			return nil, fmt.Errorf("parse online key %q: part %d is empty", key, i+1)
		}
		parts[i] = id
	}
	return parts, nil
}
