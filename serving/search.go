package serving

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
)

const (
	// maxQueryWords bounds the words of a search; people type two or three.
	maxQueryWords = 10
	// maxWordBytes is how much of a word is looked at.
	maxWordBytes = 64
	// searchIdle is how long after the last search its memory is kept: some 150 bytes an item, and former rows of those that change.
	searchIdle = 10 * time.Minute
	// minTypoLetters is how long a word is that is searched with one letter wrong, when nothing has it as it is.
	minTypoLetters = 4
)

// textSearch finds items of a site by the words of title, brand, categories and labels, and by id. It is for operators, who search
// now and then, so nobody pays for it before: a search first takes in what has changed since the one before it.
type textSearch struct {
	mu    sync.Mutex          // guards what follows, and is held by a search
	used  time.Time           // by the last search
	taken []*Row              // by number: the rows whose words are in it
	words map[string][]uint32 // the numbers of the items that have a word, rising
	list  []string            // the words in order
	fresh []string            // those that are not in list yet
}

// hit is an item that a search found, with how well it fits: the words of the query that it has whole, and the length of its title.
type hit struct {
	row   *Row
	whole int
}

// search returns the live items of a site that have every word of a text at the beginning of one of their words or of their id, the
// best first: those with more whole words, then those with shorter titles. among narrows them; nil does not.
func (c *Catalogue) search(site, text string, among *roaring.Bitmap) []*Row {
	c.mu.RLock()
	s := c.sites[site]
	c.mu.RUnlock()
	asked := wordsOf(nil, text)
	if s == nil || len(asked) == 0 {
		return nil
	}
	asked = asked[:min(len(asked), maxQueryWords)]
	s.search.mu.Lock()
	defer s.search.mu.Unlock()
	s.search.used = c.now()
	s.search.catchUp(c, site)
	all, whole := s.search.find(asked, among)
	rows := c.numbered(nil, site, all.ToArray())
	hits := make([]hit, 0, len(rows))
	for _, row := range rows {
		h := hit{row: row}
		for _, set := range whole {
			if set.Contains(row.number) {
				h.whole++
			}
		}
		hits = append(hits, h)
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.whole, a.whole), cmp.Compare(len(a.row.Title()), len(b.row.Title())), cmp.Compare(a.row.ItemID, b.row.ItemID))
	})
	rows = rows[:0]
	for _, h := range hits {
		rows = append(rows, h.row)
	}
	return rows
}

// forgetSearch gives back the memory of a site's searches when nobody has searched for long.
func (c *Catalogue) forgetSearch(site string) {
	c.mu.RLock()
	s := c.sites[site]
	c.mu.RUnlock()
	if s == nil || !s.search.mu.TryLock() {
		return
	}
	defer s.search.mu.Unlock()
	if t := &s.search; t.words != nil && c.now().Sub(t.used) > searchIdle {
		t.taken, t.words, t.list = nil, nil, nil
	}
}

// find returns the items that have all words, and for each word those that have it whole.
func (t *textSearch) find(asked []string, among *roaring.Bitmap) (all *roaring.Bitmap, whole []*roaring.Bitmap) {
	all = among
	for _, word := range asked {
		set := t.beginning(word)
		if set.IsEmpty() {
			set = t.mistyped(word)
		}
		whole = append(whole, roaring.BitmapOf(t.words[word]...))
		if all != nil {
			set = roaring.And(all, set)
		}
		all = set
	}
	return all, whole
}

// beginning are the items that have a word which begins so.
func (t *textSearch) beginning(word string) *roaring.Bitmap {
	set := roaring.New()
	from, _ := slices.BinarySearch(t.list, word)
	for _, w := range t.list[from:] {
		if !strings.HasPrefix(w, word) {
			break
		}
		set.AddMany(t.words[w])
	}
	return set
}

