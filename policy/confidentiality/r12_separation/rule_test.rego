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
