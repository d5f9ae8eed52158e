package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// namedFeatures is how many features of a row a difference names.
const namedFeatures = 3

// differenceOf says in which features a stored row of a key differs from the right one, by their names in docs/features.md.
func differenceOf(key string, stored, right []byte) string {
	have, err := onlinestore.DecodeRow(stored)
	if err != nil {
		return err.Error()
	}
	want, err := onlinestore.DecodeRow(right)
	if err != nil {
		return "the right one: " + err.Error()
	}
	var found []string
	if have.Version != want.Version {
		found = append(found, fmt.Sprintf("feature version %d instead of %d", have.Version, want.Version))
	}
	if have.Epoch != want.Epoch || have.Offset != want.Offset {
		found = append(found, fmt.Sprintf("position (%d, %d) instead of (%d, %d)", have.Epoch, have.Offset, want.Epoch, want.Offset))
	}
	if bytes.Equal(have.Value, want.Value) {
		return strings.Join(found, ", ")
	}
	haveView, err := viewOf(key, have.Value)
	if err != nil {
		return strings.Join(append(found, "its value cannot be read: "+err.Error()), ", ")
	}
	wantView, err := viewOf(key, want.Value)
	if err != nil {
		return strings.Join(append(found, "the right value cannot be read: "+err.Error()), ", ")
	}
	named := differingFeatures("", haveView, wantView)
	switch more := len(named) - namedFeatures; {
	case len(named) == 0:
		named = []string{"only in what no view shows"}
	case more > 0:
		named = append(named[:namedFeatures], fmt.Sprintf("%d more", more))
	}
	return strings.Join(append(found, named...), ", ")
}

// viewOf is the value of a row as a tree of JSON: of a profile, an item or a site its features.
func viewOf(key string, value []byte) (tree any, err error) {
	var view any
	switch {
	case strings.HasPrefix(key, "p/"):
		var p *feature.Profile
		if p, err = feature.DecodeProfile(value); err == nil {
			view = p.View(key)
		}
	case strings.HasPrefix(key, "i/"):
		var a *feature.ItemAggregate
		if a, err = feature.DecodeItemAggregate(value); err == nil {
			view = a.View(key)
		}
	case strings.HasPrefix(key, "s/"):
		var s *feature.SiteAggregate
		if s, err = feature.DecodeSiteAggregate(value); err == nil {
			view = s.View(key)
		}
	default:
		view = map[string]string{"value": string(value)}
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(view)
	if err != nil {
		return nil, err
	}
	numbers := json.NewDecoder(bytes.NewReader(text))
	numbers.UseNumber()
	err = numbers.Decode(&tree)
	return tree, err
}

// differingFeatures names the leaves below a path in which two trees of JSON differ, each with both values.
func differingFeatures(path string, have, want any) (named []string) {
	haveFields, ok := have.(map[string]any)
	wantFields, okWant := want.(map[string]any)
	if ok && okWant {
		all := maps.Clone(haveFields)
		maps.Copy(all, wantFields)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			named = append(named, differingFeatures(strings.TrimPrefix(path+"."+name, "."), haveFields[name], wantFields[name])...)
		}
		return named
	}
	haveList, ok := have.([]any)
	wantList, okWant := want.([]any)
	if ok && okWant && len(haveList) == len(wantList) {
		for i := range haveList {
			named = append(named, differingFeatures(fmt.Sprintf("%s[%d]", path, i), haveList[i], wantList[i])...)
		}
		return named
	}
	if !reflect.DeepEqual(have, want) {
		named = append(named, fmt.Sprintf("%s %s instead of %s", path, shown(have), shown(want)))
	}
	return named
}

// shownBytes is how much of a value a difference shows.
const shownBytes = 80

// shown is a value of JSON as text.
func shown(v any) string {
	if v == nil {
		return "nothing"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(text) > shownBytes {
		return string(text[:shownBytes]) + "..."
	}
	return string(text)
}
