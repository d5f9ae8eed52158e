package control

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// testFeeds: what one process stores and asks for, another sees, and a run takes the request with it.
func testFeeds(t *testing.T, a, b *Store) {
	ctx := t.Context()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	f := Feed{Site: "shop", Name: "main", Settings: json.RawMessage(`{"place":"x.csv"}`)}
	for _, err := range []error{
		a.PutFeed(ctx, f), a.PutFeed(ctx, Feed{Site: "other", Name: "main", Settings: json.RawMessage(`{}`)}),
		b.RequestFeed(ctx, "shop", "main", true), a.ReadFeed(ctx, "shop", "main", json.RawMessage(`{"etag":"1"}`)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := must[Feed](t)(a.Feed(ctx, "shop", "main"))
	if string(got.Settings) != string(f.Settings) || got.RequestedAt.IsZero() || !got.Forced || string(got.Version) != `{"etag":"1"}` || !got.StartedAt.IsZero() {
		t.Errorf("asked for: %+v", got)
	}
	if err := b.BeginFeed(ctx, "shop", "main", "job-1", at); err != nil {
		t.Fatal(err)
	}
	got = must[Feed](t)(a.Feed(ctx, "shop", "main"))
	if !got.StartedAt.Equal(at) || got.Job != "job-1" || !got.RequestedAt.IsZero() || got.Forced {
		t.Errorf("begun: %+v", got)
	}
	if err := a.PutFeed(ctx, f); err != nil {
		t.Fatal(err)
	}
	if got = must[Feed](t)(b.Feed(ctx, "shop", "main")); string(got.Version) != `{}` || !got.StartedAt.Equal(at) {
		t.Errorf("with new settings: %+v", got)
	}
	if all := must[[]Feed](t)(b.Feeds(ctx, "")); len(all) != 2 || len(must[[]Feed](t)(b.Feeds(ctx, "shop"))) != 1 {
		t.Errorf("all feeds: %+v", all)
	}
	if err := a.DeleteFeed(ctx, "shop", "main"); err != nil {
		t.Fatal(err)
	}
	_, err := b.Feed(ctx, "shop", "main")
	for _, err := range []error{err, a.DeleteFeed(ctx, "shop", "main"), a.RequestFeed(ctx, "shop", "main", false), a.BeginFeed(ctx, "shop", "main", "", at)} {
		if !errors.Is(err, ErrUnknownFeed) {
			t.Errorf("a feed that is gone: %v", err)
		}
	}
	for _, bad := range []Feed{{Site: "shop", Name: "a/b"}, {Site: "no site", Name: "a"}, {Site: "shop", Name: "a", Settings: make([]byte, maxSettingsBytes+1)}} {
		if a.PutFeed(ctx, bad) == nil {
			t.Errorf("accepted %s/%s", bad.Site, bad.Name)
		}
	}
}
