package serving

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestListsOfUsers: each gets the list that they would be shown, in the order in which they were named, recorded only where that is asked.
func TestListsOfUsers(t *testing.T) {
	h := replayShop(t)
	h.happen(parseEvent(t, "3m u=anna type=view_item items=e category=road"))
	want := map[string]Answer{
		"anonymous:fan": h.ask(`{"placement":"home","anonymous_id":"fan","limit":4,"dry_run":true}`),
		"anna":          h.ask(`{"placement":"home","user_id":"anna","limit":4,"dry_run":true}`),
		"nobody":        h.ask(`{"placement":"home","user_id":"nobody","limit":4,"dry_run":true}`),
	}
	for _, record := range []string{"false", "true"} {
		w := h.do(http.MethodPost, "/admin/recommendations:users", `{"site":"default","placement":"home","limit":4,"record":`+record+`,"users":["anna","anonymous:fan","nobody","anna"]}`)
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		lists := decode[[]UserList](t, w.Body)
		var users []string
		for _, list := range lists {
			users = append(users, list.UserID)
			shown := want[list.UserID]
			for i, item := range list.Items {
				if len(list.Items) != len(shown.Items) || item.ItemID != shown.Items[i].ItemID || !slices.Equal(item.Reasons, shown.Items[i].Reasons) {
					t.Errorf("%s gets %+v, and is shown %+v", list.UserID, list.Items, shown.Items)
				}
			}
			code := h.do(http.MethodGet, "/v1/recommendations/"+list.RecID, "").Code
			if (code == http.StatusOK) != (record == "true") {
				t.Errorf("record %s: %d", record, code)
			}
		}
		if !slices.Equal(users, []string{"anna", "anonymous:fan", "nobody", "anna"}) {
			t.Errorf("lists of %v", users)
		}
	}
	for body, status := range map[string]int{
		`{"site":"default","placement":"home","users":[""]}`: 400, `{"site":"default","placement":"none","users":["a"]}`: 404,
		`{"site":"default","placement":"item","users":["a"]}`: 400, `{"site":"default","placement":"home","limit":1000,"users":["a"]}`: 400,
	} {
		if w := h.do(http.MethodPost, "/admin/recommendations:users", body); w.Code != status {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// TestListsOfUsersOfAStoppedCommand: whoever leaves before the answer has been shown nothing, and is nobody's fault.
func TestListsOfUsersOfAStoppedCommand(t *testing.T) {
	var logged bytes.Buffer
	h := newHouse(t)
	h.deps.Log = slog.New(slog.NewJSONHandler(&logged, nil))
	h.run().put(`{"item_id":"hat"}`)
	h.ask(`{"placement":"home","dry_run":true}`) // the placement is known from now on
	gone, leave := context.WithCancel(t.Context())
	leave()
	body := `{"site":"default","placement":"home","record":true,"users":["anna","bert"]}`
	r := httptest.NewRequestWithContext(gone, http.MethodPost, "/admin/recommendations:users", strings.NewReader(body))
	h.router.ServeHTTP(httptest.NewRecorder(), r)
	if n := len(h.serving.recent.byID); n > 0 || logged.Len() > 0 {
		t.Errorf("%d lists are recorded, and the log says %s", n, &logged)
	}
	page := httptest.NewRequestWithContext(gone, http.MethodPost, "/v1/recommend", strings.NewReader(`{"placement":"home","anonymous_id":"b1"}`))
	page.Header.Set("Authorization", "Bearer "+h.secret)
	if h.router.ServeHTTP(httptest.NewRecorder(), page); logged.Len() > 0 {
		t.Errorf("of a visitor who has gone the log says %s", &logged)
	}
}
