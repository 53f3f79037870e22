package supervision

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// ErrInstitution is wrapped when entries of two institutions are fed to one fold.
var ErrInstitution = errors.New("entries of two institutions")

// Fold takes verified log entries one by one and keeps what the figures need: one small struct per complaint and counters.
// It reads nothing but the entries: no clock, no file, no record. Feed it the entries of one institution, each once, in
// log order (several logs one after the other, oldest first); entries of different subjects may change places without
// changing the report. A Fold is for one goroutine.
type Fold struct {
	period      Period
	from, end   instant
	institution string
	simulated   bool
	last        instant // the latest service-clock time of any entry

	kinds       map[string]*kindCount
	bundles     map[string]bool
	named       Named
	complaints  map[string]*complaint
	departments names
	persons     names
	referrals   names
	access      access
	cases       map[string]*breakGlass
	outages     map[string][]outage
	health      health
}

// kindCount counts the entries of one kind; reads is fixed when the kind is first seen.
type kindCount struct {
	n     int64
	reads bool
}

// Named lists what the log says was in force, in log order. Digests are lower-case hex SHA-256 of blobs in the published
// folder.
type Named struct {
	Calendars   []NamedBlob
	Definitions []NamedBlob
	Norms       []NamedBlob
}

// NamedBlob is one *.loaded or norm.adopted entry.
type NamedBlob struct {
	// Name is the norm's code, or what kind of definitions the entry loads; may be empty.
	Name string
	// Digest names blob/sha256/<hex>; may be empty for a norm.
	Digest string
	// From is when it took effect: effective_from if the entry states it, else the entry's own time.
	From instant
}

// New starts a fold over the period. The zero Period is refused.
func New(p Period) (*Fold, error) {
	if p.Name == "" || !p.From.Before(p.To) {
		return nil, errors.New("starting fold: the period is empty; make it with ParsePeriod")
	}
	f := &Fold{
		period: p, from: instantOf(p.From), end: instantOf(p.To),
		kinds: map[string]*kindCount{}, bundles: map[string]bool{}, complaints: map[string]*complaint{},
		cases: map[string]*breakGlass{}, outages: map[string][]outage{},
	}
	f.access.init(len(p.weeks()))
	return f, nil
}

// Named returns what the entries so far say was in force. The caller MUST NOT write to it.
func (f *Fold) Named() Named { return f.named }

// AddView adds a scanned leaf; only kinds that a figure reads are decoded. It keeps nothing of the view's bytes.
func (f *Fold) AddView(v *audit.LeafView) error {
	k, ok := f.kinds[string(v.Kind())]
	if !ok || k.reads || string(v.Institution()) != f.institution {
		return f.Add(v.Leaf())
	}
	k.n++
	at := v.At()
	f.see(at, v.SeqAt(), v.Sim())
	if b := v.Bundle(); len(b) > 0 && f.within(instantOf(at)) && !f.bundles[string(b)] {
		f.bundles[string(b)] = true
	}
	return nil
}

// Add adds one verified entry. It refuses, with an *EntryError naming the entry, facts that are not of the registry's types
// and an entry of another institution; after an error the fold MUST NOT be used.
func (f *Fold) Add(l audit.Leaf) error {
	if err := f.add(&l); err != nil {
		return &EntryError{Log: l.Log, Index: l.Index, Kind: l.Body.Kind, Err: err}
	}
	return nil
}

func (f *Fold) add(l *audit.Leaf) error {
	b := &l.Body
	if f.institution == "" {
		f.institution = b.Institution
	}
	if b.Institution != f.institution {
		return fmt.Errorf("%w in one fold", ErrInstitution)
	}
	at := instantOf(b.At)
	f.see(b.At, l.SeqAt, b.Sim)
	if b.Decision != nil && b.Decision.Bundle != "" && f.within(at) {
		f.bundles[b.Decision.Bundle] = true
	}
	k := f.kinds[b.Kind]
	if k == nil {
		k = &kindCount{reads: slices.Contains(kindsRead(), b.Kind)}
		f.kinds[strings.Clone(b.Kind)] = k
	}
	k.n++
	if !k.reads {
		return nil
	}
	r := &reader{facts: b.Facts}
	f.take(l, at, r)
	return r.err
}

// see keeps what every entry tells: how far the log reaches, whether it is simulated, and how far two clocks part.
func (f *Fold) see(at, seqAt time.Time, sim bool) {
	f.last = max(f.last, instantOf(at))
	f.simulated = f.simulated || sim
	if f.within(instantOf(at)) {
		f.health.judge(at, seqAt)
	}
}

