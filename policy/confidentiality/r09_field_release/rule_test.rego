package sealtrail.access_test

import data.sealtrail.access

test_r09_application_sees_metadata_only if {
	d := access.decision with input as asks("application", "read", "handle")
	d.allow
	{group | some group, effect in d.groups; effect != "deny"} == {"meta"}
}

test_r09_withholds_what_the_matrix_gives if {
	"identity" in access.barred.application
	"whistle" in access.barred.handler
	not "whistle" in object.get(access.barred, "compliance", set())
}

test_r09_privileged_handling_is_for_legal if {
	handler := access.decision with input as object.union(asks("handler", "reveal", "handle"), {"sensitivity": "privileged"})
	handler.allow
	handler.groups.handling == "deny"
	"privileged_withheld" in handler.reasons
	legal := access.decision with input as object.union(asks("legal", "reveal", "legal"), {"sensitivity": "privileged"})
	legal.groups.handling == "reveal"
}

test_r09_whistle_is_for_compliance if {
	handler := access.decision with input as object.union(asks("handler", "read", "handle"), {"sensitivity": "whistle"})
	not handler.allow
	handler.reason == "whistle_compliance_only"
	handler.groups.meta == "deny"
	dpo := access.decision with input as object.union(asks("dpo", "read", "subject_request"), {"sensitivity": "whistle"})
	dpo.allow
	dpo.groups.narrative == "deny"
}

test_r09_restricted_is_not_there if {
	every action in ["read", "list", "reveal", "amend", "transition"] {
		d := access.decision with input as object.union(asks("handler", action, "handle"), {"stage": "restricted", "step": "handling"})
		not d.allow
		"stage_restricted" in d.reasons
		d.groups.meta == "deny"
	}
}

test_r09_restricted_is_open_to_legal_audit_and_regulator if {
	every ask in [
		asks("legal", "reveal", "legal"), asks("legal", "read", "legal"), asks("legal", "list", "legal"),
		asks("records", "list", "legal"), asks("auditor", "list", "audit"), asks("liaison", "read", "regulator_report"),
	] {
		d := access.decision with input as object.union(ask, {"stage": "restricted"})
		d.allow
	}
	amend := access.decision with input as object.union(asks("legal", "amend", "legal"), {"stage": "restricted"})
	not amend.allow
	amend.reason == "stage_restricted"
}

test_r09_restricted_is_still_known_to_approver_and_complainant if {
	every ask in [asks("dpo", "read", "approve"), asks("portal", "read", "subject_request")] {
		d := access.decision with input as object.union(ask, {"stage": "restricted"})
		d.allow
		{group | some group, effect in d.groups; effect != "deny"} == {"meta"}
	}
	found := access.decision with input as object.union(asks("dpo", "read", "subject_request"), {"stage": "restricted"})
	not found.allow
}

test_r09_records_steps_go_on if {
	every stage in ["closed", "archived", "restricted"] {
		d := access.decision with input as object.union(asks("records", "transition", "legal"), {"stage": stage, "step": "records"})
		d.allow
	}
}

test_r09_keeping_a_report_of_staff_crime if {
	every ask in [
		asks("keeper", "keep", "keeping"), asks("legal", "hold", "legal"), asks("records", "erase_request", "legal"),
		object.union(asks("records", "transition", "legal"), {"step": "records"}),
	] {
		d := access.decision with input as object.union(ask, {"sensitivity": "whistle"})
		d.allow
		{group | some group, effect in d.groups; effect != "deny"} == {"meta"}
	}
}

test_r09_archived_is_not_written if {
	d := access.decision with input as object.union(asks("handler", "amend", "handle"), {"stage": "archived"})
	not d.allow
	d.reason == "stage_archived"
}
