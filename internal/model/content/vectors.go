package content

// Vector is what is said of an item, as a Live had it when it was asked. It stays as it is.
type Vector []term

// Vectors appends the vector of each item to dst, an empty one where nothing is known of it. Vectors of one call compare.
func (l *Live) Vectors(dst []Vector, ids []string) []Vector {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, id := range ids {
		var vector Vector
		if place, ok := l.all.places[id]; ok {
			vector = l.all.vectors[place]
		}
		dst = append(dst, vector)
	}
	return dst
}

// Cosine tells how much alike two items are: 0 where nothing is, and 1 where everything is.
func (v Vector) Cosine(o Vector) float32 {
	sum := float32(0)
	for i, j := 0, 0; i < len(v) && j < len(o); {
		switch a, b := v[i].number, o[j].number; {
		case a < b:
			i++
		case a > b:
			j++
		default:
			sum += v[i].weight * o[j].weight
			i++
			j++
		}
	}
	return sum
}
