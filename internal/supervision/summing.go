package supervision

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/clock"
)

// Inputs is what a report rests on besides the entries: data that the log names by digest, and which log it was.
type Inputs struct {
	Definitions *Definitions
	Calendar    *clock.Calendar
	// Limits is the file of clock profiles, as clock.ParseProfiles reads it.
	Limits []byte
	// Norms are the adopted overlays, each with the limits file its entry names; empty Limits means Inputs.Limits.
	Norms []Norm
	// Logs are the verified logs that were folded, oldest first.
	Logs []LogRef
}

// Norm is one adoption of an own promise.
type Norm struct {
	Name   string // id of a profile in Limits
	Limits []byte
	From   time.Time
}

// ErrInputs is wrapped when a report's inputs are missing or do not fit together.
var ErrInputs = errors.New("report inputs not usable")

// lawProfile is the id of the profile that is always in force.
const lawProfile = "cn-law"

// stage is a set of limits for complaints received from a time on.
type stage struct {
	from    instant
	profile clock.Profile
}

// summing is one making of a report: the fold, frozen, with its inputs.
type summing struct {
	window
	fold     *Fold
	defs     *Definitions
	calendar *clock.Calendar
	stages   []stage // ascending; the first is the law alone, from the beginning
	weeks    []week
	breaches map[Detail]*Breach // key: clock and basis
	binding  Binding
	excluded Excluded
	stock    map[Detail]*StockRow // key: level and band
}

// Report computes the figures of everything added so far. It does not change the fold: more entries may follow and another
// report be made. Errors wrap ErrInputs.
func (f *Fold) Report(in Inputs) (Report, error) {
	if in.Definitions == nil || in.Calendar == nil {
		return Report{}, fmt.Errorf("%w: definitions and calendar are required", ErrInputs)
	}
	s := &summing{
		window:   window{from: f.from, end: f.end, asOf: min(f.end, f.last), last: f.last},
		fold:     f,
		defs:     in.Definitions,
		calendar: in.Calendar,
		weeks:    f.period.weeks(),
		breaches: map[Detail]*Breach{},
		stock:    map[Detail]*StockRow{},
	}
	norms, err := s.profiles(in)
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrInputs, err)
	}
	figures := s.figures()
	return Report{
		Format:   reportFormat,
		Header:   s.header(in, norms),
		Figures:  figures,
		Stock:    s.stockTable(),
		Breaches: s.breachTable(),
		Binding:  s.binding,
		Outages:  s.outages(),
		Excluded: s.excluded,
		Entries:  s.entries(),
	}, nil
}

// profiles builds the sets of limits and the header's list of norms.
func (s *summing) profiles(in Inputs) ([]AdoptedNorm, error) {
	law, err := profileIn(in.Limits, lawProfile)
	if err != nil {
		return nil, err
	}
	s.stages = []stage{{profile: law}}
	out := []AdoptedNorm{}
	norms := slices.Clone(in.Norms)
	slices.SortStableFunc(norms, func(a, b Norm) int { return cmp.Compare(a.From.UnixMicro(), b.From.UnixMicro()) })
	for _, n := range norms {
		file := n.Limits
		if len(file) == 0 {
			file = in.Limits
		}
		overlay, err := profileIn(file, n.Name)
		if err != nil {
			return nil, err
		}
		from := instantOf(n.From)
		s.stages = append(s.stages, stage{from: from, profile: law.With(overlay, time.Time{})})
		out = append(out, AdoptedNorm{Name: n.Name, SHA256: digestOf(file), From: from.text()})
	}
	return out, nil
}

// profileIn reads one profile of a limits file.
func profileIn(file []byte, id string) (clock.Profile, error) {
	all, err := clock.ParseProfiles(file)
	if err != nil {
		return clock.Profile{}, fmt.Errorf("reading limits: %w", err)
	}
	for _, p := range all {
		if p.ID == id {
			return p, nil
		}
	}
	return clock.Profile{}, fmt.Errorf("reading limits: no profile %s in the file", strconv.Quote(id))
}

// header writes out what the report rests on.
func (s *summing) header(in Inputs, norms []AdoptedNorm) Header {
	years := []string{}
	for _, y := range in.Calendar.Years() {
		years = append(years, strconv.Itoa(y))
	}
	logs := in.Logs
	if logs == nil {
		logs = []LogRef{}
	}
	p := s.fold.period
	return Header{
		Institution: s.fold.institution,
		Period:      PeriodName{Name: p.Name, From: instantOf(p.From).text(), To: instantOf(p.To).text()},
		AsOf:        s.asOf.text(),
		Simulated:   s.fold.simulated,
		Logs:        logs,
		Definitions: BlobRef{SHA256: in.Definitions.Digest(), Version: in.Definitions.Version},
		Calendar:    BlobRef{SHA256: in.Calendar.Digest(), Version: strings.Join(years, " ")},
		Limits:      BlobRef{SHA256: digestOf(in.Limits), Version: lawProfile},
		Norms:       norms,
		Bundles:     sortedKeys(s.fold.bundles),
		Counting:    in.Definitions.Counting,
		Rounding:    in.Definitions.Rounding,
	}
}

