package content

// Vectors appends the vector of each item to dst, an empty one where nothing is known of it. Vectors of one call compare.
func (l *Live) Vectors(dst []Vector, ids []string) []Vector {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, id := range ids {
		var vector Vector
		if place, ok := l.all.place(id); ok {
			vector = l.all.vectors.at(place)
		}
		dst = append(dst, vector)
	}
	return dst
}

// Cosine tells how much alike two items are: 0 where nothing is, and 1 where everything is.
func (v Vector) Cosine(o Vector) float32 {
	sum := float32(0)
	for i, j := 0, 0; i < v.terms() && j < o.terms(); {
		switch a, b := v.term(i), o.term(j); {
		case a.number < b.number:
			i++
		case a.number > b.number:
			j++
		default:
			sum += a.weight * b.weight
			i++
			j++
		}
	}
	return sum
}
