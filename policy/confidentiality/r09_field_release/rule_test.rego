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

test_r09_restricted_is_not_revealed if {
	restricted := {"stage": "restricted"}
	handler := access.decision with input as object.union(asks("handler", "reveal", "handle"), restricted)
	not handler.allow
	handler.reason == "stage_restricted"
	amend := access.decision with input as object.union(asks("handler", "amend", "handle"), restricted)
	not amend.allow
	legal := access.decision with input as object.union(asks("legal", "reveal", "legal"), restricted)
	legal.allow
}

test_r09_archived_is_not_written if {
	d := access.decision with input as object.union(asks("handler", "amend", "handle"), {"stage": "archived"})
	not d.allow
	d.reason == "stage_archived"
}
