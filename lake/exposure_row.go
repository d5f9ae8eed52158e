package lake

import (
	"encoding/json"
	"slices"

	"github.com/millrace/millrace/internal/event"
)

// exposureRow is one row of the exposures table, version 2; the rules of eventRow hold.
type exposureRow struct {
	RecID          string             `parquet:"rec_id,id(1)"`
	Site           string             `parquet:"site,dict,id(2)"`
	Placement      string             `parquet:"placement,dict,id(3)"`
	Variant        *string            `parquet:"variant,optional,dict,id(4)"`
	ModelVersion   *string            `parquet:"model_version,optional,dict,id(5)"`
	ServedBy       *string            `parquet:"served_by,optional,dict,id(6)"`
	Degraded       *string            `parquet:"degraded,optional,dict,id(7)"`
	Stale          bool               `parquet:"stale,id(8)"`
	ServedAt       int64              `parquet:"served_at,timestamp(microsecond),id(9)"`
	ProfileID      *string            `parquet:"profile_id,optional,id(10)"`
	AnonymousID    *string            `parquet:"anonymous_id,optional,id(11)"`
	UserID         *string            `parquet:"user_id,optional,id(12)"`
	SessionID      *string            `parquet:"session_id,optional,id(13)"`
	Request        requestRow         `parquet:"request,id(14)"`
	Items          []shownRow         `parquet:"items,optional,list,id(15)" parquet-element:",id(121)"`
	Candidates     []candidateRow     `parquet:"candidates,optional,list,id(16)" parquet-element:",id(131)"`
	Features       map[string]float64 `parquet:"features,id(17)" parquet-key:",id(141)" parquet-value:",id(142)"`
	FeatureVersion int32              `parquet:"feature_version,id(18)"`
	DurationMicros int64              `parquet:"duration_us,id(19)"`
	KafkaTopic     string             `parquet:"kafka_topic,dict,id(20)"`
	KafkaEpoch     int64              `parquet:"kafka_epoch,id(21)"`
	KafkaPartition int32              `parquet:"kafka_partition,id(22)"`
	KafkaOffset    int64              `parquet:"kafka_offset,id(23)"`
	Detail         *string            `parquet:"detail,optional,dict,id(24)"`
	Inputs         *string            `parquet:"inputs,optional,id(25)"`
}

type requestRow struct {
	ItemIDs    []string          `parquet:"item_ids,optional,list,id(101)" parquet-element:",id(102)"`
	Limit      int32             `parquet:"limit,id(103)"`
	Filter     *string           `parquet:"filter,optional,id(104)"`
	Boosts     []string          `parquet:"boosts,optional,list,id(105)" parquet-element:",id(106)"`
	ExcludeIDs []string          `parquet:"exclude_ids,optional,list,id(107)" parquet-element:",id(108)"`
	Diversity  *float64          `parquet:"diversity,optional,id(109)"`
	Context    map[string]string `parquet:"context,id(110)" parquet-key:",id(111)" parquet-value:",id(112)"`
	AfterEvent *string           `parquet:"after_event,optional,id(113)"`
}

type shownRow struct {
	ItemID     string   `parquet:"item_id,id(122)"`
	Position   int32    `parquet:"position,id(123)"`
	Score      float64  `parquet:"score,id(124)"`
	Source     *string  `parquet:"source,optional,dict,id(125)"`
	Propensity *float64 `parquet:"propensity,optional,id(126)"`
	Reasons    []string `parquet:"reasons,optional,list,id(127)" parquet-element:",id(128)"`
}

type candidateRow struct {
	ItemID   string             `parquet:"item_id,id(132)"`
	Scores   map[string]float64 `parquet:"scores,id(133)" parquet-key:",id(134)" parquet-value:",id(135)"`
	Features map[string]float64 `parquet:"features,id(136)" parquet-key:",id(137)" parquet-value:",id(138)"`
	Dropped  *string            `parquet:"dropped,optional,dict,id(139)"`
	Score    *float64           `parquet:"score,optional,id(140)"`
}

