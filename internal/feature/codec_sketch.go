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

func (d *decoder) visitors(memory Visitors) (v Visitors) {
	if d.flag() {
		v.dense = append(memory.dense[:0], d.take(visitorRegisters)...)
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
	last := -1
	v.sparse = list(d, memory.sparse, maxSparse, func() uint16 {
		raw := d.take(2)
		if raw == "" {
			return 0
		}
		e := uint16(raw[0]) | uint16(raw[1])<<8
		register, rank := int(e>>6), e&63
		if register <= last || rank == 0 || rank > maxRank {
			d.fail()
		}
		last = register
		return e
	})
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

func (d *decoder) forgotten(memory Forgotten) Forgotten {
	next := uint64(0)
	return list(d, memory, MaxForgotten, func() uint32 {
		print := next + d.uint()
		if print < next || print >= 1<<forgottenBits {
			d.fail()
		}
		next = print + 1
		return uint32(print)
	})
}

func (d *decoder) placements(memory []Placement) []Placement {
	return list(d, memory, MaxPlacements, func() Placement {
		return Placement{Name: d.text(), Impressions: d.decayed(), Examined: d.decayed(), Clicks: d.decayed()}
	})
}
