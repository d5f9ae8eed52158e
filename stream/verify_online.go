package stream

import (
	"bytes"
	"context"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// compareOnline holds a row of the state against the online store, which may have moved on since.
func (s *Stream) compareOnline(ctx context.Context, key string, stored []byte, report *Report) error {
	row, err := onlinestore.DecodeRow(stored)
	if err != nil {
		return err
	}
	online, ok, err := s.deps.Online.Get(ctx, key)
	switch {
	case err != nil:
		return err
	case !ok:
		report.differ("%s: the online store lacks the row", key)
	case online.Version != row.Version:
		report.differ("%s: the online store has a row of feature version %d, the state one of %d", key, online.Version, row.Version)
	case row.Before(online):
		// A later event has changed it since the state was frozen.
	case online.Before(row):
		report.differ("%s: the online store has the row of an older event", key)
	case !bytes.Equal(online.Value, row.Value):
		report.differ("%s: the online store differs from the state: %s", key, differenceOf(key, onlinestore.AppendRow(nil, online), stored))
	}
	return nil
}

// compareOwners looks for rows in the online store that the state of their owner has not.
func (v *verification) compareOwners(ctx context.Context, parts map[int32]*frozen) error {
	for prefix, owner := range owners(v.in.partitions) {
		err := v.s.deps.Online.Scan(ctx, prefix, func(row onlinestore.Row) error {
			number, err := owner(row.Key)
			if err != nil {
				return err
			}
			f := parts[number]
			if f == nil || !(state.Position{Epoch: row.Epoch, Offset: row.Offset}).Before(f.Position) {
				return nil // of another owner, or newer than the frozen state
			}
			if _, ok, err := f.rows.Get(row.Key); err != nil || ok {
				return err
			}
			v.report.count(row.Key)
			v.report.differ("%s: the online store has a row that the state lacks", row.Key)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// owners says for every kind of row that the stream writes which partition writes it.
func owners(partitions int32) map[string]func(key string) (int32, error) {
	of := func(site, kind, id string) int32 {
		return kafka.PartitionFor([]byte(site+":"+kind+":"+id), partitions)
	}
	return map[string]func(string) (int32, error){
		"p/": func(key string) (int32, error) {
			p, err := onlinestore.ParseProfileKey(key)
			return of(p.Site, p.Kind, p.ID), err
		},
		"n/": func(key string) (int32, error) {
			site, browser, err := onlinestore.ParseNewestKey(key)
			return of(site, onlinestore.KindBrowser, browser), err
		},
		"link/": func(key string) (int32, error) {
			l, err := onlinestore.ParseLinkKey(key)
			return of(l.Site, onlinestore.KindBrowser, l.Browser), err
		},
		"i/": func(key string) (int32, error) {
			i, err := onlinestore.ParseItemKey(key)
			return i.Partition, err
		},
		"s/": func(key string) (int32, error) {
			s, err := onlinestore.ParseSiteKey(key)
			return s.Partition, err
		},
	}
}