func (f *Fold) within(at instant) bool { return at >= f.from && at < f.end }

// take hands an entry to the part of the fold that reads its kind. An intent is counted where the access itself is the
// fact (the disclosure may have happened even if no outcome follows); a change counts by its event, which was written in
// the transaction that made it.
func (f *Fold) take(l *audit.Leaf, at instant, r *reader) {
	kind, stage := l.Body.Kind, l.Body.Stage
	switch {
	case strings.HasPrefix(kind, "access."):
		if stage != audit.StageOutcome && f.within(at) {
			f.access.take(f, l, at, r)
		}
	case stage != audit.StageEvent:
	case strings.HasPrefix(kind, "breakglass."):
		f.takeBreakGlass(&l.Body, at, r)
	case strings.HasPrefix(kind, "outage."):
		f.takeOutage(kind, at, r)
	case strings.HasPrefix(kind, "trail."), kind == "clock.skew":
		if f.within(at) {
			f.health.take(kind, at, r)
		}
	case strings.HasSuffix(kind, ".loaded"), kind == "norm.adopted":
		f.takeNamed(kind, at, r)
	default:
		f.takeComplaint(&l.Body, at, r)
	}
}

// takeNamed notes what is in force from now on.
func (f *Fold) takeNamed(kind string, at instant, r *reader) {
	n := NamedBlob{Digest: r.text("digest"), From: at}
	switch kind {
	case "calendar.loaded":
		r.must("digest")
		f.named.Calendars = append(f.named.Calendars, n)
	case "definitions.loaded":
		r.must("digest")
		n.Name = r.text("what")
		f.named.Definitions = append(f.named.Definitions, n)
	case "norm.adopted":
		r.must("norm")
		n.Name = r.text("norm")
		if from := r.at("effective_from"); from != 0 {
			n.From = from
		}
		f.named.Norms = append(f.named.Norms, n)
	}
}

// takeBreakGlass follows one case from opening to review.
func (f *Fold) takeBreakGlass(b *audit.Body, at instant, r *reader) {
	r.must("case")
	id := r.text("case")
	c := f.cases[id]
	if c == nil {
		c = &breakGlass{}
		f.cases[id] = c
	}
	switch b.Kind {
	case "breakglass.opened":
		c.opened, c.opener = earliest(c.opened, at), b.Actor.ID
		c.until = r.at("until")
	case "breakglass.closed":
		c.closed = earliest(c.closed, at)
	case "breakglass.reviewed":
		if c.reviewed == 0 || at < c.reviewed {
			c.reviewed, c.reviewer = at, b.Actor.ID
			r.must("verdict")
			c.unjustified = r.text("verdict") == "unjustified"
		}
	}
}

// takeOutage pairs beginnings and ends by what was away. An end without a beginning is an outage that the log could not
// record when it began; it covers no known stretch and is left out.
func (f *Fold) takeOutage(kind string, at instant, r *reader) {
	what := r.text("what")
	list := f.outages[what]
	if kind == "outage.began" {
		f.outages[what] = append(list, outage{began: at})
		return
	}
	if n := len(list); n > 0 && list[n-1].ended == 0 {
		list[n-1].ended = at
	}
}

// kindsRead lists every kind that a figure reads, in byte order. definitions.json repeats the list, so that a report's
// count of entries not read depends on the definitions it names and not on the program.
func kindsRead() []string {
	return []string{
		"access.denied", "access.read", "access.reveal", "access.search",
		"breakglass.closed", "breakglass.opened", "breakglass.reviewed",
		"calendar.loaded", "clock.skew",
		"complaint.accepted", "complaint.amended", "complaint.assigned", "complaint.classified", "complaint.closed",
		"complaint.decided", "complaint.dept_received", "complaint.extended", "complaint.first_response",
		"complaint.merged", "complaint.notified", "complaint.plan_approved", "complaint.plan_proposed",
		"complaint.reclassified", "complaint.recorded", "complaint.refused", "complaint.review_decided",
		"complaint.review_done", "complaint.review_requested", "complaint.review_started", "complaint.withdrawn",
		"confirmation_letter.sent", "contact.logged", "definitions.loaded", "norm.adopted",
		"outage.began", "outage.ended", "satisfaction.recorded",
		"trail.health", "trail.verified", "trail.violation", "transfer.received",
	}
}
