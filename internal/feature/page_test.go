package feature

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// described is a feature in docs/features.md: its unit and how it is computed.
type described struct{ name, unit, formula string }

const (
	perHalfLife = ", per half-life"
	decayedSum  = "sum over events of 2^(-age / half-life)"
)

func profileFeatures() []described {
	counts := func(of string, limit int) string {
		return fmt.Sprintf("%s, by %s; the %d strongest", decayedSum, of, limit)
	}
	return []described{
		{"profile_id", "", "site, kind of id, id and number of the person in the browser"},
		{"user_id", "", "the one user of the profile"},
		{"updated_at", "time", "newest occurred_at; decayed values are as of then"},
		{"first_seen_at", "time", "oldest occurred_at"},
		{"events", "events", "number applied, those of a hot profile included"},
		{"interactions", "", fmt.Sprintf("the last %d things done with items", MaxInteractions)},
		{"seen", "items", fmt.Sprintf("the last %d items of interactions, exact, newest first", MaxSeen)},
		{"bought", "items", fmt.Sprintf("the last %d items of purchases, exact, newest first", MaxBought)},
		{"seen_before", "items", filterFormula("seen")},
		{"bought_before", "items", filterFormula("bought")},
		{"affinities", "events" + perHalfLife, counts("item_category of interactions", MaxCategories)},
		{"brands", "events" + perHalfLife, counts("item_brand of interactions", MaxBrands)},
		{"price_bands", "events" + perHalfLife, counts("price band floor(2 * log2(price)) of interactions", MaxPriceBands)},
		{"event_types", "events" + perHalfLife, counts("event type", MaxEventTypes)},
		{"searches", "terms", fmt.Sprintf("the last %d different search terms, lower case, cut at %d bytes, newest first", MaxSearches, MaxTermBytes)},
		{"dwell.visible", "seconds" + perHalfLife, "sum over engage events of visible_ms / 1000 * 2^(-age / half-life), an event at most an hour"},
		{"dwell.focused", "seconds" + perHalfLife, "the same of focused_ms"},
		{"dwell.visible_items", "seconds" + perHalfLife, fmt.Sprintf("dwell.visible of events that name one item, by item; the %d strongest", MaxDwellItems)},
		{"dwell.focused_items", "seconds" + perHalfLife, "the same of focused_ms"},
		{"session.session_id", "", "the given id, else auto: and the id of the first event"},
		{"session.started_at", "time", "oldest occurred_at of the session"},
		{"session.last_at", "time", "newest occurred_at of the session"},
		{"session.duration_ms", "milliseconds", "last_at - started_at"},
		{"session.entry_type", "", "type of the oldest event"},
		{"session.events", "events", "its length"},
		{"session.item_ids", "items", fmt.Sprintf("the last %d items of interactions, oldest first, one once in a row", MaxSessionItems)},
		{"session.distinct_items", "items", "different ones among item_ids"},
		{"session.depth", "events", "page_view"},
		{"session.views", "events", "view_item"},
		{"session.clicks", "events", "select_item"},
		{"session.carts", "events", "add_to_cart"},
		{"session.purchases", "events", "purchase"},
		{"session.searches", "events", "search"},
		{"session.visible_ms", "milliseconds", "sum of visible_ms of engage events, an event at most an hour"},
		{"session.focused_ms", "milliseconds", "the same of focused_ms"},
		{"skipped", "events", fmt.Sprintf("events that the features do not count, because more than %d came in a second: all but one in 2^k, by hash of event_id", HotEventsPerSecond)},
	}
}

func filterFormula(of string) string {
	return fmt.Sprintf("how many that fell out of %s are still recognised; at most %d, with an error of %.2g %% when full",
		of, MaxForgotten, 100*float64(MaxForgotten)/(1<<forgottenBits))
}

