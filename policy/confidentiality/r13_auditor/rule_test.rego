package sealtrail.access_test

import data.sealtrail.access

test_r13_metadata_without_a_case if {
	d := access.decision with input as asks("auditor", "read", "audit")
	d.allow
	{group | some group, effect in d.groups; effect != "deny"} == {"meta"}
	"audit_case_required" in d.reasons
}

test_r13_content_with_a_case if {
	d := access.decision with input as with_facts(asks("auditor", "reveal", "audit"), {"granted": true})
	d.allow
	{"do": "name_audit_case", "article": "6.1.13"} in d.obligations
}

test_r13_trail_needs_no_case if {
	d := access.decision with input as asks("auditor", "trail", "audit")
	d.allow
}
