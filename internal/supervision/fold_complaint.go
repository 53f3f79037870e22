package supervision

import (
	"fmt"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
)

// takeComplaint applies one event of a complaint. Acts of staff count by the service clock's time of the entry; receipt
// alone counts by the time its entry claims, since it happened outside.
func (f *Fold) takeComplaint(b *audit.Body, at instant, r *reader) {
	if !strings.HasPrefix(b.Subject, "complaint:") {
		if r.err == nil {
			r.err = fmt.Errorf("%w: subject is not a complaint", ErrFacts)
		}
		return
	}
	c := f.complaints[b.Subject]
	if c == nil {
		c = &complaint{}
		f.complaints[strings.Clone(b.Subject)] = c
	}
	if m, ok := milestoneOf(b.Kind); ok {
		c.at[m] = earliest(c.at[m], at)
	}
	if f.within(at) && b.Kind != "complaint.recorded" {
		c.handledBy(f.persons.id(b.Actor.ID))
	}
	if d := r.text("department"); d != "" {
		c.department.set(f.departments.id(d)+1, at, f.end)
	}
	f.takeFacts(c, b, at, r)
}

// takeFacts reads what one kind states beyond having happened.
func (f *Fold) takeFacts(c *complaint, b *audit.Body, at instant, r *reader) {
	switch b.Kind {
	case "complaint.recorded":
		f.takeRecorded(c, at, r)
	case "complaint.accepted":
		if r.has("repeat_180d") {
			c.repeat = state(r.flag("repeat_180d"))
		}
	case "complaint.classified":
		r.must("level")
		f.setLevel(c, r.level("level"), at)
	case "complaint.reclassified":
		r.must("level")
		f.takeReclassified(c, at, r)
	case "complaint.extended":
		r.must("clock")
		r.must("days")
		c.extensions = append(c.extensions, extension{
			at: at, clock: r.text("clock"), days: int(min(r.whole("days"), 3650)),
			told: r.flag("complainant_told"),
		})
	case "transfer.received":
		r.must("referral")
		c.referral = f.referrals.id(r.text("referral")) + 1
		if r.has("earlier_own_complaint") {
			c.earlierOwn = state(r.flag("earlier_own_complaint"))
		}
	case "satisfaction.recorded":
		r.must("score")
		score := r.whole("score")
		if score < 1 || score > 5 {
			r.fail("score", "within 1 to 5")
		}
		if c.scoreAt == 0 || at < c.scoreAt {
			c.score, c.scoreAt, c.scoreByHandler = int8(min(score, 5)), at, r.flag("asked_by_handler")
		}
	}
}

func (f *Fold) takeRecorded(c *complaint, at instant, r *reader) {
	r.must("received_at")
	c.at[received] = earliest(c.at[received], r.at("received_at"))
	c.imported = c.imported || r.flag("imported") || r.has("asserted_at")
	if l := r.level("level"); l > unclassified {
		f.setLevel(c, l, at)
	}
	if r.has("repeat_180d") && c.repeat == unstated {
		c.repeat = state(r.flag("repeat_180d"))
	}
	if r.has("same_business_180d") {
		c.sameBusiness = state(r.flag("same_business_180d"))
	}
	if s := r.text("referral"); s != "" && s != "none" && c.at[transferred] == 0 {
		c.referral = f.referrals.id(s) + 1
	}
	if r.has("earlier_own_complaint") {
		c.earlierOwn = state(r.flag("earlier_own_complaint"))
	}
}

// takeReclassified notes a raise: against the level the entry names as the old one, else against the one last set.
func (f *Fold) takeReclassified(c *complaint, at instant, r *reader) {
	from := r.level("level_from")
	if from == noLevel {
		from = level(c.level.value)
	}
	to := r.level("level")
	if from >= general && to > from {
		c.at[raised] = earliest(c.at[raised], at)
	}
	f.setLevel(c, to, at)
}

func (f *Fold) setLevel(c *complaint, l level, at instant) { c.level.set(int32(l), at, f.end) }