// mistyped are the items that have a word which differs in one letter.
func (t *textSearch) mistyped(word string) *roaring.Bitmap {
	set := roaring.New()
	if utf8.RuneCountInString(word) < minTypoLetters {
		return set
	}
	letters := []rune(word)
	for _, w := range t.list {
		if d := len(w) - len(word); d <= utf8.UTFMax && d >= -utf8.UTFMax && isNear(letters, []rune(w)) {
			set.AddMany(t.words[w])
		}
	}
	return set
}

// isNear reports whether one letter more, less or other makes a word of the other, or two neighbours that changed places.
func isNear(a, b []rune) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	begin := 0
	for begin < len(a) && a[begin] == b[begin] {
		begin++
	}
	restA, restB := a[begin:], b[begin:]
	if len(a) < len(b) {
		return slices.Equal(restA, restB[1:])
	}
	return len(restA) == 0 || slices.Equal(restA[1:], restB[1:]) ||
		len(restA) > 1 && restA[0] == restB[1] && restA[1] == restB[0] && slices.Equal(restA[2:], restB[2:])
}

// catchUp takes in the rows that came into force since the last search.
func (t *textSearch) catchUp(c *Catalogue, site string) {
	if t.words == nil {
		t.words = map[string][]uint32{}
	}
	var before, after []string
	for step, from := make([]*Row, 0, allStep), 0; ; from += len(step) {
		if step = c.step(step[:0], site, from); len(step) == 0 {
			break
		}
		for i, row := range step {
			n := from + i
			if n == len(t.taken) {
				t.taken = append(t.taken, nil)
			}
			if t.taken[n] == row {
				continue
			}
			before, after = searchedWords(before[:0], t.taken[n]), searchedWords(after[:0], row)
			t.replace(uint32(n), before, after)
			t.taken[n] = row
		}
	}
	t.sort()
}

// replace changes the words of an item.
func (t *textSearch) replace(n uint32, before, after []string) {
	for _, word := range before {
		if slices.Contains(after, word) {
			continue
		}
		numbers := t.words[word]
		if at, ok := slices.BinarySearch(numbers, n); ok {
			t.words[word] = slices.Delete(numbers, at, at+1)
		}
	}
	for _, word := range after {
		numbers, known := t.words[word]
		at, has := slices.BinarySearch(numbers, n)
		if has {
			continue
		}
		if !known {
			word = strings.Clone(word)
			t.fresh = append(t.fresh, word)
		}
		t.words[word] = slices.Insert(numbers, at, n)
	}
}

// sort puts new words into the list and takes those out that no item has any more.
func (t *textSearch) sort() {
	for word, numbers := range t.words {
		if len(numbers) == 0 {
			delete(t.words, word)
		}
	}
	t.list = append(t.list, t.fresh...)
	t.fresh = nil
	slices.Sort(t.list)
	t.list = slices.DeleteFunc(slices.Compact(t.list), func(word string) bool { return t.words[word] == nil })
}

// searchedWords appends the words that a row is found by; a deleted one, and nil, by none.
func searchedWords(dst []string, r *Row) []string {
	if r == nil || r.Deleted {
		return dst
	}
	dst = append(wordsOf(dst, r.Title()), fold(r.ItemID))
	dst = wordsOf(wordsOf(dst, r.ItemID), r.Brand)
	for _, category := range r.Categories() {
		dst = wordsOf(dst, category)
	}
	r.EachLabel(func(label string) bool {
		dst = wordsOf(dst, label)
		return true
	})
	return dst
}

// wordsOf appends the words of a text, in lower case: runs of letters, marks and digits.
func wordsOf(dst []string, text string) []string {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) }) {
		if word = fold(word); !slices.Contains(dst, word) {
			dst = append(dst, word)
		}
	}
	return dst
}

// fold brings a word into the form in which words are compared.
func fold(word string) string {
	word = strings.ToLower(word)
	for len(word) > maxWordBytes {
		_, size := utf8.DecodeLastRuneInString(word)
		word = word[:len(word)-size]
	}
	return word
}
