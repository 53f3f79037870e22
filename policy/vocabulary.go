package policy

import "slices"

// Names of the closed lists that a request may use. internal/complaint/registry.json holds the same names; a test there compares them.
// Order is part of the input commitment (docs/formats/policy-bundle.md, 14): new words are appended, none is moved or taken away.
var (
	roles = []string{
		"intake", "handler", "head", "quality", "compliance", "approver", "records", "legal", "custodian",
		"sysadmin", "secadmin", "auditadmin", "auditor", "dpo", "liaison", "analyst", "portal", "application", "keeper",
	}
	purposes = []string{
		"handle", "approve", "quality", "audit", "subject_request", "regulator_report", "legal", "incident", "breakglass",
		"keeping",
	}
	actions = []string{
		"create", "read", "list", "reveal", "search", "amend", "transition", "trail", "report", "log", "people",
		"grant_request", "grant_review", "breakglass_open", "breakglass_review",
		"keep", "keys", "hold", "hold_release", "erase_request", "erase_approve",
		"disclose_request", "disclose_approve", "disclose", "leave_request", "leave_approve", "leave",
		"evidence", "looked", "investigate", "investigate_approve",
	}
	groups = []string{
		"meta", "identity", "contact", "account", "narrative", "respondent", "handling", "decision", "amount", "feedback", "whistle",
	}
	stages        = []string{"open", "closed", "restricted", "archived"}
	sensitivities = []string{"ordinary", "whistle", "privileged"}
	facts         = []string{"fit", "implicated", "assigned", "unit", "cleared", "granted", "breakglass", "held", "retained", "seconded"}
	// steps are the classes of transitions; stepNone stands for an action that is no transition.
	steps = []string{"intake", "receive", "contact", "direct", "handling", "approval", "own", "records"}
)

// Kinds of subject. An application acts with the role application only, a portal user with the role portal only, the service's own upkeep
// with the role keeper only, a human with none of these.
const (
	KindHuman       = "human"
	KindApplication = "application"
	KindPortal      = "portal"
	KindService     = "service"
)

// Roles lists every role that the matrix knows, in the fixed order of the decision key. The result is the caller's own copy.
func Roles() []string { return slices.Clone(roles) }

// Purposes lists the closed list of purposes (R2). The result is the caller's own copy.
func Purposes() []string { return slices.Clone(purposes) }

// Actions lists every verb that the table governs. The result is the caller's own copy.
func Actions() []string { return slices.Clone(actions) }

// Groups lists the field groups over which a decision spreads. The result is the caller's own copy.
func Groups() []string { return slices.Clone(groups) }

// Stages lists the stages of a record. The result is the caller's own copy.
func Stages() []string { return slices.Clone(stages) }

// Sensitivities lists the sensitivities of a record. The result is the caller's own copy.
func Sensitivities() []string { return slices.Clone(sensitivities) }

// Facts lists the booleans that relations makes of subject, record and time. The result is the caller's own copy.
func Facts() []string { return slices.Clone(facts) }
