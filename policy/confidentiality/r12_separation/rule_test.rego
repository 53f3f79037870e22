package sealtrail.access_test

import data.sealtrail.access

test_r12_administrators_see_no_complaint if {
	every role in access.administrators {
		every action in ["read", "list", "reveal", "search", "amend", "create", "transition", "trail", "grant_request"] {
			d := access.decision with input as asks(role, action, "incident")
			not d.allow
			"admin_no_content" in d.reasons
		}
	}
}

test_r12_not_even_if_the_matrix_says_so if {
	row := object.union(data.matrix.sysadmin, {"purposes": {"incident": {"see": ["read"], "mask": ["identity"], "reveal": ["identity"], "do": []}}})
	d := access.decision with input as asks("sysadmin", "reveal", "incident")
		with data.matrix as object.union(data.matrix, {"sysadmin": row})
	not d.allow
	d.groups.identity == "deny"
}

test_r12_duties_that_exclude_one_another if {
	some pair in [["sysadmin", "secadmin"], ["auditadmin", "secadmin"], ["auditor", "handler"], ["quality", "handler"], ["handler", "approver"]]
	request := object.union(asks(pair[0], "report", "incident"), {"roles": pair})
	d := access.joined with input as request
	not d.allow
	d.rules == {"R12"}
}

test_r12_duties_that_go_together if {
	d := access.joined with input as object.union(asks("handler", "read", "handle"), {"roles": ["handler", "head"]})
	d.allow
}

test_r12_nobody_reviews_his_own_request if {
	own := access.decision with input as asks("head", "grant_review", "approve")
	not own.allow
	own.reason == "own_request"
	other := access.decision with input as with_facts(asks("head", "grant_review", "approve"), {"assigned": false})
	other.allow
}

test_r12_nobody_approves_his_own_work if {
	step := {"step": "approval"}
	own := access.decision with input as object.union(asks("approver", "transition", "approve"), step)
	not own.allow
	own.reason == "own_work"
	other := access.decision with input as object.union(
		with_facts(asks("approver", "transition", "approve"), {"assigned": false}),
		step,
	)
	other.allow
}

test_r12_keeper_keeps_and_nothing_else if {
	kept := access.decision with input as asks("keeper", "keep", "keeping")
	kept.allow
	{group | some group, effect in kept.groups; effect != "deny"} == {"meta"}
	every action, _ in object.remove(data.domain.actions, ["keep"]) {
		d := access.decision with input as asks("keeper", action, "keeping")
		not d.allow
		"admin_no_content" in d.reasons
	}
}

test_r12_keeper_sees_no_field_even_if_the_matrix_says_so if {
	entry := {"see": ["read"], "mask": ["identity"], "reveal": ["identity"], "amend": [], "do": ["keep"]}
	row := object.union(data.matrix.keeper, {"sees": ["institution"], "purposes": {"keeping": entry}})
	every action in ["keep", "read", "reveal"] {
		d := access.decision with input as asks("keeper", action, "keeping") with data.matrix as object.union(data.matrix, {"keeper": row})
		d.groups.identity == "deny"
	}
}

test_r12_custodian_turns_keys_but_not_his_own_proposal if {
	own := access.decision with input as asks("custodian", "keys", "keeping")
	own.reason == "own_request"
	other := access.decision with input as with_facts(asks("custodian", "keys", "keeping"), {"assigned": false})
	other.allow
}

test_r12_erasing_reading_and_auditing_do_not_meet if {
	every pair in [["records", "dpo"], ["records", "handler"], ["records", "auditor"], ["auditor", "dpo"], ["keeper", "legal"]] {
		d := access.joined with input as object.union(asks(pair[0], "read", "legal"), {"roles": pair})
		not d.allow
		d.rules == {"R12"}
	}
}
