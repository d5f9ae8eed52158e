package stream

import (
	"errors"
	"math"
	"strings"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// getRow reads a row of the store that another one is from; nil where nobody can.
type getRow func(key string) (onlinestore.Row, bool, error)

// whose is whom a row of a state or of the online store names, and since when; ok is false for rows that name nobody. A profile
// began with its first event: one that began after an erasure knows nothing from before. get is asked about the profiles of a
// browser's count of persons, which has no time itself.
func whose(row onlinestore.Row, get getRow) (r erasure.Row, ok bool, err error) {
	switch {
	case strings.HasPrefix(row.Key, "p/"):
		r, err = profileRow(row)
		return r, err == nil, err
	case strings.HasPrefix(row.Key, "link/"):
		link, err := onlinestore.ParseLinkKey(row.Key)
		if err != nil {
			return r, false, err
		}
		at, err := onlinestore.ParseLinkValue(row.Value)
		return erasure.Row{Site: link.Site, User: link.User, Browser: link.Browser, At: at}, err == nil, err
	case strings.HasPrefix(row.Key, "n/"):
		r, err = countRow(row, get)
		return r, err == nil, err
	}
	return r, false, nil
}

func profileRow(row onlinestore.Row) (erasure.Row, error) {
	partial, err := onlinestore.ParseProfileKey(row.Key)
	if err != nil {
		return erasure.Row{}, err
	}
	p, err := feature.DecodeProfile(row.Value)
	if errors.Is(err, feature.ErrVersion) {
		return partialRow(partial, "", math.MinInt64), nil // nobody can tell since when
	}
	if err != nil {
		return erasure.Row{}, err
	}
	return partialRow(partial, p.UserID, p.FirstAt), nil
}

// countRow: the count of a browser's persons is as old as the oldest profile that is left of them. Where none is left it tells of
// somebody who is gone.
func countRow(row onlinestore.Row, get getRow) (erasure.Row, error) {
	site, browser, err := onlinestore.ParseNewestKey(row.Key)
	if err != nil {
		return erasure.Row{}, err
	}
	r := erasure.Row{Site: site, Browser: browser, At: math.MinInt64}
	newest, err := onlinestore.ParseNewestValue(row.Value)
	if err != nil || get == nil {
		return r, err
	}
	for n := range newest + 1 {
		p, ok, err := get(onlinestore.ProfileKey(onlinestore.Partial{Site: site, Kind: onlinestore.KindBrowser, ID: browser, N: n}))
		if err != nil {
			return r, err
		}
		if !ok {
			continue
		}
		of, err := profileRow(p)
		if r.User = of.User; err != nil || r.At == math.MinInt64 || of.At < r.At {
			r.At = of.At
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}
