package supervision

// count is a ratio in the making.
type count struct{ n, d, u int64 }

func (c *count) add(k verdictKind) {
	switch k {
	case hit:
		c.n++
		c.d++
	case miss:
		c.d++
	case undecided:
		c.u++
	case outside, leftWithdrawn, leftRefused:
	}
}

func (c count) ratio() Ratio { return ratio(c.n, c.d, c.u) }

// tally sums the verdicts of one figure over all complaints.
type tally struct {
	total   count
	levels  map[level]*count
	depts   map[string]*count
	weeks   []count
	apart   Apart
	overlap int64
	details map[Detail]int64 // key: name, key and unit with Value 0
}

func newTally(weeks int) *tally {
	t := &tally{levels: map[level]*count{}, depts: map[string]*count{}, weeks: make([]count, weeks), details: map[Detail]int64{}}
	for _, l := range levels() {
		t.levels[l] = &count{}
	}
	return t
}

// add books one verdict; week is the index on the weekly axis.
func (t *tally) add(v verdict, l level, dept string, week int) {
	switch v.kind {
	case outside:
		return
	case leftWithdrawn:
		t.apart.Withdrawn++
		return
	case leftRefused:
		t.apart.Refused++
		return
	case hit, miss, undecided:
	}
	t.total.add(v.kind)
	t.levels[max(l, unclassified)].add(v.kind)
	d := t.depts[dept]
	if d == nil {
		d = &count{}
		t.depts[dept] = d
	}
	d.add(v.kind)
	if week >= 0 && week < len(t.weeks) {
		t.weeks[week].add(v.kind)
	}
}

// note adds n to a detail.
func (t *tally) note(name, key, unit string, n int64) {
	t.details[Detail{Name: name, Key: key, Unit: unit}] += n
}

// figure writes the tally out, every list in a fixed order.
func (t *tally) figure(def Definition, weeks []week) Figure {
	f := Figure{
		Definition: def, Value: t.total.ratio(), Apart: t.apart, OutageOverlap: t.overlap,
		ByLevel: []Row{}, ByDepartment: []Row{}, Weeks: []Row{}, Details: sortedDetails(t.details),
	}
	for _, l := range levels() {
		f.ByLevel = append(f.ByLevel, Row{Key: l.String(), Value: t.levels[l].ratio()})
	}
	for _, d := range sortedKeys(t.depts) {
		f.ByDepartment = append(f.ByDepartment, Row{Key: d, Value: t.depts[d].ratio()})
	}
	for i, w := range weeks {
		f.Weeks = append(f.Weeks, Row{Key: w.name, Value: t.weeks[i].ratio()})
	}
	return f
}
