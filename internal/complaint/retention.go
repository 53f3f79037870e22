package complaint

import (
	_ "embed"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

//go:embed retention.json
var retentionJSON []byte

// Members of the set retention_rule that code branches on.
const (
	RetentionComplaint = "complaint_3y"
	RetentionAML       = "aml_10y"
	RetentionLog       = "log"
)

// RetentionRule is how long a kind of data is kept, with where the number comes
// from and how certain that is: an institution's lawyer reads both.
type RetentionRule struct {
	// Rule is a member of the set retention_rule.
	Rule string `json:"rule"`
	// Years is counted from From ("closing"); 0 means no end of its own.
	Years int    `json:"years"`
	From  string `json:"from"`
	ZH    string `json:"zh"`
	EN    string `json:"en"`
	// Source is the text that the number rests on, Certainty how it was seen.
	Source    string `json:"source"`
	Certainty string `json:"certainty"`
}

var parsedRetention = sync.OnceValue(func() []RetentionRule {
	var rules []RetentionRule
	if err := json.Unmarshal(retentionJSON, &rules); err != nil {
		// The file is embedded and tested: this is a broken build.
		panic(err)
	}
	return rules
})

// RetentionRules returns the shipped rules, as a fresh slice.
func RetentionRules() []RetentionRule { return slices.Clone(parsedRetention()) }

// retentionZone is Chinese time: a period by years is counted in days there.
var retentionZone = time.FixedZone("Asia/Shanghai", 8*60*60)

// endOf returns the end of a rule's period: 24:00, in China, of the day that has
// the date of closing so many years later. 29 February counts as 1 March. Zero
// for a rule that has no end of its own.
func endOf(rule string, closed time.Time) time.Time {
	for _, r := range parsedRetention() {
		if r.Rule == rule && r.Years > 0 {
			year, month, day := closed.In(retentionZone).Date()
			return time.Date(year+r.Years, month, day+1, 0, 0, 0, 0, retentionZone).UTC()
		}
	}
	return time.Time{}
}

// ClosedAt is when the complaint was closed, refused or withdrawn: what
// retention counts from. Zero while it is open.
func (a *Attrs) ClosedAt() time.Time {
	var last time.Time
	for _, kind := range []string{"complaint.closed", "complaint.refused", "complaint.withdrawn"} {
		if at := a.Milestones[kind]; at.After(last) {
			last = at
		}
	}
	return last
}

// ruleOf is the rule that holds for a field of a record. Evidence that is kept
// for ten years is so only where the complaint's copy is the institution's own
// record of it, which RetentionReason says; a record that does not say is kept
// for the longest time that could apply.
func (a *Attrs) ruleOf(f Field) string {
	if f.Retention == RetentionAML && a.RetentionReason != "" && a.RetentionReason != RetentionAML {
		return RetentionComplaint
	}
	return f.Retention
}

// RetentionEnds returns for each group of sealed fields the end of its
// retention: the latest of its fields'. It depends on nothing but the record's
// own attributes. Nil while the complaint is open: then no period has begun.
func RetentionEnds(a *Attrs) map[string]time.Time {
	closed := a.ClosedAt()
	if closed.IsZero() {
		return nil
	}
	ends := map[string]time.Time{}
	for _, f := range SealedFields() {
		if end := endOf(a.ruleOf(f), closed); end.After(ends[f.Group]) {
			ends[f.Group] = end
		}
	}
	return ends
}

// RetentionEnd is the latest end among groups, or among all that the record can
// hold if none is named: nothing of it may be erased before. A later
// RetentionUntil of the record wins. Zero means that no end is known.
func RetentionEnd(a *Attrs, groups []string) time.Time {
	ends := RetentionEnds(a)
	if len(groups) == 0 {
		if !a.RetentionUntil.IsZero() {
			return a.RetentionUntil
		}
		for group := range ends {
			groups = append(groups, group)
		}
	}
	var last time.Time
	for _, group := range groups {
		end, known := ends[group]
		if !known {
			return time.Time{}
		}
		if end.After(last) {
			last = end
		}
	}
	return last
}

// Retention computes what is stored when a complaint is closed: the longest
// period that applies to what it holds, and the rule behind it. stored names the
// sealed fields that have a value; amlRecord says that the institution declared
// the complaint's copy to be its record under the anti-money-laundering law.
func Retention(closed time.Time, stored []string, amlRecord bool) (until time.Time, rule string) {
	rule = RetentionComplaint
	for _, name := range stored {
		if f, ok := FieldByName(name); ok && amlRecord && f.Retention == RetentionAML {
			rule = RetentionAML
		}
	}
	return endOf(rule, closed), rule
}

// ReturnState is where a transition leads for this record: lifting a restriction
// returns to the state that it was restricted from.
func ReturnState(transition, next, restrictedFrom string) string {
	if transition == "lift_restriction" && Registry().Has("state", restrictedFrom) {
		return restrictedFrom
	}
	return next
}
