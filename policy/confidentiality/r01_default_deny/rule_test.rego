package sealtrail.access_test

import data.sealtrail.access

test_r01_unknown_role if {
	d := access.decision with input as asks("gardener", "read", "handle")
	not d.allow
	d.reasons == {"no_role", "purpose_not_for_role"}
	d.groups == {}
}

test_r01_action_not_listed if {
	d := access.decision with input as asks("analyst", "list", "quality")
	not d.allow
	"action_not_for_role" in d.reasons
}

test_r01_step_of_another_role if {
	d := access.decision with input as object.union(asks("intake", "transition", "handle"), {"step": "approval"})
	not d.allow
	"step_not_for_role" in d.reasons
}

test_r01_own_step if {
	d := access.decision with input as object.union(asks("intake", "transition", "handle"), {"step": "intake"})
	d.allow
}
