package serving

import (
	"slices"
	"strings"
	"sync"
)

// maxShared bounds each kind of text that rows share: beyond so many different ones sharing saves little, and brands that nobody has
// any more must not fill the memory.
const maxShared = 200_000

// sharedTexts holds once what many rows say: brands, lists of categories, prices. It is safe for concurrent use.
type sharedTexts struct {
	mu     sync.RWMutex // guards the maps
	texts  map[string]string
	lists  map[string]*[]string // by their texts, joined
	prices map[float64]*float64
}

func newSharedTexts() *sharedTexts {
	return &sharedTexts{texts: map[string]string{}, lists: map[string]*[]string{}, prices: map[float64]*float64{}}
}

func (s *sharedTexts) text(text string) string {
	if text == "" {
		return ""
	}
	return share(s, s.texts, text, func() string { return strings.Clone(text) })
}

func (s *sharedTexts) price(price *float64) *float64 {
	if price == nil {
		return nil
	}
	return share(s, s.prices, *price, func() *float64 { return new(*price) })
}

// list shares a list, nil for an empty one, as a whole, and its texts with other lists.
func (s *sharedTexts) list(list []string) *[]string {
	if len(list) == 0 {
		return nil
	}
	key := make([]byte, 0, 128)
	for _, text := range list {
		key = packText(key, text)
	}
	return share(s, s.lists, string(key), func() *[]string {
		own := slices.Clip(slices.Clone(list))
		for i, text := range own {
			own[i] = s.text(text)
		}
		return &own
	})
}

// share returns what a map holds for a key, or makes it, and puts it there while there is room.
func share[K comparable, V any](s *sharedTexts, all map[K]V, key K, make func() V) V {
	s.mu.RLock()
	v, ok := all[key]
	s.mu.RUnlock()
	if ok {
		return v
	}
	v = make()
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := all[key]; ok {
		return before
	}
	if len(all) < maxShared {
		all[key] = v
	}
	return v
}
