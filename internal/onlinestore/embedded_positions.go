package onlinestore

// keptPositions is how many keys of rows written last have their position in memory, in each of two generations: some
// 10 MB. A stream writes the rows of the visitors who are here and of the items they look at, again and again; without the
// position every write would begin with a read.
const keptPositions = 50_000

// positions are the positions of rows in the database, for the keys that were written last. They are guarded by the lock
// of puts.
type positions struct {
	kept       int // keys in a generation
	young, old map[string]position
	forgotten  uint64 // how often something was forgotten
}

func newPositions(kept int) positions {
	return positions{kept: kept, young: make(map[string]position)}
}

// get returns the position of a row, if it is known. Then the row is in the database.
func (p *positions) get(key string) (at position, known bool) {
	if at, known = p.young[key]; known {
		return at, true
	}
	at, known = p.old[key]
	return at, known
}

// set notes the position of a row that was written.
func (p *positions) set(key string, at position) {
	if len(p.young) >= p.kept {
		p.young, p.old = make(map[string]position), p.young
		p.forgotten++
	}
	p.young[key] = at
}

// forget drops a row that was deleted.
func (p *positions) forget(key string) {
	delete(p.young, key)
	delete(p.old, key)
	p.forgotten++
}

// reset forgets all.
func (p *positions) reset() {
	*p = positions{kept: p.kept, young: make(map[string]position), forgotten: p.forgotten + 1}
}
