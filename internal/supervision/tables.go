package supervision

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// stopNotified is the event that ends handling: the decision was told to the complainant.
const stopNotified = "complaint.notified"

// sumLimits books one complaint in the tables of breaches, binding limits and stock.
func (s *summing) sumLimits(c *complaint, limits []limit) {
	for _, l := range limits {
		s.addBreach(c, l)
	}
	s.addBinding(limits)
	if c.openAt(s.asOf) {
		s.addStock(c, limits)
	}
}

func basisOf(l limit) string {
	if l.law {
		return "law"
	}
	return "norm"
}

// addBreach books a limit that fell due in the period and is decided.
func (s *summing) addBreach(c *complaint, l limit) {
	k := s.judge(c, l).kind
	if k != hit && k != miss {
		return
	}
	key := Detail{Name: l.clock, Key: basisOf(l)}
	b := s.breaches[key]
	if b == nil {
		b = &Breach{Clock: l.clock, Basis: basisOf(l)}
		s.breaches[key] = b
	}
	b.Due++
	if k == miss {
		b.Breached++
		if s.overlaps(l.start, l.due) {
			b.OutageOverlap++
		}
	}
}

// addBinding compares law and norm where both limit the same complaint's completion. With seven working days the norm can
// be later than fifteen calendar days: before long holidays the law binds first.
func (s *summing) addBinding(limits []limit) {
	var law, norm instant
	for _, l := range limits {
		switch {
		case l.stop != stopNotified:
		case l.law:
			law = earliest(law, l.due)
		default:
			norm = earliest(norm, l.due)
		}
	}
	if law == 0 || norm == 0 || !s.due(min(law, norm)) {
		return
	}
	switch {
	case law < norm:
		s.binding.LawFirst++
	case norm < law:
		s.binding.NormFirst++
	default:
		s.binding.Same++
	}
}

// addStock books an open complaint by level and age in calendar days since the day of receipt.
func (s *summing) addStock(c *complaint, limits []limit) {
	age := days(s.asOf-1) - days(c.at[received])
	row := s.stockRow(s.level(c).String(), s.band(age))
	row.Open++
	law, norm := false, false
	for _, l := range limits {
		if l.stop == stopNotified && l.due <= s.asOf {
			law, norm = law || l.law, norm || !l.law
		}
	}
	if law {
		row.OverdueLaw++
	}
	if norm {
		row.OverdueNorm++
	}
}

// days numbers the days in the institution's zone.
func days(t instant) int64 {
	const day = 24 * 3600 * 1_000_000
	return (int64(t) + 8*3600*1_000_000) / day
}

// band names the age band an age in days falls into.
func (s *summing) band(age int64) string {
	names := s.bands()
	for i, upTo := range s.defs.AgeBands {
		if age <= upTo {
			return names[i]
		}
	}
	return names[len(names)-1]
}

// bands names the age bands: "0-7", "8-15", ..., ">60".
func (s *summing) bands() []string {
	var out []string
	from := int64(0)
	for _, to := range s.defs.AgeBands {
		out = append(out, fmt.Sprintf("%d-%d", from, to))
		from = to + 1
	}
	return append(out, fmt.Sprintf(">%d", from-1))
}

func (s *summing) stockRow(level, band string) *StockRow {
	key := Detail{Name: level, Key: band}
	if s.stock[key] == nil {
		s.stock[key] = &StockRow{Level: level, Band: band}
	}
	return s.stock[key]
}

// stockTable writes the full grid, empty cells too: a missing row could be a lost one.
func (s *summing) stockTable() Stock {
	out := Stock{Bands: s.bands(), Rows: []StockRow{}}
	for _, l := range levels() {
		for _, b := range out.Bands {
			out.Rows = append(out.Rows, *s.stockRow(l.String(), b))
		}
	}
	return out
}

// breachTable lists law before norm, each by clock.
func (s *summing) breachTable() []Breach {
	out := []Breach{}
	for _, b := range s.breaches {
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b Breach) int {
		return cmp.Or(cmp.Compare(a.Basis, b.Basis), cmp.Compare(a.Clock, b.Clock))
	})
	return out
}

// digestOf is the lower-case hex SHA-256 by which the log names a blob.
func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
