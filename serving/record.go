package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
)

// DefaultFullShare is the share of lists of which everything is recorded: at a hundred kilobytes each, of ten lists a second as much
// as a hundred compact records.
const DefaultFullShare = 0.01

// sampled decides whether everything is recorded of a list. The same list is decided alike everywhere.
func sampled(recID string, share float64) bool {
	return float64(lot(recID)>>11)/(1<<53) < share
}

// lot is a number that follows from the id of a list, and is any of them alike.
func lot(recID string) uint64 {
	const prime = 1099511628211 // FNV-1a
	h := uint64(14695981039346656037)
	for i := range len(recID) {
		h = (h ^ uint64(recID[i])) * prime
	}
	h ^= h >> 31 // its low bits are the better ones
	h *= 0x94d049bb133111eb
	h ^= h >> 30
	return h
}

// record logs a list, and remembers it for whoever asks for it within the next minutes.
func (s *Serving) record(ctx context.Context, selected *selection, a *Answer, took time.Duration) {
	mem := selected.query.mem
	value, err := selected.encode(a, took)
	if err != nil {
		s.exposures.dropped.Inc()
		s.exposures.failed.warn(ctx, s.log, "an exposure was dropped", err)
		return
	}
	mem.encoded = value[:0]
	l := listed{key: exposureKey(selected.query.site, a.RecID), at: selected.query.now, value: bytes.Clone(value)}
	if id, err := uuid.Parse(a.RecID); err == nil { // ids are made here
		s.recent.add(id, l)
	}
	s.exposures.record(l)
}

// exposureKey is the key of a list in the log of exposures.
func exposureKey(site, recID string) string { return site + ":" + recID }

// encode writes the record of a list into the query's memory. One that no log would take loses what fewest would miss.
func (s *selection) encode(a *Answer, took time.Duration) ([]byte, error) {
	mem := s.query.mem
	x := s.exposure(a, took)
	defer func() { *x = event.Exposure{Items: clearedItems(x.Items)} }()
	value, err := event.AppendExposure(mem.encoded[:0], x)
	if err != nil || len(value) <= maxExposureRecord {
		return value, err
	}
	x.Inputs, x.Candidates, x.Detail = nil, nil, event.DetailCompact
	if value, err = event.AppendExposure(value[:0], x); err != nil || len(value) <= maxExposureRecord {
		return value, err
	}
	x.Request.ExcludeIDs, x.Request.ItemIDs = nil, nil // ids may be six times as long in JSON
	for i := range x.Items {
		x.Items[i].Reasons = nil
	}
	return event.AppendExposure(value[:0], x)
}

func clearedItems(items []event.ExposureItem) []event.ExposureItem {
	clear(items)
	return items[:0]
}

// exposure is the record of the list: what was asked and shown, and where the list is traced what was considered, and from what it
// was made. It is in the query's memory.
func (s *selection) exposure(a *Answer, took time.Duration) *event.Exposure {
	q := s.query
	x := &q.mem.exposure
	*x = event.Exposure{
		RecID: a.RecID, Site: q.site, Placement: a.Placement, Variant: a.Variant, ModelVersion: a.ModelVersion,
		ServedBy: a.ServedBy, Degraded: a.Degraded, Stale: a.Stale, ServedAt: q.now, ProfileID: q.visitor.profileID,
		AnonymousID: q.request.AnonymousID, UserID: q.request.UserID, SessionID: q.request.SessionID,
		Request: event.ExposureRequest{
			ItemIDs: q.request.ItemIDs, Limit: int32(q.limit), ExcludeIDs: q.request.ExcludeIDs,
			Context: q.request.Context, AfterEvent: q.request.AfterEvent, Filter: q.request.Filter, Boosts: boostTexts(q.request.Boost),
		},
		Items: x.Items[:0], FeatureVersion: feature.Version, DurationMicros: took.Microseconds(), Detail: event.DetailCompact,
	}
	q.mem.propensities = slices.Grow(q.mem.propensities[:0], len(s.shown))[:len(s.shown)]
	for i, item := range s.shown {
		q.mem.propensities[i] = s.propensity(i)
		x.Items = append(x.Items, event.ExposureItem{
			ItemID: item.id, Position: int32(i), Score: item.score, Source: item.parts[0].family, Reasons: a.Items[i].Reasons,
			Propensity: &q.mem.propensities[i],
		})
	}
	if q.mem.trace.on {
		s.whole(x)
	}
	return x
}

// whole adds to a record what was considered and what the list was made from.
func (s *selection) whole(x *event.Exposure) {
	made, err := json.Marshal(&s.query.mem.trace.inputs)
	if err != nil {
		return // a float that JSON does not know: the record is compact
	}
	x.Inputs, x.Detail = made, event.DetailFull
	x.Candidates = make([]event.ExposureCandidate, len(s.seen))
	for i, c := range s.seen {
		scores := make(map[string]float64, len(c.parts))
		for _, part := range c.parts {
			scores[part.family] = part.score
		}
		score := c.score
		x.Candidates[i] = event.ExposureCandidate{ItemID: c.id, Score: &score, Scores: scores, Dropped: c.dropped}
	}
}
