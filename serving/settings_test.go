package serving

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
)

func TestSettingsAreRefusedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ kind, settings, pointer, hint string }{
		{control.KindHome, ``, "", ""},
		{control.KindHome, `null`, "", ""},
		{control.KindHome, `{"diversity":0.3,"max_per_brand":2,"max_per_category":3,"rotation":false,"exploration":0.1,"strict":true,
			"seen":"demote","seen_days":7,"bought":"hide","bought_days":30,"fields":["title"],"sources":{"personal":1,"popularity":0.2}}`, "", ""},
		{control.KindHome, `{"diversty":0.3}`, "/diversty", "diversity, max_per_category"},
		{control.KindHome, `{"diversity":"much"}`, "/diversity", ""},
		{control.KindHome, `{"diversity":1.5}`, "/diversity", ""},
		{control.KindHome, `{"max_per_brand":-1}`, "/max_per_brand", ""},
		{control.KindHome, `{"bought":"never"}`, "/bought", "show, demote, hide"},
		{control.KindHome, `{"sources":{"magic":1}}`, "/sources/magic", "transitions"},
		{control.KindHome, `{"sources":{"content":0}}`, "/sources/content", ""},
		{control.KindHome, `{"exploration":2}`, "/exploration", ""},
		{control.KindPopular, `{"exploration":0.1}`, "/exploration", "another kind"},
		{control.KindPopular, `{"exploration":0}`, "", ""},
		{control.KindHome, `{"filter":"item.price < 50","boost":[{"filter":"item.available","by":2},{"expr":"item.price / 10"}]}`, "", ""},
		{control.KindHome, `{"filter":"item.prize < 50"}`, "/filter", "item.price"},
		{control.KindHome, `{"boost":[{"expr":"2"},{"filter":"item.available","by":0}]}`, "/boost/1/by", ""},
		{control.KindHome, `{} {}`, "", "one JSON value"},
	} {
		_, p := ParseSettings(c.kind, json.RawMessage(c.settings))
		switch {
		case p == nil && c.pointer+c.hint != "":
			t.Errorf("%s %s is accepted", c.kind, c.settings)
		case p != nil && (c.pointer+c.hint == "" || p.Pointer != c.pointer || !strings.Contains(p.Hint, c.hint)):
			t.Errorf("%s %s: %+v", c.kind, c.settings, p)
		}
	}
}

// Settings are parsed when they change, and those that nobody understands cost no list.
func TestSettingsFollowTheirPlacement(t *testing.T) {
	h := newHouse(t).open()
	c := h.serving.settings
	place := &control.Placement{Site: testSite, Name: "shelf", Kind: control.KindHome, Settings: json.RawMessage(`{"max_per_brand":2}`)}
	first := c.of(t.Context(), place, control.DefaultVariant)
	if again := c.of(t.Context(), place, control.DefaultVariant); first.MaxPerBrand != 2 || again != first {
		t.Errorf("%+v, then %+v", first, again)
	}
	place.Settings = json.RawMessage(`{"max_per_brand":3}`)
	if changed := c.of(t.Context(), place, control.DefaultVariant); changed.MaxPerBrand != 3 {
		t.Errorf("after a change %+v", changed)
	}
	place.Settings = json.RawMessage(`{"of_a_later_version":3}`)
	if unknown := c.of(t.Context(), place, control.DefaultVariant); unknown == nil || unknown.MaxPerBrand != 0 {
		t.Errorf("not understood: %+v", unknown)
	}
}

// TestFullExposuresOfAPlacement: a placement decides for itself of how many lists everything is recorded.
func TestFullExposuresOfAPlacement(t *testing.T) {
	h := shelf(t)
	for settings, want := range map[string]string{`{"full_exposures":1}`: event.DetailFull, `{"full_exposures":0}`: event.DetailCompact, ``: event.DetailFull} {
		h.shelf(control.KindPopular, settings)
		h.serving.fullShare = 1
		if settings == `{"full_exposures":1}` {
			h.serving.fullShare = 0
		}
		a := h.ask(`{"placement":"shelf"}`)
		if x, _, err := h.serving.recall(t.Context(), testSite, a.RecID); err != nil || x.Detail != want {
			t.Errorf("%s: %+v, %v", settings, x, err)
		}
	}
	if _, p := ParseSettings(control.KindHome, json.RawMessage(`{"full_exposures":2}`)); p == nil || p.Pointer != "/full_exposures" {
		t.Errorf("a share of 2: %+v", p)
	}
}
