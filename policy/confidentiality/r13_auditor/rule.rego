package sealtrail.access

# METADATA
# title: R13 the auditor reads the trail
# description: |
#   The auditor sees trail, log, figures and metadata. Content opens only through an audit case, which reaches the decision as an access
#   grant, and the case must be named.
# custom:
#   rule: R13
#   article: 6.1.13
#   owner: auditadmin
#   reasons: [audit_case_required]
meta_only contains "audit_case_required" if {
	input.role == "auditor"
	not input.facts.granted
	"granted" in data.domain.actions[input.action].facts
}

obligation contains {"do": "name_audit_case", "article": "6.1.13"} if {
	input.role == "auditor"
	input.facts.granted == true
}
