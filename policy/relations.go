package policy

import "bytes"

// relations turns subject, record and time into the facts, as confidentiality/relations says it in Rego; a test enumerates small worlds
// and shows both equal. Change them together. A missing fact is false; implicated and retained are true unless shown to be
// false.
func relations(r *Request) uint16 {
	var f uint16
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
	return f | keeping(r)
}

// keeping makes the facts of holds, retention and second assents. What is not known to have ended is still retained.
func keeping(r *Request) uint16 {
	var f uint16
	if r.Record.Held {
		f |= factHeld
	}
	if r.Record.RetainedUntil.IsZero() || r.At.Before(r.Record.RetainedUntil) {
		f |= factRetained
	}
	if r.Seconded {
		f |= factSeconded
	}
	return f
}

// implicated says whether the person must stand aside: among the respondents, or an earlier handler of a record under review. An unknown
// staff token cannot be shown to be absent. Applications, complainants and the service itself are no staff, and their roles show no respondent.
func implicated(s *Subject, rec *Record) bool {
	if s.Kind == KindApplication || s.Kind == KindPortal || s.Kind == KindService {
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

// assigned says whether the record is the subject's to work on, the complainant's own, or, for reviews, people
// and keys, an object that the subject asked for or has acted on.
func assigned(r *Request) bool {
	switch r.Action {
	case "grant_review", "breakglass_review", "hold_release", "erase_approve", "disclose_approve", "leave_approve", "investigate_approve":
		return r.Requester == "" || r.Requester == r.Subject.ID || index(r.Involved, r.Subject.ID) >= 0
	case "people", "keys":
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
	disclosing := r.Action == "disclose" || r.Action == "leave"
	var bits uint16
	for i := range r.Subject.Grants {
		g := &r.Subject.Grants[i]
		if g.Disclosure != disclosing || g.Record != r.Record.ID || g.Purpose != r.Purpose || r.At.Before(g.From) || !r.At.Before(g.Until) {
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
