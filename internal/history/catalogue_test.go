package history

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestDetectItems(t *testing.T) {
	got, err := Mapping{ItemFieldTitle: "genres"}.DetectItems([]string{"sku", "genres", "categories.0", "unit_price"})
	want := Mapping{ItemFieldID: "sku", ItemFieldTitle: "genres", ItemFieldCategories: "categories", ItemFieldPrice: "unit_price"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("detected %v, %v, want %v: a mapped column holds one field only", got, err, want)
	}
	var missing *MissingColumnError
	if _, err := (Mapping{ItemFieldBrand: "maker"}).DetectItems([]string{"item_id"}); !errors.As(err, &missing) || missing.Field != ItemFieldBrand {
		t.Errorf("error %v, want the missing column", err)
	}
	if _, err := (Mapping{}).DetectItems([]string{"title"}); err == nil || !strings.Contains(err.Error(), "--map item_id=COLUMN") {
		t.Errorf("error %v, want what to do", err)
	}
}

func TestList(t *testing.T) {
	for text, want := range map[string][]string{
		`{"c":"a| b ||c"}`: {"a", "b", "c"}, `{"c":"[\"a|b\",\" c\"]"}`: {"a|b", "c"}, `{"c":["x","y"]}`: {"x", "y"}, `{"c":""}`: {},
	} {
		row, err := openText(t, JSONL, text+"\n").Next()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := row.List("c"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	row, err := openText(t, JSONL, `{"c":"[1]"}`+"\n").Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := row.List("c"); err == nil {
		t.Error("numbers are no texts, but no error")
	}
}

func TestParseNumbers(t *testing.T) {
	got, err := ParseNumbers("view=1, cart=2.5,COMMENT CREATED=0")
	if want := map[string]float64{"view": 1, "cart": 2.5, "COMMENT CREATED": 0}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, text := range []string{"view", "view=", "view=-1", "view=NaN", "view=Inf", "view=1,view=2", "view=x"} {
		if _, err := ParseNumbers(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