func itemFeatures() []described {
	events := "events" + perHalfLife
	return []described{
		{"item_id", "", "the item"},
		{"updated_at", "time", "newest occurred_at; decayed values are as of then"},
		{"first_seen_at", "time", "oldest occurred_at"},
		{"events", "events", "number that named the item, of any type"},
		{"views", events, decayedSum + ", view_item"},
		{"clicks", events, decayedSum + ", select_item"},
		{"carts", events, decayedSum + ", add_to_cart"},
		{"purchases", events, decayedSum + ", purchase"},
		{"impressions", events, decayedSum + ", view_item_list"},
		{"trend", "ratio", fmt.Sprintf("rate of views + clicks + carts + purchases per day at the half-life of a day / (the same at 14 days + %g)", trendPrior)},
		{"visitors", "visitors", fmt.Sprintf("distinct visitors with views, clicks, carts or purchases: HyperLogLog of %d registers, standard error 3.3 %%", visitorRegisters)},
		{"placements.placement", "", fmt.Sprintf("rec.placement of the events; at most %d", MaxPlacements)},
		{"placements.impressions", events, decayedSum + ", view_item_list of the placement"},
		{"placements.examined", events, "the same, each event times 1 / log2(position + 2)"},
		{"placements.clicks", events, decayedSum + ", select_item of the placement"},
		{"placements.ctr", "ratio" + perHalfLife, fmt.Sprintf("clicks / examined, 0 where %g of them is not left", minExamined)},
		{"partners.item_id", "", fmt.Sprintf("items that came up to %d items before or after in a session; the %d strongest (SpaceSaving)", MaxMeeting, MaxPartners)},
		{"partners.counts", "sessions" + perHalfLife, "sum over meetings of 2^(-age / half-life), at most the weakest partner's too large"},
		{"item_name", "", "what the newest event said"},
		{"item_category", "", "what the newest event said"},
		{"item_brand", "", "what the newest event said"},
		{"price", "money", "what the newest event said"},
	}
}

func siteFeatures() []described {
	return []described{
		{"site", "", "the site"},
		{"updated_at", "time", "newest occurred_at; decayed values are as of then"},
		{"events", "events", "number applied"},
		{"minutes.at", "time", fmt.Sprintf("begin of a minute with events, within %d minutes of the newest", SiteMinutes)},
		{"minutes.events", "events per minute", "by type; a shop's own types are other"},
		{"searches.term", "", fmt.Sprintf("search terms, lower case, cut at %d bytes; the %d strongest at a day (SpaceSaving)", MaxTermBytes, MaxTopSearches)},
		{"searches.counts", "events" + perHalfLife, decayedSum + ", at most the weakest term's too large"},
	}
}

// TestFeaturesPage holds docs/features.md against the code: every field that a view shows is described, no other is, and
// the page is what the descriptions and bounds give. With -update it writes the page.
func TestFeaturesPage(t *testing.T) {
	var page bytes.Buffer
	fmt.Fprintf(&page, "# Features\n\nWritten by `go generate ./internal/feature`; version %d. Half-lives: %s, %s and %s. Times are those of occurred_at. "+
		"Decayed values are shown to seven digits. "+
		"Robots count for nothing;\nvisitors who refused personalization have no profile. Sources of the methods stand in the code.\n", Version, Hour, Day, Fortnight)
	for _, part := range []struct {
		title, about string
		features     []described
		view         reflect.Type
	}{
		{"Profile", "One person in one browser (`p/` rows, `GET /v1/users/{id}/features`, topic `millrace.features`).", profileFeatures(), reflect.TypeFor[ProfileView]()},
		{"Item", "One item in one partition (`i/` rows, topic `millrace.features`); the shares of all partitions merge.", itemFeatures(), reflect.TypeFor[ItemView]()},
		{"Site", "One site in one partition (`s/` rows); the shares of all partitions merge.", siteFeatures(), reflect.TypeFor[SiteView]()},
	} {
		shown, names := shownFields("", part.view), make([]string, len(part.features))
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n| feature | unit | formula |\n| --- | --- | --- |\n", part.title, part.about)
		for i, f := range part.features {
			names[i] = f.name
			fmt.Fprintf(&page, "| `%s` | %s | %s |\n", f.name, f.unit, f.formula)
		}
		if !reflect.DeepEqual(shown, names) {
			t.Errorf("%s shows\n%s\nbut described are\n%s", part.title, strings.Join(shown, " "), strings.Join(names, " "))
		}
	}
	const file = "../../docs/features.md"
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, page.Bytes()) {
		t.Errorf("docs/features.md is not current (%v): run go generate ./internal/feature", err)
	}
}

// shownFields are the JSON names of a view, those of inner views behind the name of the outer field. Interactions are
// events, not features: they are one.
func shownFields(prefix string, view reflect.Type) (names []string) {
	for i := range view.NumField() {
		f := view.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == view.PkgPath() && inner != reflect.TypeFor[HalfLives]() && name != "interactions" {
			names = append(names, shownFields(prefix+name+".", inner)...)
			continue
		}
		names = append(names, prefix+name)
	}
	return names
}
