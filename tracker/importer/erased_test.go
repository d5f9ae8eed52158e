package importer_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/tracker/importer"
)

// erasedUser is a ledger with one user, whose browser is known.
type erasedUser struct{ ledger *erasure.Ledger }

func (e erasedUser) Erased(context.Context) (*erasure.Ledger, error) { return e.ledger, nil }

func erasedAnna() erasedUser {
	key, until := erasure.NewKey(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var entries []erasure.Entry
	for kind, id := range map[erasure.Kind]string{erasure.KindUser: "anna", erasure.KindLinked: "phone"} {
		entries = append(entries, erasure.Entry{Site: "default", Kind: kind, Hash: key.Hash(kind, "default", id), Until: until, Erasure: "e"})
	}
	return erasedUser{erasure.NewLedger(key, 1, entries)}
}

// Rows of erased people enter neither the log nor the reject file; a row that links them to another browser does, because the
// stream has to hear of it; what happened after the erasure does, too.
func TestEventsLeaveErasedOut(t *testing.T) {
	path := file(t, "old.csv", "user_id,anonymous_id,occurred_at,item_id\n"+
		"anna,phone,1590884413,a\n"+ // hers
		",phone,1590884414,b\n"+ // of her browser
		"bert,phone,1590884415,c\n"+ // another's
		"anna,tablet,1590884416,d\n"+ // says of a browser that it is hers
		"anna,phone,1893456000,e\n"+ // after
		"anna,,not a time,f\n"+ // cannot be read, and names her
		"carl,,not a time,g\n")
	out := &log{}
	sum, err := newImporter(t, importer.Config{Type: event.ViewItem}, importer.Deps{Producer: out, Ledger: ledger(t), Erased: erasedAnna()}).Events(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	var items []string
	for _, e := range out.events(t) {
		items = append(items, e.Items[0].ItemID)
	}
	if got := strings.Join(items, ""); got != "cde" {
		t.Errorf("rows %s were sent, want cde", got)
	}
	if sum.Erased != 3 || sum.Added != 3 || sum.Rejected != 1 || sum.Rows != 7 {
		t.Errorf("summary %+v", sum)
	}
	if text, err := os.ReadFile(sum.RejectFile); err != nil || strings.Contains(string(text), "anna") || !strings.Contains(string(text), "carl") {
		t.Errorf("reject file %q, %v", text, err)
	}
	if !strings.Contains(sum.String(), "3 rows left out") {
		t.Errorf("summary reads %q", sum)
	}
}