// figures computes every figure in the order of the definitions. The complaints are walked in the order of their
// subjects; nothing here depends on it, but a walk that is the same each time keeps it so.
func (s *summing) figures() []Figure {
	kinds := measures()
	tallies := make([]*tally, len(s.defs.Figures))
	for i := range tallies {
		tallies[i] = newTally(len(s.weeks))
	}
	for _, subject := range sortedKeys(s.fold.complaints) {
		c := s.fold.complaints[subject]
		if s.skip(c) {
			continue
		}
		limits := s.limits(c)
		s.sumLimits(c, limits)
		for i := range s.defs.Figures {
			def := &s.defs.Figures[i]
			if m := kinds[def.Measure]; m.byCase != nil {
				v := m.byCase(view{complaint: c, window: s.window, limits: limits, def: def, defs: s.defs, tally: tallies[i], over: s.overlaps})
				tallies[i].add(v, s.level(c), s.department(c), s.week(v.on))
			}
		}
	}
	out := make([]Figure, 0, len(tallies))
	for i, def := range s.defs.Figures {
		out = append(out, s.finish(kinds[def.Measure], def, tallies[i]))
	}
	return out
}

func (s *summing) finish(m measure, def Definition, t *tally) Figure {
	if m.whole != nil {
		return m.whole(s, def)
	}
	weeks := s.weeks
	if def.Cohort == "stock" {
		weeks = nil // a stock has one instant
	}
	f := t.figure(def, weeks)
	if def.Measure == "timely" && def.Basis == "norm" && len(s.stages) == 1 {
		f.Note = "norm_not_adopted"
	}
	return f
}

// skip leaves out what no figure looks at, and counts it.
func (s *summing) skip(c *complaint) bool {
	switch {
	case c.at[received] == 0:
		s.excluded.ReceiptUnknown++
		return true
	case c.at[received] >= s.end:
		return true // came after the period
	case c.at[merged].by(s.asOf):
		s.excluded.Merged++
		return true
	case c.imported:
		s.excluded.Imported++
		return true
	}
	return false
}

// limits asks the clock for every due instant of a complaint under the limits in force when it was received.
func (s *summing) limits(c *complaint) []limit {
	profile := s.stages[0].profile
	for _, st := range s.stages[1:] {
		if st.from <= c.at[received] {
			profile = st.profile
		}
	}
	dues := clock.DueDates(profile, s.calendar, s.milestones(c))
	out := make([]limit, 0, len(dues))
	for _, d := range dues {
		l := limit{clock: d.Clock, law: d.Law, stop: d.Stop, start: instantOf(d.StartedAt), due: instantOf(d.DueAt), provisional: d.Provisional}
		if d.Law {
			l.due = instantOf(d.RolledDueAt)
		}
		if d.Met != nil {
			l.met = instantOf(*d.Met)
		}
		l.extended = d.Extended > 0
		out = append(out, l)
	}
	return out
}

func (s *summing) milestones(c *complaint) clock.Milestones {
	m := clock.Milestones{ReceivedAt: c.at[received].time(), Events: make(map[string]time.Time, milestones)}
	for i, kind := range milestoneKinds() {
		if kind != "" && c.at[i] != 0 {
			m.Events[kind] = c.at[i].time()
		}
	}
	if c.referral > 0 {
		m.Referral = s.fold.referrals.list[c.referral-1]
	}
	ext := slices.Clone(c.extensions)
	slices.SortStableFunc(ext, func(a, b extension) int { return cmp.Compare(a.at, b.at) })
	for _, e := range ext {
		m.Extensions = append(m.Extensions, clock.Extension{Clock: e.clock, Days: e.days, ApprovedAt: e.at.time(), Told: e.told})
	}
	return m
}

func (s *summing) level(c *complaint) level {
	if c.level.at == 0 {
		return unclassified
	}
	return level(c.level.value)
}

func (s *summing) department(c *complaint) string {
	if c.department.at == 0 {
		return "none"
	}
	return s.fold.departments.list[c.department.value-1]
}

// week is the index of an instant on the weekly axis, -1 outside the period.
func (s *summing) week(t instant) int {
	if !s.happened(t) {
		return -1
	}
	return s.fold.period.weekOf(t.time())
}

// overlaps says whether an outage touched the stretch from one instant to another.
func (s *summing) overlaps(from, to instant) bool {
	for _, list := range s.fold.outages {
		for _, o := range list {
			if o.began <= to && (o.ended == 0 || o.ended >= from) {
				return true
			}
		}
	}
	return false
}

// outages counts outages that touch the period.
func (s *summing) outages() int64 {
	var n int64
	for _, list := range s.fold.outages {
		for _, o := range list {
			if o.began < s.end && (o.ended == 0 || o.ended >= s.from) {
				n++
			}
		}
	}
	return n
}

// entries splits the log into kinds read and kinds not read by these definitions.
func (s *summing) entries() Entries {
	out := Entries{NotRead: []KindCount{}}
	for _, kind := range sortedKeys(s.fold.kinds) {
		n := s.fold.kinds[kind].n
		if slices.Contains(s.defs.Reads, kind) {
			out.Read += n
			continue
		}
		out.NotRead = append(out.NotRead, KindCount{Kind: kind, Entries: n})
	}
	return out
}
