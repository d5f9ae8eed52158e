package filter

// Bound is a program with the values of one request. It serves one goroutine at a time: Clone makes another.
type Bound struct {
	program *Program
	frame   frame
}

// Bind gives a program the values of a request. What does not depend on an item is computed here.
func (p *Program) Bind(values *Values) *Bound {
	b := &Bound{program: p}
	b.frame.slots = p.slots
	if len(p.bound) > 0 {
		b.frame.slots = append([]Value(nil), p.slots...)
		b.frame.values = values
		for _, s := range p.bound {
			b.frame.slots[s.index] = s.value(&b.frame)
		}
	}
	return b
}

// Clone is a Bound of the same values for another goroutine.
func (b *Bound) Clone() *Bound {
	return &Bound{program: b.program, frame: frame{slots: b.frame.slots}}
}

// Match reports whether an item matches. A program of a condition takes a nil subject.
func (b *Bound) Match(s Subject) bool {
	f := &b.frame
	f.subject = s
	conjuncts := b.program.conjuncts
	for i := range conjuncts {
		if conjuncts[i].test(f) != yes {
			return false
		}
	}
	return true
}

// Factor is the value of a program that CompileFactor made, and whether the item has one.
func (b *Bound) Factor(s Subject) (float64, bool) {
	f := &b.frame
	f.subject = s
	v := b.program.factor(f)
	return v.number(), v.kind == KindNumber
}
