package policy

import "bytes"

// relations turns subject, record and time into the facts, as confidentiality/relations says it in Rego; a test enumerates small worlds
// and shows both equal. Change them together. A missing fact is false; implicated is true unless shown to be false.
func relations(r *Request) uint8 {
	var f uint8
	if r.Subject.ID != "" && len(r.Subject.Unfit) == 0 {
		f |= factFit
	}
	if implicated(&r.Subject, &r.Record) {
		f |= factImplicated
	}
	if assigned(r) {
		f |= factAssigned
	}
	if r.Subject.Kind == KindHuman && r.Record.Department != "" && r.Record.Department == r.Subject.Department {
		f |= factUnit
	}
	if rank := levelRank(r.Record.Level); rank > 0 && r.Subject.Level >= rank {
		f |= factCleared
	}
	if grantGroups(r) != 0 {
		f |= factGranted
	}
	if breakglass(r) {
		f |= factBreakglass
	}
	return f
}

// implicated says whether the person must stand aside: among the respondents, or an earlier handler of a record under review. An unknown
// staff token cannot be shown to be absent. Applications and complainants are no staff, and their roles show no respondent.
func implicated(s *Subject, rec *Record) bool {
	if s.Kind == KindApplication || s.Kind == KindPortal {
		return false
	}
	if s.Kind != KindHuman || s.ID == "" {
		return true
	}
	if len(s.StaffToken) == 0 && len(rec.RespondentTokens) > 0 {
		return true
	}
	for _, t := range rec.RespondentTokens {
		if bytes.Equal(t, s.StaffToken) {
			return true
		}
	}
	return rec.UnderReview && index(rec.EarlierHandlers, s.ID) >= 0
}

// assigned says whether the record is the subject's to work on, the complainant's own, or, for reviews and people, the subject's own object.
func assigned(r *Request) bool {
	switch r.Action {
	case "grant_review", "breakglass_review":
		return r.Requester == "" || r.Requester == r.Subject.ID
	case "people":
		return r.Requester != "" && r.Requester == r.Subject.ID
	}
	switch r.Subject.Kind {
	case KindHuman:
		return r.Subject.ID != "" && r.Record.Assignee == r.Subject.ID
	case KindPortal:
		return len(r.Subject.DataSubjectToken) > 0 && bytes.Equal(r.Record.DataSubjectToken, r.Subject.DataSubjectToken)
	default:
		return false
	}
}

// levelRank orders levels as duty levels do; unclassified counts as the highest until somebody classifies it. 0 = unknown level.
func levelRank(level string) uint8 {
	switch level {
	case "general":
		return 1
	case "serious":
		return 2
	case "major", "unclassified":
		return 3
	default:
		return 0
	}
}

// grantGroups is the union of the groups of all grants in force for record, purpose and time, as bits, with group meta; 0 = none.
func grantGroups(r *Request) uint16 {
	if r.Record.ID == "" {
		return 0
	}
	var bits uint16
	for i := range r.Subject.Grants {
		g := &r.Subject.Grants[i]
		if g.Record != r.Record.ID || g.Purpose != r.Purpose || r.At.Before(g.From) || !r.At.Before(g.Until) {
			continue
		}
		for _, name := range g.Groups {
			if n := index(groups, name); n >= 0 {
				bits |= 1 << n
			}
		}
	}
	if bits != 0 {
		bits |= 1 << groupMeta
	}
	return bits
}

func breakglass(r *Request) bool {
	if r.Record.ID == "" {
		return false
	}
	for i := range r.Subject.BreakGlass {
		b := &r.Subject.BreakGlass[i]
		if b.Record == r.Record.ID && !r.At.Before(b.From) && r.At.Before(b.Until) {
			return true
		}
	}
	return false
}
