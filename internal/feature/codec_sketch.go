package feature

import "encoding/binary"

// appendVisitors writes a byte 0 and the registers that are set as a list, or a byte 1 and all registers.
func appendVisitors(b []byte, v *Visitors) []byte {
	if v.dense != nil {
		return append(append(b, 1), v.dense...)
	}
	b = binary.AppendUvarint(append(b, 0), uint64(len(v.sparse)))
	for _, e := range v.sparse {
		b = binary.LittleEndian.AppendUint16(b, e)
	}
	return b
}

func (d *decoder) visitors() (v Visitors) {
	if d.flag() {
		v.dense = []byte(d.take(visitorRegisters))
		set := 0
		for _, rank := range v.dense {
			if rank > maxRank {
				d.fail()
			}
			if rank > 0 {
				set++
			}
		}
		if set <= maxSparse {
			d.fail()
		}
		return v
	}
	n := d.length(maxSparse)
	if n == 0 {
		return v
	}
	raw := d.take(2 * n)
	if d.err != nil {
		return v
	}
	v.sparse = make([]uint16, n)
	last := -1
	for i := range v.sparse {
		e := uint16(raw[2*i]) | uint16(raw[2*i+1])<<8
		register, rank := int(e>>6), e&63
		if register <= last || rank == 0 || rank > maxRank {
			d.fail()
		}
		v.sparse[i], last = e, register
	}
	return v
}

// appendForgotten writes each fingerprint as its distance to the one before, less one.
func appendForgotten(b []byte, f Forgotten) []byte {
	b = binary.AppendUvarint(b, uint64(len(f)))
	next := uint32(0)
	for _, print := range f {
		b = binary.AppendUvarint(b, uint64(print-next))
		next = print + 1
	}
	return b
}

func (d *decoder) forgotten() Forgotten {
	n := d.length(MaxForgotten)
	if n == 0 {
		return nil
	}
	f := make(Forgotten, 0, min(n+1, MaxForgotten+1))
	next := uint64(0)
	for range n {
		distance := d.uint()
		if d.err != nil || distance >= 1<<forgottenBits || next+distance >= 1<<forgottenBits {
			d.fail()
			return nil
		}
		f = append(f, uint32(next+distance))
		next += distance + 1
	}
	return f
}

func (d *decoder) placements() []Placement {
	n := d.length(MaxPlacements)
	if n == 0 {
		return nil
	}
	list := make([]Placement, 0, n)
	for range n {
		p := Placement{Name: d.text(), Impressions: d.decayed(), Examined: d.decayed(), Clicks: d.decayed()}
		if d.err != nil {
			return nil
		}
		list = append(list, p)
	}
	return list
}
