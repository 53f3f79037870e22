package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
)

// Effect is what a decision does with a field or a group. The zero value refuses.
type Effect uint8

// Effects, from narrow to wide. For action amend, Reveal means "may be written".
const (
	Deny Effect = iota
	Mask
	Reveal
)

// String gives deny, mask or reveal.
func (e Effect) String() string {
	switch e {
	case Mask:
		return "mask"
	case Reveal:
		return "reveal"
	default:
		return "deny"
	}
}

// Obligation is something that the door must do with a decision, and the article that demands it.
type Obligation struct {
	Do      string `json:"do"`
	Article string `json:"article"`
}

// Decision is the answer to one Request. Only Engine makes one; the zero value refuses everything.
//
// Rule, Article, Reason and Next may be shown to the caller: a refusal that hides whether the record exists gives the same answer for
// the recused and for the stranger. TrueRule, TrueArticle and TrueReason are for the log, which the DPO reads.
type Decision struct {
	cell *cell
	snap *Snapshot
	req  Request
	id   decisionID
	key  uint64
	// grantGroups is the set of groups (bit per index in groups) to which an access grant was narrowed; 0 = no grant used.
	grantGroups uint16
	// true and public reason codes; unfit reasons replace the cell's own.
	reason, public string
}

// Allowed says whether the action itself may happen. Single fields may still be denied or masked.
func (d Decision) Allowed() bool { return d.cell != nil && d.cell.allow }

// ID is the unique random name of this decision (96 bits, lower-case hex). Empty for the zero Decision.
func (d Decision) ID() string { return d.id.String() }

// Effect says what happens with one field of the catalogue. A field that the catalogue does not know is denied.
func (d Decision) Effect(field string) Effect {
	if d.cell == nil || d.snap == nil {
		return Deny
	}
	i, ok := d.snap.fieldIndex[field]
	if !ok {
		return Deny
	}
	return d.cell.fields[i]
}

// Group says what happens with one group of fields. An unknown group is denied.
func (d Decision) Group(group string) Effect {
	if d.cell == nil {
		return Deny
	}
	i, ok := groupIndex(group)
	if !ok {
		return Deny
	}
	return d.cell.groups[i]
}

// Fields walks over every field of the catalogue in its order, with the effect on it, the denied ones too.
func (d Decision) Fields() iter.Seq2[string, Effect] {
	return func(yield func(string, Effect) bool) {
		if d.cell == nil || d.snap == nil {
			return
		}
		for i, f := range d.snap.catalogue.Fields {
			if !yield(f.Name, d.cell.fields[i]) {
				return
			}
		}
	}
}

// MetaDenied says that the action is about a record and group meta is denied: the caller must answer exactly as for an unknown id.
func (d Decision) MetaDenied() bool {
	return d.cell == nil || (d.cell.record && d.cell.groups[groupMeta] == Deny)
}

// Request gives back what was asked. It holds blind indexes: never log it whole.
func (d Decision) Request() Request { return d.req }

// Rule is the label of the rule that decided (R3), as it may be shown.
func (d Decision) Rule() string { return d.explain(d.public).Rule }

// Article is the article that the rule rests on (6.1.3), as it may be shown.
func (d Decision) Article() string { return d.explain(d.public).Article }

// Reason is the reason code, as it may be shown. Never empty: the zero Decision answers "not_evaluated".
func (d Decision) Reason() string { return d.explain(d.public).Code }

// Next is the code of the next step that the refused person can take.
func (d Decision) Next() string { return d.explain(d.public).Next }

// TrueRule is Rule without the veil, for the log.
func (d Decision) TrueRule() string { return d.explain(d.reason).Rule }

// TrueArticle is Article without the veil, for the log.
func (d Decision) TrueArticle() string { return d.explain(d.reason).Article }

// TrueReason is Reason without the veil, for the log. It must not reach the caller: recusal would tip off the person complained about.
func (d Decision) TrueReason() string { return d.explain(d.reason).Code }

// Obligations lists what the door must do, sorted by Do. The slice is shared: do not change it.
func (d Decision) Obligations() []Obligation {
	if d.cell == nil {
		return nil
	}
	return d.cell.obligations
}

// Obliged says whether the decision carries the obligation.
func (d Decision) Obliged(do string) bool {
	for _, o := range d.Obligations() {
		if o.Do == do {
			return true
		}
	}
	return false
}

// Bundle is the SHA-256 (lower-case hex) of the bundle that decided. Empty for the zero Decision.
func (d Decision) Bundle() string {
	if d.snap == nil {
		return ""
	}
	return d.snap.digest
}

// Sequence is the activation number of the bundle that decided; 0 for the zero Decision.
func (d Decision) Sequence() uint64 {
	if d.snap == nil {
		return 0
	}
	return d.snap.sequence
}

// InputCommitment is the SHA-256 (lower-case hex) over bundle digest and packed finite attributes, by which an auditor finds the cell of
// the decision table. It holds no identifier, so the same cell gives the same commitment. Empty for the zero Decision.
func (d Decision) InputCommitment() string {
	if d.snap == nil {
		return ""
	}
	return commitment(d.snap.digest, d.key, d.grantGroups)
}

// Why gives the reason code of what happens to one field: of a denied or masked one the reason that narrowed it, of a revealed one the
// decision's own. It may be shown to the caller.
func (d Decision) Why(field string) string {
	if d.cell == nil || d.snap == nil || !d.cell.allow {
		return d.Reason()
	}
	i, ok := d.snap.fieldIndex[field]
	if ok && d.snap.catalogue.Fields[i].Class == "C3" {
		return reasonC3
	}
	if ok && d.cell.fields[i] == Reveal {
		return d.Reason()
	}
	if len(d.cell.reasons) > 0 {
		return d.cell.reasons[0]
	}
	return reasonField
}

// explain looks a code up in the bundle that decided; the zero Decision knows no bundle.
func (d Decision) explain(code string) Reason {
	if d.snap != nil {
		if r, ok := d.snap.reasons[code]; ok {
			return r
		}
	}
	return Reason{Code: reasonNotEvaluated, Rule: "R1", Article: "6.1.1", Next: "try_later"}
}

const commitmentLabel = "sealtrail-input-v1\n"

// commitment hashes "sealtrail-input-v1", bundle digest, key and grant groups, each as printed in docs/formats/policy-bundle.md.
func commitment(digest string, key uint64, grant uint16) string {
	sum := sha256.Sum256(fmt.Appendf(nil, commitmentLabel+"%s\n%016x\n%04x\n", digest, key, grant))
	return hex.EncodeToString(sum[:])
}
