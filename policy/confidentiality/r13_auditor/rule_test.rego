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

test_r13_evidence_is_made_by_whoever_oversees if {
	may := {[role, purpose] |
		some role, row in data.matrix
		some purpose, _ in row.purposes
		d := access.decision with input as asks(role, "evidence", purpose)
		d.allow
	}
	may == {["auditor", "audit"], ["dpo", "subject_request"], ["dpo", "incident"], ["compliance", "incident"], ["legal", "legal"]}
}

test_r13_evidence_is_not_for_the_implicated if {
	d := access.decision with input as with_facts(asks("dpo", "evidence", "incident"), {"implicated": true})
	not d.allow
	d.groups.meta == "deny"
}

test_r13_investigations_are_the_auditors_and_end if {
	d := access.decision with input as asks("auditor", "investigate", "audit")
	d.allow
	{"do": "set_expiry", "article": "6.1.13"} in d.obligations
	{"do": "state_reason", "article": "6.1.13"} in d.obligations
	head := data.matrix.head
	entry := object.union(head.purposes.approve, {"do": ["investigate"]})
	row := object.union(head, {"purposes": object.union(head.purposes, {"approve": entry})})
	other := access.decision with input as asks("head", "investigate", "approve") with data.matrix as object.union(data.matrix, {"head": row})
	not other.allow
	other.reason == "investigation_auditor_only"
}

test_r13_another_person_approves_an_investigation if {
	every role in ["dpo", "compliance"] {
		own := access.decision with input as asks(role, "investigate_approve", "approve")
		not own.allow
		own.reason == "own_request"
		other := access.decision with input as with_facts(asks(role, "investigate_approve", "approve"), {"assigned": false})
		other.allow
	}
	auditor := access.decision with input as with_facts(asks("auditor", "investigate_approve", "audit"), {"assigned": false})
	not auditor.allow
}
