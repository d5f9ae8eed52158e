package lake

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

const mainPartitions = 4

// mainEvents fill the columns that nearly every event of a shop has: event_id, site, type, occurred_at, received_at,
// anonymous_id, user_id, session_id, items, value, currency and the four of Kafka. They begin at an offset and come partition by
// partition, as the stream lands them; n is a multiple of mainPartitions.
func mainEvents(from, n int) []EventRow {
	rng := rand.New(rand.NewPCG(uint64(from), 1))
	items := rand.NewZipf(rng, 1.2, 10, 20_000)
	rows := make([]EventRow, n)
	for i := range rows {
		visitor := rng.IntN(n/6 + 1)
		at := testStart.Add(time.Duration(from+i) * 300 * time.Microsecond).Truncate(time.Millisecond)
		e := &event.Event{
			EventID: event.NewID(at), Site: event.DefaultSite, Type: event.ViewItem, OccurredAt: at, ReceivedAt: at.Add(80 * time.Millisecond),
			AnonymousID: fmt.Sprintf("visitor-%08d", visitor), SessionID: fmt.Sprintf("session-%08d-%d", visitor, rng.IntN(3)),
		}
		if visitor%3 == 0 {
			e.UserID = fmt.Sprintf("user-%07d", visitor)
		}
		bought, many := rng.IntN(10) == 0, 1
		if bought {
			e.Type, e.Currency, e.Value, many = event.Purchase, "EUR", new(float64), 1+rng.IntN(4)
		}
		for range many {
			item, pieces := items.Uint64(), float64(1+rng.IntN(2))
			price := float64(item%9000)/100 + 1
			e.Items = append(e.Items, event.Item{
				ItemID: fmt.Sprintf("sku-%06d", item), Quantity: &pieces, Price: &price, ItemCategory: fmt.Sprintf("category-%d", item%40)})
			if bought {
				*e.Value += pieces * price
			}
		}
		each := n / mainPartitions
		rows[i] = EventRow{Event: e, At: Position{
			Topic: event.TopicEvents, Epoch: 1, Partition: int32(i / each), Offset: int64(from/mainPartitions + i%each),
		}}
	}
	return rows
}

func mainLanding(from, n int) Landing {
	in := Landing{Events: mainEvents(from, n)}
	for p := range int32(mainPartitions) {
		in.Fences = append(in.Fences, Fence{
			Topic: event.TopicEvents, Epoch: 1, Partition: p, From: int64(from / mainPartitions), Next: int64((from + n) / mainPartitions),
		})
	}
	return in
}

// dataFiles are the paths of the files of all events.
func dataFiles(t *testing.T, l *Lake) (out []string) {
	t.Helper()
	p, err := l.plan(t.Context(), ScanRequest{Table: TableEvents})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.files {
		path, err := localPath(f.location)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, path)
	}
	return out
}
