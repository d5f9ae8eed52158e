package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/trainer"
	"github.com/millrace/millrace/trainer/eval"
)

// settingsOf flattens the parameters of a model to one text a field: a field of an object in it is named OUTER.INNER, of a list of
// objects OUTER[0].INNER. Nanoseconds, which are named by their ending, are durations, and lose it.
func settingsOf(info registry.ModelInfo) (map[string]string, error) {
	out := map[string]string{"kind": info.Kind}
	if len(info.Params) == 0 {
		return out, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(info.Params))
	decoder.UseNumber() // as it was stored, whatever its size
	var params any
	if err := decoder.Decode(&params); err != nil {
		return nil, fmt.Errorf("read parameters: %w", err)
	}
	return out, flatten(out, "", params)
}

func flatten(to map[string]string, name string, value any) error {
	switch v := value.(type) {
	case map[string]any:
		for field, inner := range v {
			if err := flatten(to, strings.TrimPrefix(name+"."+field, "."), inner); err != nil {
				return err
			}
		}
		return nil
	case []any:
		if len(v) > 0 && isObject(v[0]) {
			for i, inner := range v {
				if err := flatten(to, fmt.Sprintf("%s[%d]", name, i), inner); err != nil {
					return err
				}
			}
			return nil
		}
	case json.Number:
		if short, isTime := strings.CutSuffix(name, "_ns"); isTime {
			nanoseconds, err := v.Int64()
			if err != nil {
				return fmt.Errorf("read parameter %s: %w", name, err)
			}
			to[short] = spanText(time.Duration(nanoseconds))
			return nil
		}
	case string:
		to[name] = v
		return nil
	}
	text, err := json.Marshal(value)
	to[name] = string(text)
	return err
}

func isObject(value any) bool {
	_, is := value.(map[string]any)
	return is
}

// spanText is a duration as people say it: half-lives are whole days or hours.
func spanText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0 || d%time.Hour != 0:
		return d.String()
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dh", d/time.Hour)
}

// metricNames lists the metrics of some models: those that a reader looks for first, then the others by name.
func metricNames(models ...map[string]registry.ModelInfo) []string {
	const k = trainer.MetricDepth
	rest := map[string]bool{}
	for _, version := range models {
		for _, info := range version {
			for name := range info.Metrics {
				rest[name] = true
			}
		}
	}
	var names []string
	for _, name := range []string{eval.HR(k).Name, eval.MRR(k).Name, eval.NDCG(k).Name, eval.NewCoverage(k, 0).Name} {
		if rest[name] {
			names = append(names, name)
			delete(rest, name)
		}
	}
	return append(names, slices.Sorted(maps.Keys(rest))...)
}
