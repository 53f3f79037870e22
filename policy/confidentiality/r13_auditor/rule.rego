package sealtrail.access

# METADATA
# title: R13 the auditor reads the trail
# description: |
#   The auditor sees trail, log, figures and metadata. Content opens only through an audit case, which reaches the decision as an access
#   grant, and the case must be named. An evidence bundle is the trail in a form that can be carried away: whoever oversees may make one.
#   The auditor may ask for a sealed investigation, which hides his own looking from those whom it concerns until it closes: another person
#   approves it (R12), it has an end from the start, and what it hid appears then.
# custom:
#   rule: R13
#   article: 6.1.13
#   owner: auditadmin
#   reasons: [audit_case_required, investigation_auditor_only]
meta_only contains "audit_case_required" if {
	input.role == "auditor"
	not input.facts.granted
	"granted" in data.domain.actions[input.action].facts
}

obligation contains {"do": "name_audit_case", "article": "6.1.13"} if {
	input.role == "auditor"
	input.facts.granted == true
}

duty.investigate contains {"do": "state_reason", "article": "6.1.13"}

duty.investigate contains {"do": "set_expiry", "article": "6.1.13"}

# Whatever the matrix says, only whoever stands outside the handling asks to look unseen.
meta_only contains "investigation_auditor_only" if {
	input.action == "investigate"
	input.role != "auditor"
}