// fill makes the row say what the exposure says. It points into the exposure and never changes it. What the row had before is
// written over.
func (r *exposureRow) fill(in ExposureRow) error {
	x := in.Exposure
	q := &x.Request
	shown := r.Items
	*r = exposureRow{
		RecID: x.RecID, Site: x.Site, Placement: x.Placement, Variant: present(&x.Variant), ModelVersion: present(&x.ModelVersion),
		ServedBy: present(&x.ServedBy), Degraded: present(&x.Degraded), Stale: x.Stale, ServedAt: x.ServedAt.UnixMicro(),
		ProfileID: present(&x.ProfileID), AnonymousID: present(&x.AnonymousID), UserID: present(&x.UserID), SessionID: present(&x.SessionID),
		Request: requestRow{
			ItemIDs: q.ItemIDs, Limit: q.Limit, Filter: present(&q.Filter), Boosts: q.Boosts, ExcludeIDs: q.ExcludeIDs,
			Diversity: q.Diversity, Context: q.Context, AfterEvent: present(&q.AfterEvent),
		},
		Features: x.Features, FeatureVersion: x.FeatureVersion, DurationMicros: x.DurationMicros,
		KafkaTopic: in.At.Topic, KafkaEpoch: in.At.Epoch, KafkaPartition: in.At.Partition, KafkaOffset: in.At.Offset,
		Detail: present(&x.Detail),
	}
	if len(x.Inputs) > 0 {
		inputs := string(x.Inputs)
		r.Inputs = &inputs
	}
	if len(x.Items) > 0 {
		r.Items = slices.Grow(shown[:0], len(x.Items))[:len(x.Items)]
		for i := range x.Items {
			s := &x.Items[i]
			r.Items[i] = shownRow{
				ItemID: s.ItemID, Position: s.Position, Score: s.Score, Source: present(&s.Source), Propensity: s.Propensity, Reasons: s.Reasons,
			}
		}
	}
	if len(x.Candidates) > 0 {
		r.Candidates = make([]candidateRow, len(x.Candidates))
		for i := range x.Candidates {
			c := &x.Candidates[i]
			r.Candidates[i] = candidateRow{ItemID: c.ItemID, Scores: c.Scores, Features: c.Features, Dropped: present(&c.Dropped), Score: c.Score}
		}
	}
	return nil
}

// value is the inverse of fill. The exposure owns its memory.
func (r *exposureRow) value() (ExposureRow, error) {
	q := &r.Request
	x := &event.Exposure{
		RecID: r.RecID, Site: r.Site, Placement: r.Placement, Variant: orEmpty(r.Variant), ModelVersion: orEmpty(r.ModelVersion),
		ServedBy: orEmpty(r.ServedBy), Degraded: orEmpty(r.Degraded), Stale: r.Stale, ServedAt: microsTime(r.ServedAt),
		ProfileID: orEmpty(r.ProfileID), AnonymousID: orEmpty(r.AnonymousID), UserID: orEmpty(r.UserID), SessionID: orEmpty(r.SessionID),
		Request: event.ExposureRequest{
			ItemIDs: q.ItemIDs, Limit: q.Limit, Filter: orEmpty(q.Filter), Boosts: q.Boosts, ExcludeIDs: q.ExcludeIDs,
			Diversity: q.Diversity, Context: orNil(q.Context), AfterEvent: orEmpty(q.AfterEvent),
		},
		Features: orNil(r.Features), FeatureVersion: r.FeatureVersion, DurationMicros: r.DurationMicros,
		Detail: orEmpty(r.Detail),
	}
	if r.Inputs != nil {
		x.Inputs = json.RawMessage(*r.Inputs)
	}
	if len(r.Items) > 0 {
		x.Items = make([]event.ExposureItem, len(r.Items))
		for i := range r.Items {
			s := &r.Items[i]
			x.Items[i] = event.ExposureItem{
				ItemID: s.ItemID, Position: s.Position, Score: s.Score, Source: orEmpty(s.Source), Propensity: s.Propensity, Reasons: s.Reasons,
			}
		}
	}
	if len(r.Candidates) > 0 {
		x.Candidates = make([]event.ExposureCandidate, len(r.Candidates))
		for i := range r.Candidates {
			c := &r.Candidates[i]
			x.Candidates[i] = event.ExposureCandidate{ItemID: c.ItemID, Scores: orNil(c.Scores), Features: orNil(c.Features), Dropped: orEmpty(c.Dropped), Score: c.Score}
		}
	}
	return ExposureRow{Exposure: x, At: Position{Topic: r.KafkaTopic, Epoch: r.KafkaEpoch, Partition: r.KafkaPartition, Offset: r.KafkaOffset}}, nil
}

// orNil turns the empty map of the table back into the absent one of the event.
func orNil[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	return m
}
