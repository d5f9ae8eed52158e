package serving

import (
	"sync"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/content"
)

// scratch is the working memory of one request, kept from one to the next. Neither an answer nor an exposure may hold a part of
// it; texts are not parts of it.
type scratch struct {
	query     query
	visitor   visitor
	selection selection
	ranking   ranking

	restriction restriction

	sources   []source // of the stage at hand
	stages    []stage
	proposals arena[proposal]
	rotated   []rotated // what was shown to the visitor, where the list rotates
	seen      idTable   // what the visitor has seen, where that counts
	bought    idTable   // likewise
	demoted   idTable   // what counts less because it was met
	caps      caps
	pool      pool
	mask      model.Mask // of the model's items that may be shown, where maskMade
	maskMade  bool
	permitted permitted
	kept      []string // of a category's list, what is not excluded
	excluded  idTable
	groups    idTable

	items      []string // query.items
	indices    []int32
	history    []int32
	scored     []model.Scored
	blended    []blend.Blended
	similar    []content.Similar
	shares     shares
	affinities []affinity
	leanings   leanings

	trace    trace
	exposure event.Exposure
	encoded  []byte

	propensities []float64 // of the exposure's items
}

func newScratch() *scratch {
	return &scratch{
		ranking: ranking{ids: newIDTable()},
		seen:    newIDTable(), bought: newIDTable(), demoted: newIDTable(), caps: newCaps(), excluded: newIDTable(), groups: newIDTable(),
		shares: shares{names: newIDTable()}, leanings: leanings{names: newIDTable()},
	}
}

// scratches hands scratches out. It is safe for concurrent use.
type scratches struct{ pool sync.Pool }

func newScratches() *scratches {
	return &scratches{sync.Pool{New: func() any { return newScratch() }}}
}

func (s *scratches) get() *scratch { return s.pool.Get().(*scratch) }

// put takes back what get returned.
func (s *scratches) put(m *scratch) {
	m.visitor.reset()
	m.again()
	s.pool.Put(m)
}

// again forgets everything but the visitor, for the next list of a page. What points elsewhere is forgotten too, so that an idle
// scratch holds no model that was replaced and no row that was changed.
func (m *scratch) again() {
	m.query = query{}
	m.selection.reset()
	m.ranking.reset()
	m.restriction.reset()
	clear(m.sources)
	m.caps.reset()
	m.pool.reset()
	m.maskMade = false
	m.permitted.reset()
	clear(m.kept[:cap(m.kept)])
	m.proposals.reset()
	for _, t := range []*idTable{&m.seen, &m.bought, &m.demoted, &m.excluded, &m.groups, &m.shares.names, &m.leanings.names} {
		t.reset()
	}
	clear(m.items[:cap(m.items)])
	clear(m.similar[:cap(m.similar)])
	clear(m.affinities[:cap(m.affinities)])
	m.rotated = m.rotated[:0]
	m.trace.reset()
}

// arenaChunk is the least number of entries that an arena asks memory for.
const arenaChunk = 256

// arena hands out pieces of memory, which stay where they are until reset.
type arena[T any] struct {
	chunk []T
	used  int
}

// take returns a slice without entries and with room for n.
func (a *arena[T]) take(n int) []T {
	if a.used+n > len(a.chunk) {
		a.chunk, a.used = make([]T, max(arenaChunk, 2*len(a.chunk), n)), 0 // the pieces of the old one live as long as their users
	}
	piece := a.chunk[a.used : a.used : a.used+n]
	a.used += n
	return piece
}

// one returns a single zero entry.
func (a *arena[T]) one() *T { return &a.take(1)[:1][0] }

// reset takes everything back.
func (a *arena[T]) reset() {
	clear(a.chunk[:a.used])
	a.used = 0
}
