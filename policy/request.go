package policy

import "time"

// Request is one question: may this subject do this action for this purpose, on this record, now?
//
// Only finite attributes made from it reach OPA. Identifiers, tokens and times are compared in relations and go no further.
type Request struct {
	// Institution is the tenant. The door has already checked that subject and record belong to it.
	Institution string
	// Action is one of Actions().
	Action string
	// Purpose is one of Purposes(); empty gives ErrPurposeRequired.
	Purpose string
	// Transition names the transition or same-state act for action "transition" (accept, take, assign, ...). Ignored otherwise.
	Transition string
	// Requester is the person whose object is decided on: the requester under the reviews (grant_review, breakglass_review,
	// hold_release, erase_approve, disclose_approve, leave_approve, investigate_approve), where empty counts as the subject itself and so
	// refuses; the person changed under people and the one who proposed under keys, where empty means nobody in particular.
	Requester string
	// Involved are others who acted on the same object before: under the reviews each of them is refused like the requester.
	Involved []string
	// Seconded says, under disclose_approve and leave_approve, that the first of two assents is there already: that the head of the owning
	// department asked for the disclosure (purpose approve) or has approved it; that somebody has approved the leaving.
	Seconded bool
	// Subject asks.
	Subject Subject
	// Record is what is asked about; zero for actions without a record (create, search, report, log, people).
	Record Record
	// At is the service's clock. Grants and break-glass are valid in [From, Until).
	At time.Time
}

// Subject is who asks: effective roles (token AND duty register, intersected by the caller) and what relations needs to know.
type Subject struct {
	// ID names the natural person, application, complainant or job of the service. Empty refuses.
	ID string
	// Kind is KindHuman, KindApplication, KindPortal or KindService.
	Kind string
	// Roles are the effective roles. A role outside Roles() gives ErrUnknownAttribute.
	Roles []string
	// Department is the person's own; empty is in no unit.
	Department string
	// Level is the highest complaint level of the person's duty: 0 none, 1 general, 2 serious, 3 major.
	Level uint8
	// StaffToken is the blind index of the person's staff id. Empty means unknown: implicated in every record with respondents.
	StaffToken []byte
	// Unfit holds the reason codes (training_expired, undertaking_missing, account_inactive, budget_spent,
	// breakglass_unreviewed) that make the person
	// unfit now; empty is fit. A code that the bundle does not know still refuses, as "unfit".
	Unfit []string
	// Grants are the person's access grants, in force or not.
	Grants []Grant
	// BreakGlass are the person's opened break-glass windows, in force or not.
	BreakGlass []BreakGlass
	// DataSubjectToken is the blind index of a portal user's own identity.
	DataSubjectToken []byte
}

// Grant lifts need-to-know (R3) for one record and purpose, for the named groups only, in [From, Until). Groups nil grants nothing.
// Group meta comes with every grant.
//
// With Disclosure it is no access grant but an approved disclosure of the record, which the actions disclose and leave need and which
// opens nothing else.
type Grant struct {
	Disclosure      bool
	Record, Purpose string
	Groups          []string
	From, Until     time.Time
}

// BreakGlass lifts need-to-know and level (R3, R4) for one record in [From, Until), for purpose "breakglass" only.
type BreakGlass struct {
	Record      string
	From, Until time.Time
}

// Record is what the decision may know of a complaint: clear attributes and blind indexes, never a protected value.
type Record struct {
	// ID names the complaint as Grant.Record and BreakGlass.Record do.
	ID string
	// Department owns the complaint; Assignee is the handler's Subject.ID, empty when nobody is assigned.
	Department, Assignee string
	// Level is unclassified, general, serious or major. Unclassified counts as major.
	Level string
	// Stage is one of Stages(); Sensitivity one of Sensitivities().
	Stage, Sensitivity string
	// RespondentTokens are the blind indexes of the staff complained about.
	RespondentTokens [][]byte
	// EarlierHandlers are the Subject.IDs that handled the complaint before; they are recused when UnderReview (核查).
	EarlierHandlers []string
	UnderReview     bool
	// Held says that a legal hold is open and that the action would take away from what it preserves. RetainedUntil is when the longest retention of what is to be erased ends; the zero time means
	// that it has not begun to run, or is not known, and so has not ended.
	Held          bool
	RetainedUntil time.Time
	// DataSubjectToken is the blind index of the complainant's identity, for the portal.
	DataSubjectToken []byte
}
