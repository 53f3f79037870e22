package supervision

import (
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// access counts the accesses of the period.
type access struct {
	weeks                         []accessCount
	byRole                        map[string]*accessCount
	byReason, byAction            map[string]int64
	fieldsRead, fieldsRevealed    int64
	searches, searchesWithoutHits int64
	reveals                       map[revealer]*int64
}

// accessCount is the three counts a denial rate is made of.
type accessCount struct{ reads, reveals, denied int64 }

func (a accessCount) all() int64 { return a.reads + a.reveals + a.denied }

// revealer is a person in the roles she acted in.
type revealer struct {
	person int32
	role   string
}

func (a *access) init(weeks int) {
	a.weeks = make([]accessCount, weeks)
	a.byRole = map[string]*accessCount{}
	a.byReason, a.byAction = map[string]int64{}, map[string]int64{}
	a.reveals = map[revealer]*int64{}
}

// take counts one access of the period.
func (a *access) take(f *Fold, l *audit.Leaf, at instant, r *reader) {
	b := &l.Body
	if b.Kind == "access.search" {
		a.searches++
		if r.has("hits") && r.whole("hits") == 0 {
			a.searchesWithoutHits++
		}
		return
	}
	role := roleOf(b, r)
	sum := a.byRole[role]
	if sum == nil {
		sum = &accessCount{}
		a.byRole[role] = sum
	}
	week := &a.weeks[f.period.weekOf(at.time())]
	switch b.Kind {
	case "access.read":
		sum.reads++
		week.reads++
		a.fieldsRead += int64(len(b.Fields))
	case "access.reveal":
		sum.reveals++
		week.reveals++
		a.fieldsRevealed += int64(len(b.Fields))
		a.countReveal(revealer{f.persons.id(b.Actor.ID), role})
	case "access.denied":
		sum.denied++
		week.denied++
		r.must("action")
		a.byAction[r.text("action")]++
		a.byReason[reasonOf(b, r)]++
	}
}

func (a *access) countReveal(who revealer) {
	if n := a.reveals[who]; n != nil {
		*n++
		return
	}
	one := int64(1)
	a.reveals[who] = &one
}

// roleOf names the roles the actor acted in, joined in byte order; a person with two roles is a row of her own, since
// neither role alone did it.
func roleOf(b *audit.Body, r *reader) string {
	switch len(b.Actor.Roles) {
	case 0:
		if role := r.text("role"); role != "" {
			return role
		}
		return "none"
	case 1:
		return b.Actor.Roles[0]
	}
	roles := slices.Clone(b.Actor.Roles)
	slices.Sort(roles)
	return strings.Join(slices.Compact(roles), "+")
}

func reasonOf(b *audit.Body, r *reader) string {
	if s := r.text("reason"); s != "" {
		return s
	}
	if b.Decision != nil && b.Decision.Reason != "" {
		return b.Decision.Reason
	}
	return "none"
}

// health is what the log says of itself in the period.
type health struct {
	runs, clean, unstated        int64
	lastRun                      instant
	findings, violations         int64
	reports, gaps, lag, verified int64 // gaps and lag are the worst, verified the furthest
	skewEntries, judged, skewed  int64
}

// skewLimit is how far the service's clock and the sequencer's may part before an entry counts in M41 (contracts: 5 s).
const skewLimit = 5 * time.Second

func (h *health) take(kind string, at instant, r *reader) {
	switch kind {
	case "trail.health":
		h.reports++
		h.gaps = max(h.gaps, r.whole("gaps"))
		h.lag = max(h.lag, r.whole("max_lag_ms"))
		h.verified = max(h.verified, r.whole("verified_to"))
	case "trail.verified":
		h.runs++
		h.lastRun = max(h.lastRun, at)
		h.verified = max(h.verified, r.whole("size"))
		switch n := r.whole("findings"); {
		case !r.has("findings"):
			h.unstated++
		case n == 0:
			h.clean++
		default:
			h.findings += n
		}
	case "trail.violation":
		h.violations++
	case "clock.skew":
		h.skewEntries++
	}
}

// judge compares the service's clock with the sequencer's.
func (h *health) judge(at, seqAt time.Time) {
	h.judged++
	if seqAt.Sub(at).Abs() > skewLimit {
		h.skewed++
	}
}
