package serving

import (
	"net/http"
	"slices"
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
